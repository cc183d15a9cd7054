/* SPDX-License-Identifier: MIT
 *
 * Blobs in a directory on faulty disks. Each system call fails once in turn: no blob may exist in
 * part, every reported success must exist, and no file may be left behind. Linked with --wrap for
 * those calls. Also: file modes, and symbolic links that lead elsewhere.
 */
#include "folder.h"
#include "service/blobs/blobs.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static char folder[256];
static spl_blobs *blobs;
static spl_error error;

/* ---------------------------------------------- system calls that fail ---- */

static int until_failure = -1, failure_errno; /* -1: no failure is scheduled */
static bool links_fail;

static bool fails(void) {
    if (until_failure < 0 || until_failure-- > 0)
        return false;
    errno = failure_errno;
    return true;
}

#define WRAP(name, parameters, arguments)                                                          \
    int __real_##name parameters;                                                                  \
    int __wrap_##name parameters;                                                                  \
    int __wrap_##name parameters {                                                                 \
        return fails() ? -1 : __real_##name arguments;                                             \
    }
WRAP(mkdirat, (int at, const char *name, mode_t mode), (at, name, mode))
WRAP(renameat, (int from, const char *name, int to, const char *new_name),
     (from, name, to, new_name))

static ino_t flushed[16];
static size_t flushed_count;

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd) {
    struct stat status;
    if (fails())
        return -1;
    fstat(fd, &status);
    flushed[flushed_count++ % SPL_ARRAY_SIZE(flushed)] = status.st_ino;
    return __real_fsync(fd);
}

int __real_openat64(int at, const char *name, int flags, ...);
int __wrap_openat64(int at, const char *name, int flags, mode_t mode);
int __wrap_openat64(int at, const char *name, int flags, mode_t mode) {
    return fails() ? -1 : __real_openat64(at, name, flags, mode);
}

int __real_linkat(int from, const char *name, int to, const char *new_name, int flags);
int __wrap_linkat(int from, const char *name, int to, const char *new_name, int flags);
int __wrap_linkat(int from, const char *name, int to, const char *new_name, int flags) {
    if (links_fail) {
        errno = EPERM;
        return -1;
    }
    return fails() ? -1 : __real_linkat(from, name, to, new_name, flags);
}

ssize_t __real_copy_file_range(int from, off64_t *from_at, int to, off64_t *to_at, size_t size,
                               unsigned flags);
ssize_t __wrap_copy_file_range(int from, off64_t *from_at, int to, off64_t *to_at, size_t size,
                               unsigned flags);
ssize_t __wrap_copy_file_range(int from, off64_t *from_at, int to, off64_t *to_at, size_t size,
                               unsigned flags) {
    return fails() ? -1 : __real_copy_file_range(from, from_at, to, to_at, size, flags);
}

/* ------------------------------------------------------------------------- */

static int set_up(void **state) {
    (void)state;
    folder_make(folder, sizeof(folder));
    return spl_blobs_open_directory(folder, &blobs, &error);
}

static int tear_down(void **state) {
    (void)state;
    blobs->functions->close(blobs);
    folder_remove(folder);
    return 0;
}

static int make_upload(void) {
    spl_blob_writer writer;
    int status = blobs->functions->upload(blobs, &writer, &error);
    if (status < 0)
        return status;
    assert_int_equal(write(writer.fd, "sound", 5), 5);
    return blobs->functions->commit(blobs, &writer, "a", "input", NULL, &error);
}

static int make_output(void) {
    spl_blob_writer writer;
    int status = blobs->functions->output(blobs, "a", "vocals.wav", 1, &writer, &error);
    if (status < 0)
        return status;
    assert_int_equal(write(writer.fd, "sound", 5), 5);
    return blobs->functions->commit(blobs, &writer, "a", "vocals.wav", NULL, &error);
}

static int make_link(void) {
    return blobs->functions->copy(blobs, "a", "b", "vocals.wav", NULL, NULL, &error);
}

static int make_copy(void) {
    links_fail = true;
    int status = blobs->functions->copy(blobs, "a", "c", "vocals.wav", NULL, NULL, &error);
    links_fail = false;
    return status;
}

static bool is_whole(const char *job, const char *name) {
    spl_blob blob;
    char content[6] = "";
    int status = blobs->functions->open(blobs, job, name, NULL, 1, NULL, &blob, &error);
    if (status == SPL_E_NOT_FOUND)
        return false;
    assert_int_equal(status, 0);
    assert_true(blob.complete);
    assert_int_equal(read(blob.fd, content, 6), 5);
    assert_string_equal(content, "sound");
    close(blob.fd);
    return true;
}

