/* SPDX-License-Identifier: MIT
 *
 * Webhook signatures by the Standard Webhooks specification 1.0.0
 * (https://www.standardwebhooks.com): "v1," and base64 of HMAC-SHA256 over "ID.TIMESTAMP.PAYLOAD".
 * The key is the base64 text after "whsec_".
 */
#ifndef SPL_SERVICE_AUTH_WEBHOOK_SIGNATURE_H
#define SPL_SERVICE_AUTH_WEBHOOK_SIGNATURE_H

#include "base/error.h"

/* "v1,", 44 characters, NUL. */
#define SPL_WEBHOOK_SIGNATURE_SIZE 48

/* Maximum difference between a timestamp and the receiver's clock. */
#define SPL_WEBHOOK_TOLERANCE_S 300

/* Writes the value of the webhook-signature header. `secret`: "whsec_..." or the base64 alone, of
 * 16 to 64 bytes. Errors: ARGUMENT (the secret, or an id that is empty, too long or has a dot),
 * MEMORY. */
SPL_WARN_UNUSED int spl_webhook_sign(const char *secret, const char *id, int64_t timestamp_s,
                                     const char *payload, size_t size,
                                     char ret_signature[SPL_WEBHOOK_SIGNATURE_SIZE]);

/* Checks the three headers, unmodified. `signatures` may hold several, separated by spaces; one of
 * them must be right. Errors: ARGUMENT (the secret), FORMAT (a header is missing or malformed),
 * LIMIT (the timestamp differs from `now_s` by more than SPL_WEBHOOK_TOLERANCE_S), PERMISSION (no
 * signature is right), MEMORY. */
SPL_WARN_UNUSED int spl_webhook_verify(const char *secret, const char *id, const char *timestamp,
                                       const char *signatures, const char *payload, size_t size,
                                       int64_t now_s, spl_error *ret_error);

#endif
