/* SPDX-License-Identifier: MIT
 *
 * The account of disk space, on a disk whose free space the test sets (fstatvfs is wrapped).
 */
#include "service/core/space.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include <cmocka.h>

#define MIB ((uint64_t)1 << 20)

static atomic_uint_least64_t free_bytes;
static uint64_t all_files, free_files;

int __wrap_fstatvfs64(int fd, struct statvfs *ret_disk);
int __wrap_fstatvfs64(int fd, struct statvfs *ret_disk) {
    (void)fd;
    *ret_disk = (struct statvfs){.f_frsize = 1,
                                 .f_bavail = atomic_load(&free_bytes),
                                 .f_files = all_files,
                                 .f_favail = free_files};
    return 0;
}

static spl_space *open_space(uint64_t free_mib, uint64_t min_mib) {
    spl_space *space = NULL;
    atomic_store(&free_bytes, free_mib * MIB);
    assert_int_equal(spl_space_open("/tmp", min_mib * MIB, &space, NULL), 0);
    return space;
}

static void write_bytes(spl_space_grant *grant, uint64_t bytes) {
    atomic_fetch_sub(&free_bytes, bytes);
    spl_space_spend(grant, bytes);
}

static void grants_count_until_they_are_written(void **state) {
    (void)state;
    spl_space *space = open_space(100, 40);
    spl_space_grant one = {.space = space}, two = {.space = space};
    spl_error error;
    assert_int_equal(spl_space_reserve(&one, 50 * MIB, &error), 0);
    assert_int_equal(spl_space_reserve(&two, 11 * MIB, &error), SPL_E_NO_SPACE);
    assert_int_equal(two.left_bytes, 0);
    assert_int_equal(spl_space_reserve(&two, 10 * MIB, &error), 0);
    write_bytes(&one, 30 * MIB);
    assert_int_equal(one.left_bytes, 20 * MIB);
    assert_int_equal(spl_space_reserve(&two, 10 * MIB + 1, &error), SPL_E_NO_SPACE);
    spl_space_release(&one);
    spl_space_release(&one);
    assert_int_equal(spl_space_reserve(&two, 30 * MIB, &error), 0);
    assert_int_equal(spl_space_reserve(&two, 5 * MIB, &error), 0);
    assert_int_equal(two.left_bytes, 30 * MIB);
    spl_space_release(&two);
    spl_space_close(space);
}

static void checks_grant_nothing(void **state) {
    (void)state;
    spl_space *space = open_space(100, 40);
    spl_space_grant one = {.space = space}, two = {.space = space};
    spl_error error;
    assert_int_equal(spl_space_check(&one, 60 * MIB, &error), 0);
    assert_int_equal(spl_space_reserve(&two, 60 * MIB, &error), 0);
    assert_int_equal(spl_space_check(&one, 1, &error), SPL_E_NO_SPACE);
    assert_int_equal(spl_space_check(&two, 60 * MIB, &error), 0);
    spl_space_release(&two);
    spl_space_close(space);
}

static void unknown_sizes_are_granted_in_pieces(void **state) {
    (void)state;
    spl_space *space = open_space(3, 0);
    spl_space_grant grants[3] = {{.space = space}, {.space = space}, {.space = space}};
    assert_int_equal(spl_space_take(&grants[0], 10, NULL), 0);
    assert_int_equal(grants[0].left_bytes, MIB);
    assert_int_equal(spl_space_take(&grants[1], 3 * MIB / 2, NULL), 0);
    assert_int_equal(spl_space_take(&grants[2], 10, NULL), 0); /* less than a piece is left */
    assert_int_equal(grants[2].left_bytes, MIB / 2);
    assert_int_equal(spl_space_take(&grants[2], MIB / 2 + 1, NULL), SPL_E_NO_SPACE);
    for (int i = 0; i < 3; i++)
        spl_space_release(&grants[i]);
    spl_space_close(space);
}

