/* SPDX-License-Identifier: MIT
 *
 * The sandbox in which media files are decoded and encoded. Each mechanism has its own file and is
 * effective without the others.
 */
#ifndef SPL_CODEC_SANDBOX_H
#define SPL_CODEC_SANDBOX_H

#include "base/error.h"

typedef enum spl_sandbox_mode {
    SPL_SANDBOX_DECODE, /* the file may only be read */
    SPL_SANDBOX_ENCODE, /* the file may only be written */
} spl_sandbox_mode;

/* Resource limits of a helper. */
typedef struct spl_sandbox_budget {
    unsigned memory_mib; /* writable memory without the stack (RLIMIT_DATA) */
    unsigned cpu_s;
    uint64_t file_bytes; /* end of the file that may be written; UINT64_MAX: no limit */
} spl_sandbox_budget;

/* sandbox_identity.c, called before anything is read: changes to the user "nobody" if started by
 * root, drops all capabilities, and has the kernel kill the helper when the thread that started it
 * exits. */
SPL_WARN_UNUSED int spl_sandbox_identity(spl_error *ret_error);

/* sandbox_landlock.c: denies opening files and, as far as the kernel's Landlock version supports
 * it, using network addresses. *ret_enforced = false if the kernel has no Landlock. */
SPL_WARN_UNUSED int spl_sandbox_landlock(bool *ret_enforced, spl_error *ret_error);

/* sandbox_limits.c: closes all descriptors above the protocol's two; limits memory, CPU time and
 * other resources; forbids core dumps, tracing by other processes, and new privileges. */
SPL_WARN_UNUSED int spl_sandbox_limits(spl_sandbox_mode mode, const spl_sandbox_budget *budget,
                                       spl_error *ret_error);

/* sandbox_seccomp.c: system calls that are not on a short list kill the process. */
SPL_WARN_UNUSED int spl_sandbox_seccomp(spl_sandbox_mode mode, spl_error *ret_error);

/* Applies the last three, in this order. *ret_without_landlock: the kernel has no Landlock.
 * `ret_error` must not be NULL. Errors: HELPER. */
SPL_WARN_UNUSED int spl_sandbox_enter(spl_sandbox_mode mode, const spl_sandbox_budget *budget,
                                      bool *ret_without_landlock, spl_error *ret_error);

/* libav itself takes about 35 MiB; the index of 24 hours of AAC in MP4 takes another 90 MiB. */
#define SPL_SANDBOX_MEMORY_MIB       512
#define SPL_SANDBOX_PROBE_MEMORY_MIB 256

#endif
