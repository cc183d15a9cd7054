/* SPDX-License-Identifier: MIT
 *
 * Evaluates songs in order, several in parallel: matches estimates with true stems, opens decoders,
 * and computes scores.
 */
#include "app/evaluate/evaluate.h"

#include "app/pipeline/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define OTHER         "other"
#define ACCOMPANIMENT "accompaniment"

/* The factored matrix of 16 stems takes 1 GiB, and grows with the square. */
#define STEMS_MAX 16

/* Each song has a decoder for each file, and a codec helper behind each decoder. */
#define SONGS_AT_ONCE_MAX 8u

/* An open file whose samples are summed into a signal. */
typedef struct signal_input {
    int fd;
    char *path;
    unsigned track;
    spl_decoder *decoder;
} signal_input;

/* The sum of inputs: a true stem or an estimate. */
typedef struct signal_sum {
    signal_input *inputs;
    unsigned count;
} signal_sum;

typedef struct song_job {
    const spl_song *song;
    size_t number;
    const spl_evaluate_options *options;
    pthread_mutex_t *mutex; /* of options->progress */
    spl_pool *pool;
    unsigned stems;
    char **names;           /* [stems] */
    signal_sum *signals;    /* [2 * stems]: true stems, estimates */
    double from;            /* the separation's share of the progress */
    uint64_t total_samples; /* from the files' headers; 0: unknown */
} song_job;

static bool report_progress(const song_job *job, double fraction) {
    if (!job->options->progress)
        return false;
    pthread_mutex_lock(job->mutex);
    const bool cancel = job->options->progress(job->options->user, job->number, fraction);
    pthread_mutex_unlock(job->mutex);
    return cancel;
}

/* ------------------------------------------------------------ inputs ---- */

static int add_input(signal_sum *sum, int fd, const char *path, unsigned track,
                     spl_error *ret_error) {
    SPL_CLEANUP(spl_close_p) int owned = fd;
    signal_input *longer = reallocarray(sum->inputs, sum->count + 1, sizeof(*sum->inputs));
    if (!longer)
        return spl_fail_memory(ret_error);
    sum->inputs = longer;
    char *copy = strdup(path);
    if (!copy)
        return spl_fail_memory(ret_error);
    longer[sum->count++] = (signal_input){.fd = spl_steal_fd(&owned), .path = copy, .track = track};
    return 0;
}

static int add_file(signal_sum *sum, const spl_stem_file *file, spl_error *ret_error) {
    const int fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return spl_fail_errno(ret_error, errno, "cannot open %s", file->path);
    return add_input(sum, fd, file->path, file->track, ret_error);
}

/* Starts all decoders from the first sample. */
static int start_decoders(void *user, spl_error *ret_error) {
    song_job *job = user;
    for (unsigned i = 0; i < 2 * job->stems; i++) {
        for (unsigned k = 0; k < job->signals[i].count; k++) {
            signal_input *input = &job->signals[i].inputs[k];
            spl_decoder_free(SPL_STEAL(input->decoder));
            const spl_decode_options options = {.channels = job->options->pipeline.channels,
                                                .track = input->track,
                                                .stop = job->options->pipeline.stop};
            int status =
                spl_decoder_open(input->fd, input->path, &options, &input->decoder, ret_error);
            if (status < 0)
                return status;
        }
    }
    const uint64_t duration_us = spl_decoder_info(job->signals[0].inputs[0].decoder)->duration_us;
    job->total_samples = (uint64_t)(1e-6 * (double)duration_us * SPL_SAMPLE_RATE_HZ);
    return 0;
}

/* Adds up to `count` samples of the input to `samples`. Returns their number or an error status. */
static int read_input(signal_input *input, float *samples, unsigned count, spl_error *ret_error) {
    float part[2 * 4096];
    unsigned done = 0;
    while (done < count) {
        size_t got;
        int status =
            spl_decoder_read(input->decoder, part, SPL_MIN(count - done, 4096u), &got, ret_error);
        if (status < 0)
            return status;
        if (got == 0)
            break;
        for (size_t n = 0; n < 2 * got; n++)
            samples[2 * (size_t)done + n] += part[n];
        done += (unsigned)got;
    }
    return (int)done;
}