static void each_call_fails_in_turn(void **state) {
    (void)state;
    static const struct {
        int (*make)(void);
        const char *job, *name;
        int fewest_calls;
    } steps[] = {{make_upload, "a", "input", 5},
                 {make_output, "a", "vocals.wav", 5},
                 {make_link, "b", "vocals.wav", 4},
                 {make_copy, "c", "vocals.wav", 8}};
    static const struct {
        int number, status;
    } errors[] = {{EIO, SPL_E_IO}, {ENOSPC, SPL_E_NO_SPACE}};
    unsigned files = 0;
    for (size_t s = 0; s < SPL_ARRAY_SIZE(steps); s++) {
        const char *job = steps[s].job;
        for (size_t e = 0; e < SPL_ARRAY_SIZE(errors); e++) {
            for (int call = 0;; call++) {
                assert_int_equal(blobs->functions->remove(blobs, job, steps[s].name, NULL, &error),
                                 0);
                failure_errno = errors[e].number;
                until_failure = call;
                int status = steps[s].make();
                const bool failed = until_failure < 0;
                until_failure = -1;
                assert_int_equal(status, failed ? errors[e].status : 0);
                assert_int_equal(is_whole(job, steps[s].name), !failed);
                assert_int_equal(folder_count(folder, ""), files + !failed);
                if (!failed) {
                    assert_true(call >= steps[s].fewest_calls);
                    break;
                }
            }
        }
        files++;
    }
}

static void opening_fails(void **state) {
    (void)state;
    assert_int_equal(make_upload(), 0);
    blobs->functions->close(blobs);
    int failures = 0;
    for (bool failed = true; failed;) {
        failure_errno = EIO;
        until_failure = failures;
        int status = spl_blobs_open_directory(folder, &blobs, &error);
        failed = until_failure < 0;
        until_failure = -1;
        /* The last two calls concern the job's folder, which is left alone then. */
        const bool concerns_job = status == 0 && failed;
        assert_true(status == 0 || (failed && status == SPL_E_IO));
        failures += failed;
        if (concerns_job)
            blobs->functions->close(blobs);
        else
            assert_int_equal(status, failed ? SPL_E_IO : 0);
    }
    assert_true(failures >= 8);
    assert_true(is_whole("a", "input"));
}

static struct stat status_of(const char *name) {
    char path[300];
    struct stat status;
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    assert_int_equal(stat(path, &status), 0);
    return status;
}

static void assert_flushed(const char *name) {
    const ino_t inode = status_of(name).st_ino;
    size_t i = 0;
    while (i < flushed_count && flushed[i] != inode)
        i++;
    if (i == flushed_count)
        fail_msg("%s was not flushed", name);
}

/* A power loss affects neither the content, nor the name, nor the folder. */
static void what_is_done_is_flushed(void **state) {
    (void)state;
    flushed_count = 0;
    assert_int_equal(make_upload(), 0);
    assert_flushed("blobs/a/input");
    assert_flushed("blobs/a");
    assert_flushed("blobs");
    flushed_count = 0;
    assert_int_equal(make_output(), 0);
    assert_flushed("blobs/a/vocals.wav");
    assert_flushed("blobs/a");
    flushed_count = 0;
    assert_int_equal(make_link(), 0);
    assert_flushed("blobs/b");
    assert_flushed("blobs");
    flushed_count = 0;
    assert_int_equal(make_copy(), 0);
    assert_flushed("blobs/c/vocals.wav");
    assert_flushed("blobs/c");
    flushed_count = 0;
    assert_int_equal(blobs->functions->remove(blobs, "a", "input", NULL, &error), 0);
    assert_flushed("blobs/a");
    flushed_count = 0;
    assert_int_equal(blobs->functions->remove_job(blobs, "a", NULL, &error), 0);
    assert_flushed("blobs");
}

static mode_t mode_of(const char *name) {
    return status_of(name).st_mode & 0777;
}

static void files_are_private(void **state) {
    (void)state;
    const mode_t mask = umask(0);
    assert_int_equal(make_upload(), 0);
    assert_int_equal(make_output(), 0);
    umask(mask);
    assert_int_equal(mode_of("blobs"), 0700);
    assert_int_equal(mode_of("incoming"), 0700);
    assert_int_equal(mode_of("blobs/a"), 0700);
    assert_int_equal(mode_of("blobs/a/input"), 0600);
    assert_int_equal(mode_of("blobs/a/vocals.wav"), 0600);
}

static void in_folder(const char *name, char ret_path[300]) {
    snprintf(ret_path, 300, "%s/%s", folder, name);
}

