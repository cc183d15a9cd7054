/* SPDX-License-Identifier: MIT
 *
 * Downloads Deezer's models from Deezer's release or a mirror of it.
 *
 * A release consists of BASE/checksum.json, which maps each model's name to the SHA-256 of
 * BASE/NAME.tar.gz, and these archives, which hold TensorFlow checkpoints. A pull downloads the
 * archive (resuming an earlier download), verifies and unpacks it, and imports it as the model
 * folder spleeter-NAME. The folder appears atomically; until then, an existing model of that name
 * is unchanged.
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
    uint64_t done_bytes, total_bytes; /* of the download; 0: unknown */
} spl_pull_progress;

typedef struct spl_pull_options {
    const char *name; /* "2stems", "4stems" or "5stems" */
    /* An https, http or file URL, or the path of a folder; NULL: SPL_PULL_BASE. Proxies come from
     * libcurl's environment variables. An https base never redirects to http. */
    const char *base;
    /* The folder of model folders; created if needed. */
    const char *folder;
    /* Give up after this many seconds at less than 2,048 bytes per second; 0: 30. */
    unsigned stall_s;
    void *user;
    /* Non-zero cancels; may be NULL. */
    int (*progress)(void *user, const spl_pull_progress *progress);
} spl_pull_options;

/* Pulls a model. *ret_path is its folder, owned by the caller. *ret_changed is false if an intact
 * model from the archive in checksum.json already exists; it is left unchanged. A partial download
 * is kept for the next try when the connection fails or the caller cancels. May be called from any
 * thread. Errors: EXISTS (another pull of this model into this folder is running), ARGUMENT,
 * NOT_FOUND, CHECKSUM, FORMAT, UNSUPPORTED, LIMIT, IO (including network errors), NO_SPACE,
 * PERMISSION, CANCELED, MEMORY. */
SPL_WARN_UNUSED int spl_model_pull(const spl_pull_options *options, char **ret_path,
                                   bool *ret_changed, spl_error *ret_error);

#endif
