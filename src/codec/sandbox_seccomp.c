/* SPDX-License-Identifier: MIT
 *
 * Allows the system calls that decoding and encoding need: non-executable memory, the socket, the
 * media file, clocks, signals and exit. Any other call kills the process, except that two kinds
 * only fail: opening a file, so that libraries continue without optional files such as iconv's
 * tables, and writing to another descriptor, so that a failed assertion prints nothing but is a
 * crash.
 */
#include "codec/sandbox.h"

#include "app/audio/codec_protocol.h"

#include <errno.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

typedef struct rule {
    uint32_t action;
    int call;
    unsigned conditions;
    struct scmp_arg_cmp condition[3];
} rule;

#define ALLOW(call)                                                                                \
    {                                                                                              \
        SCMP_ACT_ALLOW, SCMP_SYS(call), 0, {                                                       \
        }                                                                                          \
    }
#define ALLOW_IF(call, a)                                                                          \
    {                                                                                              \
        SCMP_ACT_ALLOW, SCMP_SYS(call), 1, {                                                       \
            a                                                                                      \
        }                                                                                          \
    }
#define ALLOW_IF2(call, a, b)                                                                      \
    {                                                                                              \
        SCMP_ACT_ALLOW, SCMP_SYS(call), 2, {                                                       \
            a, b                                                                                   \
        }                                                                                          \
    }
#define ALLOW_IF3(call, a, b, c)                                                                   \
    {                                                                                              \
        SCMP_ACT_ALLOW, SCMP_SYS(call), 3, {                                                       \
            a, b, c                                                                                \
        }                                                                                          \
    }
#define DENY(call)                                                                                 \
    {                                                                                              \
        SCMP_ACT_ERRNO(EACCES), SCMP_SYS(call), 0, {                                               \
        }                                                                                          \
    }

#define DENY_IF(call, a)                                                                           \
    {                                                                                              \
        SCMP_ACT_ERRNO(EACCES), SCMP_SYS(call), 1, {                                               \
            a                                                                                      \
        }                                                                                          \
    }

#define ARGUMENT(index, value)                                                                     \
    { index, SCMP_CMP_EQ, (scmp_datum_t)(value), 0 }
#define OTHER(index, value)                                                                        \
    { index, SCMP_CMP_NE, (scmp_datum_t)(value), 0 }
#define BITS(index, mask, value)                                                                   \
    { index, SCMP_CMP_MASKED_EQ, (scmp_datum_t)(mask), (scmp_datum_t)(value) }

static int add_rules(scmp_filter_ctx filter, const rule *rules, size_t count) {
    for (size_t i = 0; i < count; i++) {
        int failed = seccomp_rule_add_array(filter, rules[i].action, rules[i].call,
                                            rules[i].conditions, rules[i].condition);
        if (failed)
            return failed;
    }
    return 0;
}

int spl_sandbox_seccomp(spl_sandbox_mode mode, spl_error *ret_error) {
    const rule common[] = {
        /* The socket: no address, as it is connected, and only the flags that the protocol uses.
         * The kernel's code for others, such as MSG_OOB, has had vulnerabilities. */
        ALLOW_IF3(sendto, ARGUMENT(0, SPL_HELPER_CHANNEL_FD), ARGUMENT(3, MSG_NOSIGNAL),
                  ARGUMENT(4, 0)),
        ALLOW_IF2(recvfrom, ARGUMENT(0, SPL_HELPER_CHANNEL_FD), ARGUMENT(3, 0)),
        /* Memory. */
        ALLOW(brk),
        ALLOW(munmap),
        ALLOW(mremap),
        ALLOW(madvise),
        /* Neither shared memory nor memory that grows downwards: RLIMIT_DATA counts neither. */
        ALLOW_IF2(mmap, BITS(2, PROT_EXEC, 0),
                  BITS(3, MAP_ANONYMOUS | MAP_SHARED | MAP_GROWSDOWN, MAP_ANONYMOUS)),
        /* Memory that cannot be written leaves RLIMIT_DATA's count, but keeps its pages. */
        ALLOW_IF(mprotect, ARGUMENT(2, PROT_READ | PROT_WRITE)),
        /* Clocks, random numbers, the size of memory (qsort), the number of CPUs (libavutil). */
        ALLOW(clock_gettime),
        ALLOW(clock_getres),
        ALLOW(gettimeofday),
        ALLOW(time),
        ALLOW(getrandom),
        ALLOW(sysinfo),
        ALLOW(sched_getaffinity),
        /* Locks, signals within the process, exit. */
        ALLOW(futex),
        ALLOW(restart_syscall),
        ALLOW(rt_sigaction),
        ALLOW(rt_sigprocmask),
        ALLOW(rt_sigtimedwait),
        ALLOW(rt_sigreturn),
        ALLOW(getpid),
        ALLOW(gettid),
        ALLOW_IF2(tgkill, ARGUMENT(0, getpid()), ARGUMENT(2, SIGABRT)),
        ALLOW(exit),
        ALLOW(exit_group),
        DENY(open),
        DENY(openat),
        DENY(writev),
    };
    const rule decode[] = {
        ALLOW_IF(pread64, ARGUMENT(0, SPL_HELPER_FILE_FD)),
        DENY(write),
    };
    const rule encode[] = {
        ALLOW_IF(write, ARGUMENT(0, SPL_HELPER_FILE_FD)),
        DENY_IF(write, OTHER(0, SPL_HELPER_FILE_FD)),
        ALLOW_IF(lseek, ARGUMENT(0, SPL_HELPER_FILE_FD)),
    };

    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    if (!filter)
        return spl_fail(ret_error, SPL_E_HELPER, "sandbox: seccomp cannot be used");
    int failed = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (!failed)
        failed = add_rules(filter, common, SPL_ARRAY_SIZE(common));
    if (!failed)
        failed = mode == SPL_SANDBOX_DECODE ? add_rules(filter, decode, SPL_ARRAY_SIZE(decode))
                                            : add_rules(filter, encode, SPL_ARRAY_SIZE(encode));
    if (!failed)
        failed = seccomp_load(filter);
    seccomp_release(filter);
    return failed ? spl_fail_errno(ret_error, -failed, "sandbox: seccomp") : 0;
}
