/* SPDX-License-Identifier: MIT
 *
 * Virus scan by clamd: INSTREAM over its Unix or TCP socket. Any response but a plain "stream: OK"
 * refuses the file.
 */
#ifndef SPL_SERVICE_SCAN_CLAMD_H
#define SPL_SERVICE_SCAN_CLAMD_H

#include "base/error.h"

typedef enum spl_scan_verdict { SPL_SCAN_CLEAN, SPL_SCAN_INFECTED } spl_scan_verdict;

/* Limits of a scan. */
typedef struct spl_scan_wait {
    unsigned timeout_s; /* total */
    /* Polled several times a second; non-zero ends the scan. May be NULL. */
    int (*canceled)(void *user);
    void *user;
} spl_scan_wait;

/* Scans the regular file `fd` from its start with pread, so its position stays. `socket`:
 * "unix:PATH" or "tcp:HOST:PORT". On INFECTED ret_signature is the name that clamd reports. Errors:
 * ARGUMENT (`socket`), IO (no connection, or no response in time), CANCELED, LIMIT (clamd's
 * StreamMaxLength), FORMAT (an unexpected response), MEMORY. Thread-safe. */
SPL_WARN_UNUSED int spl_clamd_scan(const char *socket, int fd, const spl_scan_wait *wait,
                                   spl_scan_verdict *ret_verdict, char ret_signature[128],
                                   spl_error *ret_error);
/* Parses a response to INSTREAM, without its final NUL. `all_sent`: it arrived after the whole file
 * was sent. Errors: LIMIT, FORMAT. */
SPL_WARN_UNUSED int spl_clamd_parse_answer(const char *answer, bool all_sent,
                                           spl_scan_verdict *ret_verdict, char ret_signature[128],
                                           spl_error *ret_error);
/* Whether clamd responds to PING within two seconds; for /ready. */
bool spl_clamd_alive(const char *socket);

#endif
