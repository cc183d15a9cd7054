/* SPDX-License-Identifier: MIT
 *
 * Repeatedly kills, at random moments, a process that works on jobs and blobs. Everything that it
 * acknowledged must exist afterwards, each job must have one result, and no file may be left
 * without a job.
 *
 *     store_kills_test [KILLS [SEED]]
 *
 * The process creates, claims, finishes and removes jobs in several threads, and writes a line to a
 * pipe after each successful call. Every second kill is a power loss for the database: unflushed
 * data of SQLite is lost, too.
 */
#include "base/clock.h"
#include "faulty_vfs.h"
#include "folder.h"
#include "service/blobs/blobs.h"
#include "service/store/store.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define INPUT  "input"
#define OUTPUT "vocals.wav"
enum { JOBS_PER_RUN = 1000, LEASE_MS = 600000, QUEUE_MAX = 40 };

static char folder[256];
static spl_store *store;
static spl_blobs *blobs;
static _Thread_local spl_error error;

static void expect(bool truth, const char *format, ...) SPL_PRINTF(2, 3);
static void expect(bool truth, const char *format, ...) {
    if (truth)
        return;
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\n(the files are in %s)\n", folder);
    _exit(1);
}

static void expect_success(int status, const char *what) {
    expect(status == 0, "%s: %s", what, error.message);
}

static void open_all(void) {
    expect_success(spl_blobs_open_directory(folder, &blobs, &error), "opening the blobs");
    expect_success(spl_store_open_sqlite(folder, &store, &error), "opening the store");
}

static void close_all(void) {
    store->functions->close(store);
    blobs->functions->close(blobs);
}

/* ------------------------------------------------ the killed process ---- */

static int acknowledge_fd;
static pid_t parent; /* the process exits when it is gone */
static unsigned run;
static atomic_uint jobs_begun, jobs_created;

static void acknowledge(char what, const char *id) {
    char line[SPL_ID_SIZE + 8];
    int size = snprintf(line, sizeof(line), "%c %s\n", what, id);
    expect(write(acknowledge_fd, line, (size_t)size) == size, "the pipe is full");
}

static void make_id(unsigned number, char ret_id[SPL_ID_SIZE]) {
    snprintf(ret_id, SPL_ID_SIZE, "0190d5a0-%04x-7000-8000-%012u", run & 0xffff, number);
}

/* Whether the call succeeded. Any status but success and `allowed` fails the test. */
static bool succeeded(int status, int allowed, const char *what) {
    expect(status == 0 || status == allowed, "%s: %s", what, error.message);
    return status == 0;
}

static void *create_jobs(void *user) {
    for (unsigned number; (number = atomic_fetch_add(&jobs_begun, 1)) < JOBS_PER_RUN;) {
        spl_job job = {.owner = user, .created_ms = 1, .input_bytes = SPL_ID_SIZE - 1};
        make_id(number, job.id);
        spl_blob_writer writer;
        expect_success(blobs->functions->upload(blobs, &writer, &error), "upload");
        expect(write(writer.fd, job.id, SPL_ID_SIZE - 1) == SPL_ID_SIZE - 1, "no space");
        expect_success(blobs->functions->commit(blobs, &writer, job.id, INPUT, NULL, &error),
                       "commit");
        const spl_store_create create = {.job = &job,
                                         .queue_max = QUEUE_MAX,
                                         .owner_jobs_max = 100000,
                                         .owner_bytes_max = INT64_MAX};
        spl_store_limit limit;
        while (!succeeded(store->functions->create(store, &create, &limit, &error), SPL_E_LIMIT,
                          "create"))
            usleep(1000);
        acknowledge('c', job.id);
        jobs_created = number + 1;
    }
    return NULL;
}

/* Runs one job. Returns whether there was one. */
static bool do_one_job(void (*done)(char what, const char *id)) {
    const spl_store_claim claim = {.worker = "w",
                                   .now_ms = spl_wall_ms(),
                                   .lease_ms = LEASE_MS,
                                   .attempts_max = 1000000,
                                   .retention_ms = 1};
    spl_job job;
    unsigned dead;
    if (!succeeded(store->functions->claim(store, &claim, &job, &dead, &error), SPL_E_NOT_FOUND,
                   "claim"))
        return false;
    spl_blob_writer writer;
    expect_success(blobs->functions->output(blobs, job.id, OUTPUT, job.fence, &writer, &error),
                   "output");
    spl_job_output output = {
        .name = "vocals", .file = OUTPUT, .complete = true, .bytes = SPL_ID_SIZE - 1};
    const spl_store_finish finish = {.state = SPL_JOB_SUCCEEDED,
                                     .now_ms = spl_wall_ms(),
                                     .expires_ms = INT64_MAX,
                                     .result = "{}",
                                     .stored_bytes = 2 * (SPL_ID_SIZE - 1)};
    bool cancel;
    if (succeeded(store->functions->heartbeat(store, job.id, job.fence, spl_wall_ms(), LEASE_MS,
                                              0.5, &cancel, &error),
                  SPL_E_CANCELED, "heartbeat")) {
        expect(write(writer.fd, job.id, SPL_ID_SIZE - 1) == SPL_ID_SIZE - 1, "no space");
        if (succeeded(blobs->functions->commit(blobs, &writer, job.id, OUTPUT, NULL, &error),
                      SPL_E_NOT_FOUND, "commit of an output") &&
            succeeded(store->functions->set_output(store, job.id, job.fence, &output, &error),
                      SPL_E_CANCELED, "set_output") &&
            succeeded(store->functions->finish(store, job.id, job.fence, &finish, &error),
                      SPL_E_CANCELED, "finish"))
            done('f', job.id);
        else /* the job was removed meanwhile */
            expect_success(blobs->functions->remove_job(blobs, job.id, NULL, &error), "remove_job");
    }
    blobs->functions->discard(blobs, &writer);
    spl_job_free(&job);
    return true;
}