static void links_are_not_followed(void **state) {
    (void)state;
    char secret[300], link[300];
    in_folder("secret", secret);
    close(open(secret, O_WRONLY | O_CREAT, 0600));
    assert_int_equal(make_upload(), 0);
    spl_blob blob;
    spl_blob_writer writer;

    in_folder("blobs/a/vocals.wav", link);
    assert_int_equal(symlink(secret, link), 0);
    assert_int_equal(blobs->functions->open(blobs, "a", "vocals.wav", NULL, 1, NULL, &blob, &error),
                     SPL_E_IO);
    in_folder("blobs/a/bass.wav.1.part", link);
    assert_int_equal(symlink(secret, link), 0);
    assert_int_equal(blobs->functions->output(blobs, "a", "bass.wav", 1, &writer, &error),
                     SPL_E_EXISTS);
    in_folder("blobs/b", link);
    assert_int_equal(symlink(folder, link), 0);
    assert_int_equal(blobs->functions->open(blobs, "b", "secret", NULL, 1, NULL, &blob, &error),
                     SPL_E_NOT_FOUND);
    assert_int_equal(blobs->functions->remove(blobs, "b", "secret", NULL, &error), 0);
    assert_int_equal(access(secret, F_OK), 0);

    /* A FIFO is not a blob, and opening it does not block. */
    in_folder("blobs/a/fifo", link);
    assert_int_equal(mkfifo(link, 0600), 0);
    assert_int_equal(blobs->functions->open(blobs, "a", "fifo", NULL, 0, NULL, &blob, &error),
                     SPL_E_IO);
}

typedef enum foreign_kind { FOLDER, FULL_FOLDER, FIFO, SOCKET, LOOP, AWAY, KINDS } foreign_kind;

static void make_foreign(const char *path, foreign_kind kind) {
    char inner[400];
    switch (kind) {
    case FOLDER:
    case FULL_FOLDER:
        assert_int_equal(mkdir(path, 0700), 0);
        snprintf(inner, sizeof(inner), "%s/inner", path);
        assert_int_equal(kind == FULL_FOLDER ? mkdir(inner, 0) : 0, 0);
        break;
    case FIFO:
    case SOCKET:
        assert_int_equal(mknod(path, (kind == FIFO ? S_IFIFO : S_IFSOCK) | 0600, 0), 0);
        break;
    default:
        assert_int_equal(symlink(kind == LOOP ? path : "/etc", path), 0);
    }
}

static int do_nothing(void *user, const char *job) {
    (void)user, (void)job;
    return 0;
}

/* Entries of any kind, under names that could be the implementation's own or not, do not prevent
 * the start, and nothing waits for them. */
static void foreign_entries_are_no_obstacle(void **state) {
    (void)state;
    static const char *const places[] = {"incoming/7",           "incoming/8\n",      "blobs/b",
                                         "blobs/a/x.wav.1.part", "blobs/a/\n.1.part", "blobs/c\nd",
                                         "blobs/quarantine/e",   "blobs/lost+found"};
    char path[300];
    assert_int_equal(make_upload(), 0);
    in_folder("blobs/quarantine", path);
    assert_int_equal(mkdir(path, 0700), 0);
    for (int kind = 0; kind < KINDS; kind++) {
        for (size_t i = 0; i < SPL_ARRAY_SIZE(places); i++) {
            in_folder(places[i], path);
            make_foreign(path, (foreign_kind)kind);
        }
        blobs->functions->close(blobs);
        if (spl_blobs_open_directory(folder, &blobs, &error) < 0)
            fail_msg("kind %d: %s", kind, error.message);
        assert_true(is_whole("a", "input"));
        assert_int_equal(blobs->functions->list_jobs(blobs, do_nothing, NULL, &error), 0);
        assert_int_equal(blobs->functions->review_quarantine(blobs, do_nothing, NULL, 100, &error),
                         0);
        for (size_t i = 0; i < SPL_ARRAY_SIZE(places); i++) {
            in_folder(places[i], path);
            folder_remove(path);
        }
    }
}

/* The files of a job go even if an entry of its folder can't be removed. */
static void what_can_be_removed_is_removed(void **state) {
    (void)state;
    char path[300];
    assert_int_equal(make_upload(), 0);
    for (int i = 0; i < 10; i++) {
        snprintf(path, sizeof(path), "%s/blobs/a/%c", folder, 'a' + i);
        if (i == 3 || i == 7)
            make_foreign(path, FULL_FOLDER);
        else
            make_foreign(path, FIFO);
    }
    assert_true(blobs->functions->remove_job(blobs, "a", NULL, &error) < 0);
    in_folder("blobs/a", path);
    assert_int_equal(folder_count(path, ""), 0);
}

static void a_stray_file_is_no_obstacle(void **state) {
    (void)state;
    char stray[300];
    in_folder("blobs/stray", stray);
    close(open(stray, O_WRONLY | O_CREAT, 0600));
    blobs->functions->close(blobs);
    assert_int_equal(spl_blobs_open_directory(folder, &blobs, &error), 0);
    assert_int_equal(blobs->functions->remove_job(blobs, "stray", NULL, &error), 0);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(each_call_fails_in_turn),
        TEST(what_is_done_is_flushed),
        TEST(opening_fails),
        TEST(files_are_private),
        TEST(links_are_not_followed),
        TEST(a_stray_file_is_no_obstacle),
        TEST(foreign_entries_are_no_obstacle),
        TEST(what_can_be_removed_is_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
