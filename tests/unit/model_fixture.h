/* SPDX-License-Identifier: MIT
 *
 * Shared by the model tests: a temporary folder, a network so small that every truncation of its
 * file can be tried, and a writer of TensorFlow checkpoints.
 */
#ifndef SPL_TESTS_MODEL_FIXTURE_H
#define SPL_TESTS_MODEL_FIXTURE_H

#include "lib/formats/safetensors.h"
#include "lib/networks/unet/network.h"

/* cmocka.h requires these headers first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

/* A growable byte buffer. */
typedef struct test_bytes {
    uint8_t *data;
    size_t size;
} test_bytes;

void bytes_add(test_bytes *bytes, const void *data, size_t size);
void bytes_free(test_bytes *bytes);

/* cmocka setup and teardown: *state is the path of a new temporary folder, which is removed with
 * its contents. */
int make_folder(void **state);
int remove_folder(void **state);

/* Returns "folder/name". The string stays valid for the next 64 calls. */
const char *in_folder(const char *folder, const char *name);

void write_file(const char *path, const void *data, size_t size);
void write_text(const char *path, const char *text);
test_bytes read_file(const char *path);
bool exists(const char *path);
unsigned count_entries(const char *folder);

/* A network whose weights differ from each other and between seeds. make_net() fills it in;
 * free_net() frees it. */
typedef struct test_net {
    spl_network_weights weights;
    spl_network_tensor tensors[SPL_NETWORK_TENSORS]; /* the tensors of `weights` */
    float *numbers;
} test_net;

void make_net(test_net *net, const unsigned filters[SPL_UNET_DEPTH], unsigned seed);
void free_net(test_net *net);

extern const unsigned tiny_filters[SPL_UNET_DEPTH]; /* 1 filter per layer */

/* Makes a model folder with `stem_count` tiny networks. The stems from index `shared` on have the
 * same one. */
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

/* The layout of a checkpoint. Zeroed: one shard, one block, TensorFlow's restart interval. */
typedef struct bundle_options {
    unsigned shards;            /* 0 means 1 */
    unsigned tensors_per_block; /* 0 means all */
    uint8_t compression;        /* the type byte of the blocks */
    unsigned big_endian, min_consumer;
    bool unsorted;
    bool repeats_block; /* an empty block that the index names twice */
    bool shares_data;   /* all tensors have the data of the first one */
    /* Name of the tensor that is written with a wrong CRC. */
    const char *wrong_crc;
} bundle_options;

/* Writes `prefix`.index and its data files. `tensors` must be sorted by name. */
void write_bundle(const char *prefix, const bundle_tensor *tensors, size_t count,
                  const bundle_options *options);

/* Returns the variables of `count` networks under Spleeter's names, sorted, with a step counter and
 * an optimizer slot. The caller frees them with free(). */
bundle_tensor *make_spleeter_tensors(const test_net *nets, unsigned count, size_t *ret_count);

/* Asserts that `call` fails with the status `expected` and a message that contains `text`. */
#define assert_fails(call, error, expected, text)                                                  \
    do {                                                                                           \
        memset(&(error), 0, sizeof(error));                                                        \
        assert_int_equal((call), (expected));                                                      \
        assert_int_equal((error).status, (expected));                                              \
        if (!strstr((error).message, (text)))                                                      \
            fail_msg("\"%s\" is not in: %s", (text), (error).message);                             \
    } while (0)

#endif
