/* SPDX-License-Identifier: MIT
 *
 * All kernels of one instruction set. The including file defines its name, SPL_ISA.
 */
#include "lib/kernels/conv_body.h"
#include "lib/kernels/fft_body.h"
#include "lib/kernels/single_body.h"
#include "lib/kernels/spectrum_body.h"
#include "lib/kernels/winograd_body.h"

#define TABLE_NAME_(isa) spl_kernels_##isa
#define TABLE_NAME(isa)  TABLE_NAME_(isa)
#define TEXT_(isa)       #isa
#define TEXT(isa)        TEXT_(isa)

const spl_kernels TABLE_NAME(SPL_ISA) = {
    .isa = TEXT(SPL_ISA),
    .conv_row = conv_row,
    .single_row = single_row,
    .transpose = transpose,
    .mask_row = mask_row,
    .winograd_weights = winograd_weights,
    .winograd_input = winograd_input,
    .winograd_product = winograd_product,
    .winograd_output = winograd_output,
    .peak = peak,
    .peak_lanes = CHAINS * LANES,
    .fft = fft,
    .window = window_stereo,
    .window_add = window_add,
    .magnitude = magnitude,
    .gains = gains,
    .softmax = softmax,
    .apply = apply,
};
