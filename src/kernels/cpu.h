/* SPDX-License-Identifier: MIT
 *
 * Which instruction sets this CPU has, and which of them the kernels may use.
 */
#ifndef SPL_KERNELS_CPU_H
#define SPL_KERNELS_CPU_H

enum {
    SPL_CPU_AVX2 = 1 << 0, /* AVX2 and FMA, with the operating system saving their registers */
};

/* The usable flags: those of the CPU, less what SPLEETER_CPU=c in the environment or spl_cpu_set_mask forbids. Thread-safe. */
unsigned spl_cpu_flags(void);

/* Allows only the flags in `mask` from now on; for tests and benchmarks. */
void spl_cpu_set_mask(unsigned mask);

#endif