static int read_signal(void *user, unsigned number, float *samples, unsigned count,
                       spl_error *ret_error) {
    const signal_sum *sum = &((song_job *)user)->signals[number];
    memset(samples, 0, 2 * (size_t)count * sizeof(*samples));
    int longest = 0;
    for (unsigned i = 0; i < sum->count; i++) {
        const int got = read_input(&sum->inputs[i], samples, count, ret_error);
        if (got < 0)
            return got;
        longest = SPL_MAX(longest, got);
    }
    return longest;
}

/* ---------------------------------------------------------- matching ---- */

static bool has_estimate(const song_job *job, const char *name) {
    for (unsigned i = 0; i < job->stems; i++) {
        if (strcmp(job->names[i], name) == 0)
            return true;
    }
    return false;
}

static const spl_stem_file *find_stem(const spl_stem_files *files, const char *name) {
    for (unsigned i = 0; i < files->count; i++) {
        if (strcmp(files->files[i].name, name) == 0)
            return &files->files[i];
    }
    return NULL;
}

/* Adds the true stems that the estimate `name` is compared with. */
static int match_stem(const song_job *job, const char *name, signal_sum *sum,
                      spl_error *ret_error) {
    const spl_stem_files *truth = &job->song->truth;
    const spl_stem_file *own = find_stem(truth, name);
    const bool other = strcmp(name, OTHER) == 0;
    if (own && !other)
        return add_file(sum, own, ret_error);
    int status = 0;
    for (unsigned i = 0; status == 0 && i < truth->count; i++) {
        const spl_stem_file *file = &truth->files[i];
        const bool rest = !has_estimate(job, file->name) && strcmp(file->name, ACCOMPANIMENT) != 0;
        if (file == own || (rest && (other || strcmp(name, ACCOMPANIMENT) == 0)))
            status = add_file(sum, file, ret_error);
    }
    if (status == 0 && sum->count == 0)
        return spl_fail(ret_error, SPL_E_NOT_FOUND, "%s: there is no true stem for %s",
                        job->song->name, name);
    return status;
}

static int make_signals(song_job *job, unsigned stems, spl_error *ret_error) {
    if (stems > STEMS_MAX)
        return spl_fail(ret_error, SPL_E_LIMIT,
                        "%s: there are %u stems, and at most %d can be evaluated together; leave "
                        "some out",
                        job->song->name, stems, STEMS_MAX);
    job->names = calloc(stems, sizeof(*job->names));
    job->signals = calloc(2 * (size_t)stems, sizeof(*job->signals));
    if (!job->names || !job->signals)
        return spl_fail_memory(ret_error);
    job->stems = stems;
    return 0;
}

static int match_stems(song_job *job, spl_error *ret_error) {
    if (has_estimate(job, OTHER) && has_estimate(job, ACCOMPANIMENT))
        return spl_fail(ret_error, SPL_E_ARGUMENT,
                        "%s: %s and %s of one song cannot be evaluated together", job->song->name,
                        OTHER, ACCOMPANIMENT);
    int status = 0;
    for (unsigned i = 0; status == 0 && i < job->stems; i++)
        status = match_stem(job, job->names[i], &job->signals[i], ret_error);
    return status;
}

/* --------------------------------------------------------- estimates ---- */

static int list_estimates(const char *folder, const char *name, spl_stem_files *ret_files) {
    SPL_CLEANUP(spl_free_p) char *path = NULL;
    spl_stem_files files;
    if (asprintf(&path, "%s%s%s", folder, *name ? "/" : "", name) < 0 ||
        spl_stem_files_list(path, &files, NULL) < 0)
        return 0;
    if (files.count == 0)
        spl_stem_files_clear(&files);
    else
        *ret_files = files;
    return (int)ret_files->count;
}

