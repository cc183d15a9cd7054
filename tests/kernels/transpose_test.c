/* SPDX-License-Identifier: MIT
 *
 * Transposition of pixels by channel.
 */
#include "base/macros.h"
#include "kernels_fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void transpose_follows_definition(void **state) {
    (void)state;
    for (size_t t = 0; t < table_count; t++)
        for (unsigned channels = 1; channels <= 33; channels++)
            for (unsigned width = 1; width <= 34; width += 3) {
                const size_t step = width + 1, to_count = (channels - 1) * step + width;
                const size_t pixel_step = channels + width % 2;
                const size_t count = (width - 1) * pixel_step + channels;
                float *pixels = buffer_new(count), *to = buffer_new(to_count);
                tables[t]->transpose(pixels, (ptrdiff_t)pixel_step, width, channels, to,
                                     (ptrdiff_t)step);
                for (unsigned x = 0; x < width; x++)
                    for (unsigned c = 0; c < channels; c++)
                        assert_true(to[c * step + x] == pixels[x * pixel_step + c]);
                buffer_free(pixels, count);
                buffer_free(to, to_count);
            }
}

int main(void) {
    kernels_find();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transpose_follows_definition),
    };
    return cmocka_run_group_tests_name("transpose", tests, NULL, NULL);
}
