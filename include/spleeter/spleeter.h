/* SPDX-License-Identifier: MIT
 *
 * libspleeter: music source separation with Deezer's Spleeter models, in C.
 *
 * Open a model (model.h), then separate with it (separate.h). The library never prints, never
 * exits, keeps no global state, and opens only the files that it is given.
 */
#ifndef SPLEETER_SPLEETER_H
#define SPLEETER_SPLEETER_H

#include <spleeter/error.h>
#include <spleeter/model.h>
#include <spleeter/separate.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of the API that this header describes. MAJOR increases with every incompatible change
 * to the API or the ABI, and is the number in the library's soname. MINOR increases with every
 * addition. A program built with version a.b works with the libraries a.c, c >= b. */
#define SPL_API_VERSION_MAJOR 0
#define SPL_API_VERSION_MINOR 1

/* A version as one number: MAJOR in the upper 16 bits, MINOR in the lower. */
#define SPL_API_VERSION (SPL_API_VERSION_MAJOR << 16 | SPL_API_VERSION_MINOR)

/* Returns SPL_API_VERSION of the library that is in use. Thread-safe. */
SPL_API uint32_t spl_api_version(void);

/* Returns the library's version, such as "0.1.0". Thread-safe. */
SPL_API const char *spl_version(void);

/* Returns the instruction set that the kernels use on this CPU: "avx512", "avx2" or "generic" (SSE2
 * on amd64, NEON on arm64). The environment variable SPLEETER_CPU=avx2 or SPLEETER_CPU=generic
 * limits the choice to that set and the ones after it. Thread-safe. */
SPL_API const char *spl_cpu_isa(void);

/* Measures the peak rate of single-precision multiply-adds with that instruction set on `threads`
 * threads (0: all CPUs of this process), in FLOP/s. Takes about a tenth of a second. Returns 0 when
 * out of memory. */
SPL_API double spl_cpu_peak_flops(unsigned threads);

#ifdef __cplusplus
}
#endif

#endif
