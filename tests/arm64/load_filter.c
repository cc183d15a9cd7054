/* SPDX-License-Identifier: MIT
 *
 * Preloaded into the codec helper under emulation, which has no seccomp. The helper builds its
 * filter as on a kernel with seccomp; this writes the filter to standard output instead of loading
 * it.
 */
#include <seccomp.h>
#include <unistd.h>

__attribute__((constructor)) static void assume_kernel(void) {
    seccomp_api_set(6); /* Linux 5.7 */
}

int seccomp_load(const scmp_filter_ctx filter) {
    return seccomp_export_bpf(filter, STDOUT_FILENO);
}
