/* SPDX-License-Identifier: MIT
 *
 * The modes of the codec helper. Each enters the sandbox before it touches the media file.
 */
#ifndef SPL_CODEC_CODEC_H
#define SPL_CODEC_CODEC_H

#include "app/audio/codec_protocol.h"

/* Decodes the file and sends its samples. On failure the caller reports the error. */
SPL_WARN_UNUSED int spl_codec_decode(const spl_decode_request *request, spl_error *ret_error);

/* Receives samples and encodes them into the file. On failure the caller reports the error. */
SPL_WARN_UNUSED int spl_codec_encode(const spl_encode_request *request, spl_error *ret_error);

/* Attempts operations that the sandbox must deny, and prints a line for each. Returns the program's
 * exit status. */
int spl_codec_self_test(void);

#endif
