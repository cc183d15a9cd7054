/* SPDX-License-Identifier: MIT
 *
 * The cage in which media files are decoded and encoded. Each mechanism has its own file and holds
 * without the others.
 */
#ifndef SPL_CODEC_SANDBOX_H
#define SPL_CODEC_SANDBOX_H

#include "base/error.h"

typedef enum spl_sandbox_mode {
    SPL_SANDBOX_DECODE, /* the file may only be read */
    SPL_SANDBOX_ENCODE, /* the file may only be written */
} spl_sandbox_mode;

/* What a helper may use. */
typedef struct spl_sandbox_budget {
    unsigned memory_mib; /* that it writes to, beside its stack */
    unsigned cpu_s;
} spl_sandbox_budget;

/* sandbox_identity.c: before anything is read. The user "nobody" where root has started the helper,
 * no capabilities, and an end together with the thread that started it. */
SPL_WARN_UNUSED int spl_sandbox_identity(spl_error *ret_error);

/* sandbox_landlock.c: no file can be opened and no network address used. *ret_enforced = false
 * where the kernel has no Landlock. */
SPL_WARN_UNUSED int spl_sandbox_landlock(bool *ret_enforced, spl_error *ret_error);

/* sandbox_limits.c: closes all descriptors above the two of the protocol; limits on memory, CPU
 * time and the rest; no core dumps, no tracing by others, no new privileges. */
SPL_WARN_UNUSED int spl_sandbox_limits(spl_sandbox_mode mode, const spl_sandbox_budget *budget,
                                       spl_error *ret_error);

/* sandbox_seccomp.c: system calls that are not on a short list end the process. */
SPL_WARN_UNUSED int spl_sandbox_seccomp(spl_sandbox_mode mode, spl_error *ret_error);

/* The last three, in this order. *ret_without_landlock: the kernel has none. */
SPL_WARN_UNUSED int spl_sandbox_enter(spl_sandbox_mode mode, const spl_sandbox_budget *budget,
                                      bool *ret_without_landlock, spl_error *ret_error);

/* Some 35 MiB are libav's own; the index of 24 hours of AAC in MP4 takes 90 more. */
#define SPL_SANDBOX_MEMORY_MIB       512
#define SPL_SANDBOX_PROBE_MEMORY_MIB 256

#endif
