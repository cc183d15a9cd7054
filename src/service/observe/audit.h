/* SPDX-License-Identifier: MIT
 *
 * The audit log: who did what to which id from where, in a chain that shows when a line was
 * changed, removed or reordered.
 *
 * Files are FOLDER/00000001.jsonl and on, opened append-only; a process begins a new one at its
 * start and whenever one has a sixteenth of the log's disk space, or 64 MiB. The oldest are removed
 * when all together would have more than that space. Each line is a JSON object with sequence
 * number, time, actor, action, object, address, outcome, request id, detail, and mac =
 * HMAC-SHA256(key, mac of the line before || the line without its mac). The first line names the
 * file and process, and the file before it with that file's last mac; the last one says that the
 * file was closed. Kept durable: written with one write, flushed by fdatasync before the answer. No
 * secrets, no contents.
 *
 * On a full disk the log has 1 MiB that it allocated ahead. After that events are missed; as soon
 * as there is room again, a line "audit.gap" says how many.
 *
 * What it cannot show: that lines were cut off the end of the newest file, or that the newest files
 * are gone. Verification names the last mac, to be kept elsewhere by those who need that too.
 */
#ifndef SPL_SERVICE_OBSERVE_AUDIT_H
#define SPL_SERVICE_OBSERVE_AUDIT_H

#include "base/error.h"

#include <stdio.h>

typedef struct spl_audit spl_audit;

typedef struct spl_audit_event {
    const char *actor; /* principal id, "anonymous" or "system" */
    const char
        *action; /* "job.create", "job.read", "auth.refused", "upload.infected", "key.reload" ... */
    const char *object;  /* job id or key name; may be NULL */
    const char *address; /* of the client; may be NULL */
    const char *outcome; /* "ok", or a problem code */
    const char *detail;  /* such as the virus signature; may be NULL */
} spl_audit_event;

/* `key`: 32 bytes; `max_bytes`: of all files together, at least 1 MiB. A full disk is no failure:
 * events are missed until there is room. Errors: IO, PERMISSION, MEMORY. */
SPL_WARN_UNUSED int spl_audit_open(const char *folder, const uint8_t key[32], uint64_t max_bytes,
                                   spl_audit **ret_audit, spl_error *ret_error);
/* Thread-safe. The request id comes from the thread's log context. A failure was logged and counted
 * as missed; it must fail what would make a job, a link or a session, and nothing that reads or
 * ends one, so that a full disk can be read and emptied. Errors: NO_SPACE, IO, MEMORY. */
SPL_WARN_UNUSED int spl_audit_write(spl_audit *audit, const spl_audit_event *event,
                                    spl_error *ret_error);
void spl_audit_close(spl_audit *audit);

/* Checks the chain of each file of `folder`, and says for each how many lines it has, or which line
 * is wrong and how. FORMAT when one is; NOT_FOUND when there is no file. */
SPL_WARN_UNUSED int spl_audit_verify(const char *folder, const uint8_t key[32], FILE *report,
                                     spl_error *ret_error);

#endif
