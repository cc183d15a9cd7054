/* SPDX-License-Identifier: MIT
 *
 * The audit log: who did what to which object, and from where. A MAC chain reveals lines that were
 * changed, removed or reordered.
 *
 * The files are FOLDER/00000001.jsonl and so on, opened append-only. A process begins a new file at
 * its start and whenever the current one reaches a sixteenth of the log's disk space, or 64 MiB.
 * The oldest files are removed when all files together would exceed that space.
 *
 * Each line is a JSON object with sequence number, time, actor, action, object, address, outcome,
 * request id, detail, and mac = HMAC-SHA256(key, mac of the previous line || the line without its
 * mac). A file's first line names the file, the process, and the previous file with its last mac;
 * its last line records that the file was closed. A line is written with one write and flushed by
 * fdatasync before the client gets a response. Lines contain no secrets and no contents.
 *
 * For a full disk the log has 0.5 to 1 MiB allocated in advance. When that is used up, events are
 * missed; once there is space again, a line "audit.gap" reports how many. A line of which only a
 * part could be written is removed; if that fails, a new file begins, and verification reports the
 * part.
 *
 * The chain cannot reveal that lines were cut off the end of the newest file, or that the newest
 * files were removed. Verification reports the last mac; store it elsewhere to detect that, too.
 */
#ifndef SPL_SERVICE_OBSERVE_AUDIT_H
#define SPL_SERVICE_OBSERVE_AUDIT_H

#include "base/error.h"

#include <stdio.h>

typedef struct spl_audit spl_audit;

typedef struct spl_audit_event {
    const char *actor; /* principal id, "anonymous" or "system" */
    /* "job.create", "job.read", "auth.refused", "upload.infected", "key.reload", ... */
    const char *action;
    const char *object;  /* job id or key name; may be NULL */
    const char *address; /* of the client; may be NULL */
    const char *outcome; /* "ok", or a problem code */
    const char *detail;  /* such as the virus signature; may be NULL */
} spl_audit_event;

/* `key`: 32 bytes; `max_bytes`: limit of all files together, at least 1 MiB. A full disk is not an
 * error: events are missed until there is space. Errors: IO, PERMISSION, MEMORY. */
SPL_WARN_UNUSED int spl_audit_open(const char *folder, const uint8_t key[32], uint64_t max_bytes,
                                   spl_audit **ret_audit, spl_error *ret_error);
/* Appends an event and makes it durable. The request id comes from the thread's log context. On
 * failure the caller must refuse to create a job, a link or a session, but must still allow reading
 * and ending one, so that a full disk can be inspected and freed. Events that could not be appended
 * are counted as missed, and the first of them is logged. Errors: NO_SPACE, IO, MEMORY.
 * Thread-safe. */
SPL_WARN_UNUSED int spl_audit_write(spl_audit *audit, const spl_audit_event *event,
                                    spl_error *ret_error);
void spl_audit_close(spl_audit *audit);

/* Checks the chain of each file in `folder` and prints to `report` its number of lines and last
 * mac, or the first wrong line and the reason. Errors: FORMAT (a file is wrong), NOT_FOUND (there
 * is no file). */
SPL_WARN_UNUSED int spl_audit_verify(const char *folder, const uint8_t key[32], FILE *report,
                                     spl_error *ret_error);

#endif
