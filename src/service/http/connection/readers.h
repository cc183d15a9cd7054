/* SPDX-License-Identifier: MIT
 *
 * Answers that send files of jobs. A deleted file takes up the disk for as long as somebody reads
 * it, although its owner's storage no longer counts it. Such an answer therefore ends soon after
 * its job was deleted, expired, failed or was canceled, and also when the credential that may read
 * the file is revoked.
 */
#ifndef SPL_SERVICE_HTTP_CONNECTION_READERS_H
#define SPL_SERVICE_HTTP_CONNECTION_READERS_H

#include "service/http/connection/request.h"

/* Call it before the answer opens a file of a job, with spl_job_file's members. It holds until the
 * end of the answer. */
void spl_request_reads(const spl_request *request, const char *job, int64_t fence);
/* Ends the answers that must not go on, of all connections. Call it every second or so. */
void spl_readers_check(spl_http *http);

#endif
