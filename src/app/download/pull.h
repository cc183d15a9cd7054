/* SPDX-License-Identifier: MIT
 *
 * Deezer's own models, from where Deezer released them or from a copy of that.
 *
 * A release is BASE/checksum.json, which maps a model's name to the SHA-256 of BASE/NAME.tar.gz, a
 * TensorFlow checkpoint. A pull downloads the archive (going on where an earlier one stopped),
 * checks it, unpacks it, and imports it as the model folder spleeter-NAME, which appears whole or
 * not at all: until then a model of that name stays what it was.
 */
#ifndef SPL_APP_DOWNLOAD_PULL_H
#define SPL_APP_DOWNLOAD_PULL_H

#include "base/error.h"

#define SPL_PULL_BASE "https://github.com/deezer/spleeter/releases/download/v1.4.0"

typedef enum spl_pull_phase {
    SPL_PULL_DOWNLOAD,
    SPL_PULL_CHECK,  /* the archive's SHA-256 */
    SPL_PULL_IMPORT, /* unpack, convert, read back */
} spl_pull_phase;

typedef struct spl_pull_progress {
    spl_pull_phase phase;
    uint64_t done_bytes, total_bytes; /* of the download; 0: not known */
} spl_pull_progress;

typedef struct spl_pull_options {
    const char *name;   /* "2stems", "4stems" or "5stems" */
    const char *base;   /* an https, http or file URL, or a folder's path; NULL: SPL_PULL_BASE.
                           Proxies come from libcurl's environment variables. An https base is not
                           left for http, whatever the server says */
    const char *folder; /* the folder of model folders; made if needed */
    unsigned stall_s;   /* give up when less than 100 bytes a second come for so long; 0: 30 */
    void *user;
    int (*progress)(void *user,
                    const spl_pull_progress *progress); /* non-zero cancels; may be NULL */
} spl_pull_options;

/* Pulls a model. *ret_path is its folder, owned by the caller; *ret_changed says whether it is new:
 * a model that was made of the archive that checksum.json names, and is whole, is left as it is.
 * What has been downloaded is kept for the next try when the connection fails or the caller
 * cancels. May be called from any thread; a second pull of one model into one folder at the same
 * time is refused (ARGUMENT). Errors: ARGUMENT, NOT_FOUND, CHECKSUM, FORMAT, UNSUPPORTED, LIMIT, IO
 * (the network included), NO_SPACE, PERMISSION, CANCELED, MEMORY. */
SPL_WARN_UNUSED int spl_model_pull(const spl_pull_options *options, char **ret_path,
                                   bool *ret_changed, spl_error *ret_error);

#endif
