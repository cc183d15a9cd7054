/* SPDX-License-Identifier: MIT
 *
 * What the tests of the model room share: a temporary folder, a net so small
 * that every cut of its file can be tried, and a writer of TensorFlow checkpoints.
 */
#ifndef SPL_TESTS_MODEL_FIXTURE_H
#define SPL_TESTS_MODEL_FIXTURE_H

#include "lib/formats/safetensors.h"
#include "lib/networks/unet/net.h"

/* cmocka.h needs these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

/* Bytes that grow. */
typedef struct test_bytes {
    uint8_t *data;
    size_t size;
} test_bytes;

void bytes_add(test_bytes *bytes, const void *data, size_t size);
void bytes_free(test_bytes *bytes);

/* For cmocka: *state becomes the path of a new temporary folder, and goes with all that is in it.
 */
int make_folder(void **state);
int remove_folder(void **state);

/* "folder/name"; lives until 64 calls later. */
const char *in_folder(const char *folder, const char *name);

void write_file(const char *path, const void *data, size_t size);
void write_text(const char *path, const char *text);
test_bytes read_file(const char *path);
bool exists(const char *path);
unsigned count_entries(const char *folder);

/* A net with these filters whose numbers differ from each other and with `seed`; freed by free_net.
 */
typedef struct test_net {
    spl_net_weights weights;
    spl_net_tensor tensors[SPL_NET_TENSORS]; /* of `weights` */
    float *numbers;
} test_net;

void make_net(test_net *net, const unsigned filters[SPL_UNET_DEPTH], unsigned seed);
void free_net(test_net *net);

extern const unsigned tiny_filters[SPL_UNET_DEPTH]; /* 1 filter a layer */

/* Makes a model folder with `stem_count` tiny nets; those of stems from `shared` on are the same.
 */
void make_model(const char *folder, unsigned stem_count, unsigned shared);

/* One tensor of a checkpoint. */
typedef struct bundle_tensor {
    char name[80];
    unsigned dtype, rank;
    size_t shape[6];
    const void *data;
    size_t size_bytes;
    bool sliced;
} bundle_tensor;

/* What a checkpoint is to look like; zeroed: one shard, one block, TensorFlow's restart interval.
 */
typedef struct bundle_options {
    unsigned shards;            /* 0: 1 */
    unsigned tensors_per_block; /* 0: all */
    uint8_t compression;        /* the blocks' type byte */
    unsigned big_endian, min_consumer;
    bool unsorted;
    const char *wrong_crc; /* name of the tensor whose CRC is to be wrong */
} bundle_options;

/* Writes `prefix`.index and its data files. `tensors` must be sorted by name. */
void write_bundle(const char *prefix, const bundle_tensor *tensors, size_t count,
                  const bundle_options *options);

/* The variables of `count` nets as Spleeter names them, sorted, with a step counter and an
 * optimizer's slot; freed by free(). */
bundle_tensor *make_spleeter_tensors(const test_net *nets, unsigned count, size_t *ret_count);

/* Succeeds if `call` fails with `status` and a message that contains `text`. */
#define assert_fails(call, error, expected, text)                                                  \
    do {                                                                                           \
        memset(&(error), 0, sizeof(error));                                                        \
        assert_int_equal((call), (expected));                                                      \
        assert_int_equal((error).status, (expected));                                              \
        if (!strstr((error).message, (text)))                                                      \
            fail_msg("\"%s\" is not in: %s", (text), (error).message);                             \
    } while (0)

#endif
