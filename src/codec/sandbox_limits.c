/* SPDX-License-Identifier: MIT
 *
 * Resource limits and process attributes.
 */
#include "codec/sandbox.h"

#include "audio/codec_protocol.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

int spl_sandbox_limits(spl_sandbox_mode mode, unsigned cpu_s, spl_error *ret_error) {
    if (syscall(SYS_close_range, SPL_HELPER_FILE_FD + 1, ~0U, 0) < 0)
        return spl_fail_errno(ret_error, errno, "sandbox: close_range");

    const struct {
        int resource;
        rlim_t value;
    } limits[] = {
        {RLIMIT_AS, (rlim_t)SPL_SANDBOX_MEMORY_MIB << 20},
        {RLIMIT_CPU, cpu_s},
        {RLIMIT_FSIZE, mode == SPL_SANDBOX_DECODE ? 0 : RLIM_INFINITY},
        {RLIMIT_NOFILE, 0},
        {RLIMIT_NPROC, 0},
        {RLIMIT_CORE, 0},
    };
    for (size_t i = 0; i < SPL_ARRAY_SIZE(limits); i++) {
        struct rlimit limit;
        if (getrlimit(limits[i].resource, &limit) < 0)
            return spl_fail_errno(ret_error, errno, "sandbox: getrlimit");
        limit.rlim_cur = limit.rlim_max = SPL_MIN(limits[i].value, limit.rlim_max);
        if (setrlimit(limits[i].resource, &limit) < 0)
            return spl_fail_errno(ret_error, errno, "sandbox: setrlimit");
    }

    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return spl_fail_errno(ret_error, errno, "sandbox: prctl");
    return 0;
}
