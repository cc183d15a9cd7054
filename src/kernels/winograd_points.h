/* SPDX-License-Identifier: MIT
 *
 * The points of Winograd's transforms: 0, +-A, +-B and infinity.
 */
#ifndef SPL_KERNELS_WINOGRAD_POINTS_H
#define SPL_KERNELS_WINOGRAD_POINTS_H

#define SPL_WINOGRAD_A 0.625
#define SPL_WINOGRAD_B 1.5

#endif
