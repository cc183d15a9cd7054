/* SPDX-License-Identifier: MIT
 *
 * Resource limits and process attributes.
 */
#include "codec/sandbox.h"

#include "app/audio/codec_protocol.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* Address space is limited because its page tables take memory. The limit is far above what the
 * program and its libraries map. */
#define ADDRESSES_MIB 1024
#define STACK_MIB     8

/* SIGXCPU is sent at the soft limit. Its default action does not terminate the first process of a
 * PID namespace, so it needs a handler. */
static void end_for_cpu_time(int number) {
    (void)number;
    _exit(SPL_HELPER_EXIT_CPU);
}

int spl_sandbox_limits(spl_sandbox_mode mode, const spl_sandbox_budget *budget,
                       spl_error *ret_error) {
    if (syscall(SYS_close_range, SPL_HELPER_FILE_FD + 1, ~0U, 0) < 0)
        return spl_fail_errno(ret_error, errno, "sandbox: close_range");

    _Static_assert(RLIM_INFINITY == UINT64_MAX, "file_bytes is a limit as it is");
    const rlim_t file_bytes = mode == SPL_SANDBOX_DECODE ? 0 : budget->file_bytes;
    const struct {
        int resource;
        rlim_t soft, hard;
    } limits[] = {
        {RLIMIT_DATA, (rlim_t)budget->memory_mib << 20, (rlim_t)budget->memory_mib << 20},
        {RLIMIT_AS, (rlim_t)ADDRESSES_MIB << 20, (rlim_t)ADDRESSES_MIB << 20},
        {RLIMIT_STACK, (rlim_t)STACK_MIB << 20, (rlim_t)STACK_MIB << 20},
        {RLIMIT_CPU, budget->cpu_s, budget->cpu_s + 1}, /* SIGKILL is sent at the hard limit */
        {RLIMIT_FSIZE, file_bytes, file_bytes},
        {RLIMIT_NOFILE, 0, 0},
        {RLIMIT_NPROC, 0, 0},
        {RLIMIT_CORE, 0, 0},
    };
    signal(SIGXCPU, end_for_cpu_time);
    for (size_t i = 0; i < SPL_ARRAY_SIZE(limits); i++) {
        struct rlimit limit;
        if (getrlimit(limits[i].resource, &limit) < 0)
            return spl_fail_errno(ret_error, errno, "sandbox: getrlimit");
        limit.rlim_max = SPL_MIN(limits[i].hard, limit.rlim_max);
        limit.rlim_cur = SPL_MIN(limits[i].soft, limit.rlim_max);
        if (setrlimit(limits[i].resource, &limit) < 0)
            return spl_fail_errno(ret_error, errno, "sandbox: setrlimit");
    }

    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return spl_fail_errno(ret_error, errno, "sandbox: prctl");
    return 0;
}
