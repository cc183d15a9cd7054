/* SPDX-License-Identifier: MIT
 *
 * CRC-32C (Castagnoli), and the masked form that LevelDB and TensorFlow store.
 */
#ifndef SPL_LIB_FORMATS_CRC32C_H
#define SPL_LIB_FORMATS_CRC32C_H

#include "base/macros.h"

typedef struct spl_crc32c_tables {
    uint32_t of_byte[8][256]; /* [k][b]: remainder of byte b with k zero bytes after it */
} spl_crc32c_tables;

void spl_crc32c_init(spl_crc32c_tables *ret_tables);

/* The CRC-32C of `size` bytes. */
uint32_t spl_crc32c(const spl_crc32c_tables *tables, const void *data, size_t size);

/* The CRC-32C that was stored as `masked`: there it is rotated right by 15 bits and a constant
 * added, so that the CRC of data that contain CRCs stays a good one. */
static inline uint32_t spl_crc32c_unmask(uint32_t masked) {
    uint32_t rotated = masked - 0xa282ead8u;
    return rotated >> 17 | rotated << 15;
}

#endif
