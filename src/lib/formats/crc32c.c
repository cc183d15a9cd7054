/* SPDX-License-Identifier: MIT
 *
 * CRC-32C, eight bytes per step with eight tables ("slicing by 8", M. Kounavis and F. Berry, 2005).
 * It reaches more than 1 GB/s on any CPU, so special instructions are not needed.
 */
#include "lib/formats/crc32c.h"

#include <string.h>

#define POLYNOMIAL 0x82f63b78u /* 0x1edc6f41, bits reversed */

void spl_crc32c_init(spl_crc32c_tables *ret_tables) {
    for (uint32_t b = 0; b < 256; b++) {
        uint32_t crc = b;
        for (unsigned bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? POLYNOMIAL : 0);
        ret_tables->of_byte[0][b] = crc;
    }
    for (unsigned k = 1; k < 8; k++) {
        for (uint32_t b = 0; b < 256; b++) {
            uint32_t crc = ret_tables->of_byte[k - 1][b];
            ret_tables->of_byte[k][b] = crc >> 8 ^ ret_tables->of_byte[0][crc & 0xff];
        }
    }
}

uint32_t spl_crc32c(const spl_crc32c_tables *tables, const void *data, size_t size) {
    const uint8_t *bytes = data;
    const uint32_t(*t)[256] = tables->of_byte;
    uint32_t crc = 0xffffffffu;
    for (; size >= 8; size -= 8, bytes += 8) {
        uint32_t low, high;
        memcpy(&low, bytes, sizeof(low));
        memcpy(&high, bytes + 4, sizeof(high));
        low ^= crc;
        crc = t[7][low & 0xff] ^ t[6][low >> 8 & 0xff] ^ t[5][low >> 16 & 0xff] ^ t[4][low >> 24] ^
              t[3][high & 0xff] ^ t[2][high >> 8 & 0xff] ^ t[1][high >> 16 & 0xff] ^
              t[0][high >> 24];
    }
    for (; size > 0; size--, bytes++)
        crc = crc >> 8 ^ t[0][(crc ^ *bytes) & 0xff];
    return ~crc;
}
