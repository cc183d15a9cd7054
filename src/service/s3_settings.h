/* SPDX-License-Identifier: MIT
 *
 * What the settings say about S3, for the service and for `spleeterd config check`.
 */
#ifndef SPL_SERVICE_S3_SETTINGS_H
#define SPL_SERVICE_S3_SETTINGS_H

#include "service/blobs/blobs.h"
#include "service/core/settings.h"

/* The texts belong to `settings`. */
static inline spl_blobs_s3 spl_s3_settings(const spl_settings *settings) {
    return (spl_blobs_s3){
        .data_dir = settings->data_dir,
        .endpoint = settings->s3_endpoint,
        .public_endpoint = settings->s3_public_endpoint,
        .bucket = settings->s3_bucket,
        .region = settings->s3_region,
        .access_key_id = settings->s3_access_key_id,
        .secret_access_key = settings->s3_secret_access_key,
        .cache_bytes = settings->cache_bytes,
    };
}

#endif