static void *do_jobs(void *user) {
    (void)user;
    while (getppid() == parent) {
        if (!do_one_job(acknowledge))
            store->functions->wait_queue(store, 1000);
    }
    return NULL;
}

static void *remove_jobs(void *user) {
    (void)user;
    for (unsigned turn = 0; getppid() == parent; turn++) {
        usleep(3000);
        char id[SPL_ID_SIZE];
        if (jobs_created == 0)
            continue;
        make_id(turn * 7919 % jobs_created, id);
        acknowledge('-', id);
        if (succeeded(store->functions->remove(store, NULL, id, &error), SPL_E_NOT_FOUND,
                      "remove")) {
            expect_success(blobs->functions->remove_job(blobs, id, NULL, &error), "remove_job");
            acknowledge('r', id);
        }
    }
    return NULL;
}

static void work_until_killed(void) {
    open_all();
    uint64_t rescued;
    expect_success(store->functions->rescue(store, 1, &rescued, &error), "rescue");
    void *(*const threads[])(void *) = {create_jobs, create_jobs, do_jobs, do_jobs, remove_jobs};
    static char owners[][2] = {"a", "b", "", "", ""};
    for (size_t i = 0; i < SPL_ARRAY_SIZE(threads); i++) {
        pthread_t thread;
        expect(pthread_create(&thread, NULL, threads[i], owners[i]) == 0, "no threads");
    }
    while (getppid() == parent)
        usleep(100000);
    _exit(1);
}

/* ---------------------------------------------- the checking process ---- */

typedef struct known_job {
    char id[SPL_ID_SIZE];
    bool created, removing, removed;
    unsigned finished;
} known_job;

static known_job *known;
static size_t known_count;

static known_job *find(const char *id) {
    for (size_t i = known_count; i-- > 0;) {
        if (strcmp(known[i].id, id) == 0)
            return &known[i];
    }
    known = reallocarray(known, known_count + 1, sizeof(*known));
    expect(known != NULL, "out of memory");
    known_job *job = &known[known_count++];
    *job = (known_job){0};
    snprintf(job->id, sizeof(job->id), "%s", id);
    return job;
}

static void note(char what, const char *id) {
    known_job *job = find(id);
    job->created |= what == 'c';
    job->removing |= what == '-';
    job->removed |= what == 'r';
    job->finished += what == 'f';
}

static void read_acknowledged(int fd) {
    FILE *lines = fdopen(fd, "r");
    char line[SPL_ID_SIZE + 8];
    while (fgets(line, sizeof(line), lines)) {
        line[strcspn(line, "\n")] = '\0';
        note(line[0], line + 2);
    }
    fclose(lines);
}

static bool has_blob(const char *id, const char *name) {
    spl_blob blob;
    if (!succeeded(blobs->functions->open(blobs, id, name, NULL, 0, NULL, &blob, &error),
                   SPL_E_NOT_FOUND, "open"))
        return false;
    char content[SPL_ID_SIZE] = "";
    expect(read(blob.fd, content, sizeof(content)) == SPL_ID_SIZE - 1 && strcmp(content, id) == 0,
           "%s of %s has '%s' in it", name, id, content);
    close(blob.fd);
    return true;
}

/* Removes the blobs that belong to no job; the service quarantines those at its start. */
static int remove_orphan(void *user, const char *id) {
    (void)user;
    bool holds;
    if (succeeded(store->functions->holds_files(store, id, &holds, &error), SPL_E_NOT_FOUND,
                  "holds_files"))
        expect(holds, "a job that never expires has");
    else
        expect_success(blobs->functions->remove_job(blobs, id, NULL, &error), "remove_job");
    return 0;
}

