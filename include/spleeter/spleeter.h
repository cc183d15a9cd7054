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

/* The instruction set that the kernels use on this CPU: "avx512", "avx2" or "generic" (SSE2 on
 * amd64, NEON on arm64). SPLEETER_CPU=avx2 or generic in the environment forbids those before it.
 * Thread-safe. */
SPL_API const char *spl_cpu_isa(void);

/* Measures, for about a tenth of a second, the peak of multiply-adds in single precision with that
 * instruction set on `threads` threads at once (0: all CPUs of this process), in FLOP/s; 0 when
 * memory runs out. */
SPL_API double spl_cpu_peak_flops(unsigned threads);

#ifdef __cplusplus
}
#endif

#endif
