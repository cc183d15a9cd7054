/* SPDX-License-Identifier: MIT
 *
 * The limit of processes in made-up control groups of both versions.
 */
#include "base/processes.h"
#include "folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

static char folder[256];

static void write_file(const char *name, const char *text) {
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void make(const char *name) {
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

static uint64_t limit_of(const char *groups) {
    char list[512];
    write_file("list", groups);
    snprintf(list, sizeof(list), "%s/list", folder);
    return spl_processes_cgroup_max(list, folder);
}

static void the_least_limit_counts(void **state) {
    (void)state;
    folder_make(folder, sizeof(folder));
    assert_int_equal(spl_processes_cgroup_max("/nowhere", folder), UINT64_MAX);
    assert_int_equal(limit_of("0::/a/b\n"), UINT64_MAX);
    make("a");
    make("a/b");
    write_file("a/b/pids.max", "max\n");
    assert_int_equal(limit_of("0::/a/b\n"), UINT64_MAX);
    write_file("a/pids.max", "500\n");
    assert_int_equal(limit_of("0::/a/b\n"), 500);
    write_file("a/b/pids.max", "70\n");
    assert_int_equal(limit_of("0::/a/b\n"), 70);
    assert_int_equal(limit_of("0::/a\n"), 500);
    assert_int_equal(limit_of("0::/\n"), UINT64_MAX);
    /* version 1, in a container that sees its own group as the root */
    make("pids");
    make("cpu,pids");
    write_file("pids/pids.max", "90\n");
    write_file("cpu,pids/pids.max", "80\n");
    assert_int_equal(limit_of("9:cpu:/x\n8:pids:/docker/1\n0::/\n"), 90);
    assert_int_equal(limit_of("8:cpu,pids:/docker/1\n0::/\n"), 80);
    assert_int_equal(limit_of("8:rapids:/\nnonsense\n:\n8:pids\n8:pids:\n\n"), UINT64_MAX);
    folder_remove(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_least_limit_counts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