static int expect_job(void *user, const char *id) {
    unsigned *files = user;
    spl_job job;
    expect_success(store->functions->get(store, NULL, id, &job, &error), "a folder without a job");
    *files += has_blob(id, INPUT) + has_blob(id, OUTPUT);
    spl_job_free(&job);
    return 0;
}

static void expect_intact(void) {
    char path[300];
    sqlite3 *db;
    sqlite3_stmt *row = NULL;
    snprintf(path, sizeof(path), "%s/jobs.db", folder);
    expect(sqlite3_open(path, &db) == SQLITE_OK &&
               sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &row, NULL) == SQLITE_OK &&
               sqlite3_step(row) == SQLITE_ROW,
           "the database can't be checked");
    const char *answer = (const char *)sqlite3_column_text(row, 0);
    expect(strcmp(answer, "ok") == 0, "the database is damaged: %s", answer);
    sqlite3_finalize(row);
    sqlite3_close(db);
}

static void expect_all_that_was_acknowledged(bool all_done) {
    for (size_t i = 0; i < known_count; i++) {
        const known_job *expected = &known[i];
        expect(expected->finished <= 1, "%s was finished %u times", expected->id,
               expected->finished);
        spl_job job = {0};
        const bool there = succeeded(store->functions->get(store, NULL, expected->id, &job, &error),
                                     SPL_E_NOT_FOUND, "get");
        expect(there || expected->removing || !expected->created, "%s is lost", expected->id);
        expect(!there || !expected->removed, "%s was removed", expected->id);
        if (!there)
            continue;
        expect(has_blob(expected->id, INPUT), "the input of %s is lost", expected->id);
        expect(job.state == SPL_JOB_SUCCEEDED || (job.state == SPL_JOB_QUEUED && !all_done),
               "%s is %s", expected->id, spl_job_state_text(job.state));
        expect(job.state == SPL_JOB_SUCCEEDED || !expected->finished, "%s was finished once",
               expected->id);
        expect(job.state != SPL_JOB_SUCCEEDED ||
                   (has_blob(expected->id, OUTPUT) && job.output_count == 1),
               "the output of %s is lost", expected->id);
        spl_job_free(&job);
    }
}

static void look_after_a_kill(bool power_loss) {
    char path[300];
    snprintf(path, sizeof(path), "%s/jobs.db", folder);
    if (power_loss)
        faulty_vfs_lose_power(path);
    open_all();
    uint64_t rescued;
    unsigned files = 0;
    expect_success(store->functions->rescue(store, 1, &rescued, &error), "rescue");
    expect_success(blobs->functions->list_jobs(blobs, remove_orphan, NULL, &error), "list_jobs");
    expect_all_that_was_acknowledged(false);
    expect_success(blobs->functions->list_jobs(blobs, expect_job, &files, &error), "list_jobs");
    char jobs_folder[300], incoming[300];
    snprintf(jobs_folder, sizeof(jobs_folder), "%s/blobs", folder);
    snprintf(incoming, sizeof(incoming), "%s/incoming", folder);
    expect(folder_count(jobs_folder, "") == files, "there are files that belong to no job");
    expect(folder_count(incoming, "") == 0, "there are unfinished uploads");
    close_all();
    expect_intact();
}

int main(int argc, char **argv) {
    const unsigned kills = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 10;
    unsigned seed = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : (unsigned)getpid();
    printf("%u kills, seed %u\n", kills, seed);
    fflush(stdout);
    folder_make(folder, sizeof(folder));
    faulty_vfs_install();
    faulty_vfs_keep_durable();
    parent = getpid();
    for (run = 0; run < kills; run++) {
        int ends[2];
        expect(pipe2(ends, O_CLOEXEC) == 0 && fcntl(ends[0], F_SETPIPE_SZ, 1 << 20) > 0, "no pipe");
        pid_t child = fork();
        expect(child >= 0, "no process");
        if (child == 0) {
            acknowledge_fd = ends[1];
            work_until_killed();
        }
        close(ends[1]);
        seed = seed * 1664525u + 1013904223u;
        usleep(1000 + (seed >> 8) % 300000);
        kill(child, SIGKILL);
        int ended;
        waitpid(child, &ended, 0);
        expect(WIFSIGNALED(ended) && WTERMSIG(ended) == SIGKILL, "the process failed by itself");
        read_acknowledged(ends[0]);
        look_after_a_kill(run % 2 == 1);
    }
    open_all();
    while (do_one_job(note))
        ;
    expect_all_that_was_acknowledged(true);
    close_all();

    unsigned created = 0, removed = 0, finished = 0;
    for (size_t i = 0; i < known_count; i++) {
        created += known[i].created;
        removed += known[i].removed;
        finished += known[i].finished;
    }
    printf("acknowledged: %u created, %u removed, %u finished; none lost, none twice\n", created,
           removed, finished);
    expect(kills < 10 || (created > kills && removed > 0 && finished > kills),
           "too little was done");
    free(known);
    folder_remove(folder);
    return 0;
}
