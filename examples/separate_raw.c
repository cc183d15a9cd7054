/* SPDX-License-Identifier: MIT
 *
 * Separates raw audio from standard input into one raw file per stem.
 *
 *     separate_raw MODEL < song.f32
 *
 * Input and outputs are 32-bit float PCM, stereo, interleaved, 44,100 Hz. MODEL is a name such as
 * "2stems" or the path of a model folder. Each file is named after its stem, for example vocals.f32
 * and accompaniment.f32.
 */
#include <spleeter/spleeter.h>

#include <stdio.h>

typedef struct stem_files {
    const spl_model_info *model;
    FILE *files[SPL_STEMS_MAX];
} stem_files;

static spl_status read_samples(void *user, float *samples, size_t capacity, size_t *ret_count) {
    (void)user;
    *ret_count = fread(samples, 2 * sizeof(float), capacity, stdin);
    return ferror(stdin) ? SPL_E_IO : SPL_OK;
}

static spl_status write_samples(void *user, const float *const *stems, size_t count) {
    const stem_files *out = user;
    for (unsigned i = 0; i < out->model->stem_count; i++) {
        if (fwrite(stems[i], 2 * sizeof(float), count, out->files[i]) != count)
            return SPL_E_IO;
    }
    return SPL_OK;
}

static spl_status open_files(stem_files *out) {
    for (unsigned i = 0; i < out->model->stem_count; i++) {
        char name[256];
        snprintf(name, sizeof(name), "%s.f32", out->model->stems[i].name);
        out->files[i] = fopen(name, "wb");
        if (!out->files[i]) {
            perror(name);
            return SPL_E_IO;
        }
    }
    return SPL_OK;
}

static spl_status close_files(stem_files *out) {
    spl_status status = SPL_OK;
    for (unsigned i = 0; i < out->model->stem_count; i++) {
        if (out->files[i] && fclose(out->files[i]) != 0)
            status = SPL_E_IO;
    }
    return status;
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fputs("usage: separate_raw MODEL < song.f32\n", stderr);
        return 2;
    }

    spl_error error = {0};
    spl_model_choice choice;
    spl_model *model = NULL;
    spl_status status = spl_model_resolve(argv[1], NULL, &choice, &error);
    if (status == SPL_OK)
        status = spl_model_open(choice.path, &model, &error);
    if (status < 0) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }

    stem_files out = {.model = spl_model_get_info(model)};
    status = open_files(&out);
    if (status == SPL_OK) {
        spl_separate_options options;
        spl_separate_options_init(&options);
        options.bandwidth = choice.bandwidth;
        spl_source source = {.read = read_samples};
        spl_sink sink = {.user = &out, .write = write_samples};
        status = spl_separate(model, &options, &source, &sink, &error);
        if (status < 0)
            fprintf(stderr, "%s: %s\n", spl_status_text(status), error.message);
    }
    spl_status closed = close_files(&out);
    spl_model_unref(model);
    return status < 0 || closed < 0;
}