static void accepted_work_may_use_half_of_the_minimum(void **state) {
    (void)state;
    spl_space *space = open_space(50, 40);
    spl_space_grant upload = {.space = space}, output = {.space = space, .use = SPL_SPACE_FINISH};
    assert_int_equal(spl_space_reserve(&output, 30 * MIB, NULL), 0);
    assert_int_equal(spl_space_reserve(&output, 30 * MIB + 1, NULL), SPL_E_NO_SPACE);
    assert_int_equal(spl_space_reserve(&upload, 1, NULL), SPL_E_NO_SPACE);
    spl_space_release(&output);
    assert_int_equal(spl_space_reserve(&upload, 10 * MIB, NULL), 0);
    spl_space_release(&upload);
    spl_space_close(space);
}

/* A file system with a limit of files keeps some free; one without says 0. */
static void new_work_leaves_inodes(void **state) {
    (void)state;
    spl_space *space = open_space(50, 40);
    spl_space_grant upload = {.space = space}, output = {.space = space, .use = SPL_SPACE_FINISH};
    spl_error error;
    bool full = true;
    assert_int_equal(spl_space_is_full(space, &full, NULL), 0);
    assert_false(full);
    all_files = 1000;
    free_files = SPL_SPACE_MIN_FILES - 1;
    assert_int_equal(spl_space_is_full(space, &full, NULL), 0);
    assert_true(full);
    assert_int_equal(spl_space_reserve(&upload, 1, &error), SPL_E_NO_SPACE);
    assert_non_null(strstr(error.message, "inodes"));
    assert_int_equal(spl_space_reserve(&output, 1, NULL), 0);
    free_files = SPL_SPACE_MIN_FILES;
    assert_int_equal(spl_space_is_full(space, &full, NULL), 0);
    assert_false(full);
    assert_int_equal(spl_space_reserve(&upload, 1, NULL), 0);
    all_files = free_files = 0;
    atomic_store(&free_bytes, 40 * MIB - 1);
    assert_int_equal(spl_space_is_full(space, &full, NULL), 0);
    assert_true(full);
    spl_space_release(&upload);
    spl_space_release(&output);
    spl_space_close(space);
}

static void no_account_is_no_limit(void **state) {
    (void)state;
    spl_space_grant grant = {0};
    assert_int_equal(spl_space_check(&grant, UINT64_MAX, NULL), 0);
    assert_int_equal(spl_space_reserve(&grant, UINT64_MAX, NULL), 0);
    assert_int_equal(spl_space_take(&grant, UINT64_MAX, NULL), 0);
    spl_space_spend(&grant, 5);
    spl_space_release(&grant);
    spl_space_close(NULL);
}

static void *write_until_full(void *user) {
    spl_space_grant grant = {.space = user};
    while (spl_space_take(&grant, 10000, NULL) == 0)
        write_bytes(&grant, 10000);
    spl_space_release(&grant);
    return NULL;
}

static void concurrent_writers_keep_the_minimum(void **state) {
    (void)state;
    spl_space *space = open_space(64, 40);
    pthread_t writers[16];
    for (int i = 0; i < 16; i++)
        assert_int_equal(pthread_create(&writers[i], NULL, write_until_full, space), 0);
    for (int i = 0; i < 16; i++)
        pthread_join(writers[i], NULL);
    assert_in_range(atomic_load(&free_bytes), 40 * MIB, 57 * MIB);
    spl_space_grant all = {.space = space}; /* nothing is granted any more */
    assert_int_equal(spl_space_reserve(&all, atomic_load(&free_bytes) - 40 * MIB, NULL), 0);
    spl_space_release(&all);
    spl_space_close(space);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grants_count_until_they_are_written),
        cmocka_unit_test(checks_grant_nothing),
        cmocka_unit_test(unknown_sizes_are_granted_in_pieces),
        cmocka_unit_test(accepted_work_may_use_half_of_the_minimum),
        cmocka_unit_test(new_work_leaves_inodes),
        cmocka_unit_test(no_account_is_no_limit),
        cmocka_unit_test(concurrent_writers_keep_the_minimum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
