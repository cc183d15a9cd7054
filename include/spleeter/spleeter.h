/* SPDX-License-Identifier: MIT
 *
 * libspleeter: music source separation with Deezer's Spleeter models, natively.
 *
 * Open a model (model.h), then separate with it (separate.h). The library never
 * prints, never exits, keeps no global state, and opens no file but those it is given.
 */
#ifndef SPLEETER_SPLEETER_H
#define SPLEETER_SPLEETER_H

#include <spleeter/error.h>
#include <spleeter/model.h>
#include <spleeter/separate.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The library's version, such as "0.1.0". Thread-safe. */
SPL_API const char *spl_version(void);

/* The instruction set that the kernels use on this CPU: "avx2" or "c".
 * SPLEETER_CPU=c in the environment forces the portable kernels. Thread-safe. */
SPL_API const char *spl_cpu_isa(void);

#ifdef __cplusplus
}
#endif

#endif
