/* SPDX-License-Identifier: MIT
 *
 * Virus scan by clamd: INSTREAM over its Unix or TCP socket. Anything but a plain "stream: OK"
 * refuses the file.
 */
#ifndef SPL_SERVICE_SCAN_CLAMD_H
#define SPL_SERVICE_SCAN_CLAMD_H

#include "base/error.h"

typedef enum spl_scan_verdict { SPL_SCAN_CLEAN, SPL_SCAN_INFECTED } spl_scan_verdict;

/* How long a scan may take. */
typedef struct spl_scan_wait {
    unsigned timeout_s; /* in all */
    int (*canceled)(
        void *user); /* asked several times a second; non-zero ends the scan. May be NULL. */
    void *user;
} spl_scan_wait;

/* Scans the regular file `fd` from its start (pread: its position stays). `socket`: "unix:PATH" or
 * "tcp:HOST:PORT". On INFECTED ret_signature is what clamd named. Errors: IO (no connection, no
 * answer in time), CANCELED, LIMIT (clamd's StreamMaxLength), FORMAT (an answer that is not
 * understood). Thread-safe. */
SPL_WARN_UNUSED int spl_clamd_scan(const char *socket, int fd, const spl_scan_wait *wait,
                                   spl_scan_verdict *ret_verdict, char ret_signature[128],
                                   spl_error *ret_error);
/* What an answer to INSTREAM says, without the NUL at its end; `all_sent`: it came after the whole
 * file was sent. Errors: LIMIT, FORMAT. */
SPL_WARN_UNUSED int spl_clamd_parse_answer(const char *answer, bool all_sent,
                                           spl_scan_verdict *ret_verdict, char ret_signature[128],
                                           spl_error *ret_error);
/* Whether it answers PING within two seconds; for /ready. */
bool spl_clamd_alive(const char *socket);

#endif
