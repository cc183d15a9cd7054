/* SPDX-License-Identifier: MIT
 *
 * Signatures of webhooks by the Standard Webhooks specification 1.0.0
 * (https://www.standardwebhooks.com): "v1," and base64 of HMAC-SHA256 over "ID.TIMESTAMP.PAYLOAD".
 * The key is what stands in base64 after "whsec_".
 */
#ifndef SPL_SERVICE_AUTH_WEBHOOK_SIGNATURE_H
#define SPL_SERVICE_AUTH_WEBHOOK_SIGNATURE_H

#include "base/error.h"

/* "v1,", 44 characters, NUL. */
#define SPL_WEBHOOK_SIGNATURE_SIZE 48

/* What receivers allow between the timestamp and their clock. */
#define SPL_WEBHOOK_TOLERANCE_S 300

/* The value of the header webhook-signature. `secret`: "whsec_..." or the base64 alone, of 16 to 64
 * bytes. Errors: ARGUMENT (the secret, or an id that is empty or has a dot), MEMORY. */
SPL_WARN_UNUSED int spl_webhook_sign(const char *secret, const char *id, int64_t timestamp_s,
                                     const char *payload, size_t size,
                                     char ret_signature[SPL_WEBHOOK_SIGNATURE_SIZE]);

/* Checks the three headers as they came: `signatures` may hold several, separated by spaces, of
 * which one must be right. Errors: ARGUMENT (the secret), FORMAT (a header is missing or
 * malformed), LIMIT (the timestamp is more than SPL_WEBHOOK_TOLERANCE_S away from `now_s`),
 * PERMISSION (no signature is right), MEMORY. */
SPL_WARN_UNUSED int spl_webhook_verify(const char *secret, const char *id, const char *timestamp,
                                       const char *signatures, const char *payload, size_t size,
                                       int64_t now_s, spl_error *ret_error);

#endif