static int use_folder(song_job *job, bool single, spl_error *ret_error) {
    SPL_CLEANUP(spl_stem_files_clear) spl_stem_files files = {0};
    const char *folder = job->options->estimates, *name = job->song->name;
    const char *slash = strrchr(name, '/');
    if (!list_estimates(folder, name, &files) &&
        !(slash && list_estimates(folder, slash + 1, &files)) &&
        !(single && list_estimates(folder, "", &files)))
        return spl_fail(ret_error, SPL_E_NOT_FOUND, "there are no estimates of %s in %s", name,
                        folder);
    int status = make_signals(job, files.count, ret_error);
    for (unsigned i = 0; status == 0 && i < files.count; i++) {
        job->names[i] = SPL_STEAL(files.files[i].name);
        status = add_file(&job->signals[files.count + i], &files.files[i], ret_error);
    }
    return status;
}

static spl_status separation_progress(void *user, const spl_progress *progress) {
    const song_job *job = user;
    const double total = (double)progress->samples_total;
    const double of_pass = total > 0 ? fmin((double)progress->samples_done / total, 1) : 0;
    return report_progress(job, job->from * (progress->pass - 1 + of_pass) / progress->passes)
               ? SPL_E_CANCELED
               : SPL_OK;
}

/* Separates the mixture into unnamed files. */
static int use_model(song_job *job, unsigned threads, spl_error *ret_error) {
    const char *mixture = job->song->truth.mixture;
    if (!mixture)
        return spl_fail(ret_error, SPL_E_NOT_FOUND, "%s: there is no mixture to separate",
                        job->song->name);
    spl_pipeline_options pipeline = job->options->pipeline;
    const spl_model_info *info = spl_model_get_info(pipeline.model);
    spl_output outputs[SPL_STEMS_MAX] = {0};
    int status = make_signals(job, info->stem_count, ret_error);
    for (unsigned i = 0; status == 0 && i < info->stem_count; i++) {
        int fd = -1;
        job->names[i] = strdup(info->stems[i].name);
        status = job->names[i] ? spl_spool_open(job->options->temporary_folder, &fd, ret_error)
                               : spl_fail_memory(ret_error);
        outputs[i] = (spl_output){.name = info->stems[i].name, .stems = 1u << i, .fd = fd};
        if (status == 0)
            status = add_input(&job->signals[info->stem_count + i], fd, info->stems[i].name, 0,
                               ret_error);
    }
    if (status < 0)
        return status;
    SPL_CLEANUP(spl_close_p) int fd = open(mixture, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return spl_fail_errno(ret_error, errno, "cannot open %s", mixture);
    pipeline.codec = SPL_CODEC_WAV;
    pipeline.sample_format = SPL_SAMPLES_FLOAT;
    pipeline.threads = threads;
    pipeline.progress = separation_progress;
    pipeline.progress_user = job;
    job->from = 0.5;
    spl_pipeline_result result;
    spl_error error;
    status =
        spl_pipeline_run(fd, mixture, &pipeline, outputs, info->stem_count, &result, NULL, &error);
    if (status == SPL_E_NO_SPACE)
        return spl_fail(ret_error, status,
                        "%s: its stems do not fit into %s; set TMPDIR to a folder with more space",
                        mixture, job->options->temporary_folder);
    return status < 0 ? spl_fail(ret_error, status, "%s", error.message) : 0;
}

/* ------------------------------------------------------------- songs ---- */

static bool scoring_progress(void *user, unsigned pass, uint64_t samples) {
    const song_job *job = user;
    const double total = (double)job->total_samples;
    const double of_pass = total > 0 ? fmin((double)samples / total, 1) : 0;
    return report_progress(job, job->from + (1 - job->from) * (pass - 1 + of_pass) / 2);
}

static void clear_job(song_job *job) {
    for (unsigned i = 0; i < 2 * job->stems; i++) {
        for (unsigned k = 0; k < job->signals[i].count; k++) {
            signal_input *input = &job->signals[i].inputs[k];
            spl_decoder_free(input->decoder);
            close(input->fd);
            free(input->path);
        }
        free(job->signals[i].inputs);
    }
    for (unsigned i = 0; job->names && i < job->stems; i++)
        free(job->names[i]);
    free(job->signals);
    free(job->names);
    spl_pool_free(job->pool);
}

static int evaluate_song(song_job *job, bool single, unsigned threads, spl_song_scores *scores,
                         spl_error *ret_error) {
    int status;
    if ((status = spl_pool_new(threads, &job->pool, ret_error)) < 0 ||
        (status = job->options->estimates ? use_folder(job, single, ret_error)
                                          : use_model(job, threads, ret_error)) < 0 ||
        (status = match_stems(job, ret_error)) < 0 || (status = start_decoders(job, ret_error)) < 0)
        return status;
    const spl_bss_source source = {.user = job,
                                   .stems = job->stems,
                                   .read = read_signal,
                                   .rewind = start_decoders,
                                   .stop = job->options->pipeline.stop};
    spl_error error;
    status = spl_bss_eval(&source, job->pool, scoring_progress, job, &scores->bss, &error);
    if (status < 0)
        return spl_fail(ret_error, error.status, "%s: %s", job->song->name, error.message);
    scores->stems = SPL_STEAL(job->names);
    return 0;
}

typedef struct all_songs {
    const spl_songs *songs;
    const spl_evaluate_options *options;
    unsigned threads_each;
    pthread_mutex_t mutex;
    spl_song_scores *scores;
} all_songs;

static void evaluate_task(void *user, size_t number, unsigned thread) {
    all_songs *all = user;
    (void)thread;
    SPL_CLEANUP(clear_job)
    song_job job = {
        .song = &all->songs->songs[number],
        .number = number,
        .options = all->options,
        .mutex = &all->mutex,
    };
    spl_song_scores *scores = &all->scores[number];
    if (report_progress(&job, 0))
        spl_fail(&scores->error, SPL_E_CANCELED, "%s: interrupted", job.song->name);
    else if (evaluate_song(&job, all->songs->count == 1, all->threads_each, scores,
                           &scores->error) == 0)
        report_progress(&job, 1);
}

int spl_evaluate(const spl_songs *songs, const spl_evaluate_options *options,
                 spl_song_scores **ret_scores, spl_error *ret_error) {
    const unsigned threads = options->threads ? options->threads : spl_cpu_count();
    const unsigned at_once = (unsigned)SPL_MIN(SPL_MIN(threads, SONGS_AT_ONCE_MAX), songs->count);
    all_songs all = {
        .songs = songs,
        .options = options,
        .threads_each = SPL_MAX(threads / SPL_MAX(at_once, 1u), 1u),
        .mutex = PTHREAD_MUTEX_INITIALIZER,
        .scores = calloc(songs->count, sizeof(*all.scores)),
    };
    if (!all.scores)
        return spl_fail_memory(ret_error);
    spl_pool *pool;
    int status = spl_pool_new(at_once, &pool, ret_error);
    if (status == 0) {
        spl_pool_run(pool, songs->count, evaluate_task, &all);
        spl_pool_free(pool);
    }
    for (size_t i = 0; status == 0 && i < songs->count; i++) {
        if (all.scores[i].error.status == SPL_E_CANCELED)
            status = spl_fail(ret_error, SPL_E_CANCELED, "interrupted");
    }
    if (status < 0)
        spl_song_scores_free(all.scores, songs->count);
    else
        *ret_scores = all.scores;
    return status;
}

void spl_song_scores_free(spl_song_scores *scores, size_t count) {
    for (size_t i = 0; scores && i < count; i++) {
        for (unsigned k = 0; scores[i].stems && k < scores[i].bss.stems; k++)
            free(scores[i].stems[k]);
        free(scores[i].stems);
        spl_bss_result_clear(&scores[i].bss);
    }
    free(scores);
}
