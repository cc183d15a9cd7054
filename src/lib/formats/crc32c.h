/* SPDX-License-Identifier: MIT
 *
 * CRC-32C (Castagnoli), and the masked form that LevelDB and TensorFlow store.
 */
#ifndef SPL_LIB_FORMATS_CRC32C_H
#define SPL_LIB_FORMATS_CRC32C_H

#include "base/macros.h"

typedef struct spl_crc32c_tables {
    uint32_t of_byte[8][256]; /* [k][b]: remainder of byte b followed by k zero bytes */
} spl_crc32c_tables;

void spl_crc32c_init(spl_crc32c_tables *ret_tables);

/* Returns the CRC-32C of `size` bytes. */
uint32_t spl_crc32c(const spl_crc32c_tables *tables, const void *data, size_t size);

/* Recovers the CRC-32C from its masked form, which is rotated right by 15 bits with a constant
 * added. Masking keeps the CRC effective on data that contains CRCs. */
static inline uint32_t spl_crc32c_unmask(uint32_t masked) {
    uint32_t rotated = masked - 0xa282ead8u;
    return rotated >> 17 | rotated << 15;
}

#endif
