/* SPDX-License-Identifier: MIT
 *
 * Preloaded into the codec helper under emulation, which has no seccomp: the filter is made as on a
 * kernel that has it, but instead of being loaded it is written to standard output.
 */
#include <seccomp.h>
#include <unistd.h>

__attribute__((constructor)) static void assume_kernel(void) {
    seccomp_api_set(6); /* Linux 5.7 */
}

int seccomp_load(const scmp_filter_ctx filter) {
    return seccomp_export_bpf(filter, STDOUT_FILENO);
}
