/* SPDX-License-Identifier: MIT
 *
 * Models by name, and a small cache of open ones.
 */
#include "service/jobs/models.h"

#include "app/models/search_path.h"
#include "app/request/values.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/json.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define OPEN_MAX               2
#define VERDICTS_MAX           8
#define MANIFEST_NAME          "manifest.json"
#define MANIFEST_MAX_BYTES     ((size_t)1 << 20)
#define DEEZER_FOLDER_PREFIX   "spleeter-"
#define SPLEETER_MODEL_PREFIX  "spleeter:"
#define SPLEETER_16K_SUFFIX    "-16kHz"
#define CONFIGURATION_FILE_END ".json"

typedef struct open_model {
    spl_model *model; /* NULL: free slot */
    char sha256[65];
    uint64_t used; /* sequence number of the last use */
} open_model;

/* The cached result of a check of a model's files. */
typedef struct model_verdict {
    char sha256[65], files_id[65]; /* "": free slot */
    spl_error error;               /* status OK: the files are intact */
} model_verdict;

struct spl_models {
    char *search_path;
    pthread_mutex_t check_lock; /* protects the verdicts */
    model_verdict verdicts[VERDICTS_MAX];
    size_t next_verdict;
    pthread_mutex_t lock; /* protects the members below */
    open_model open[OPEN_MAX];
    uint64_t uses;
};

int spl_models_open(spl_models **ret_models, spl_error *ret_error) {
    spl_models *models = calloc(1, sizeof(*models));
    if (!models)
        return spl_fail_memory(ret_error);
    int status = spl_models_search_path(&models->search_path, ret_error);
    if (status < 0) {
        free(models);
        return status;
    }
    pthread_mutex_init(&models->check_lock, NULL);
    pthread_mutex_init(&models->lock, NULL);
    *ret_models = models;
    return 0;
}

void spl_models_free(spl_models *models) {
    if (!models)
        return;
    for (size_t i = 0; i < OPEN_MAX; i++)
        spl_model_unref(models->open[i].model);
    pthread_mutex_destroy(&models->check_lock);
    pthread_mutex_destroy(&models->lock);
    free(models->search_path);
    free(models);
}

/* ---------------------------------------------------------------- manifests ---- */

/* Reads the manifest of the model folder and computes its SHA-256. *ret_manifest is owned by the
 * caller. */
static int read_manifest(const char *folder, json_t **ret_manifest, char ret_sha256[65],
                         spl_error *ret_error) {
    SPL_CLEANUP(spl_free_p) char *path = NULL;
    if (asprintf(&path, "%s/" MANIFEST_NAME, folder) < 0)
        return spl_fail_memory(ret_error);
    SPL_CLEANUP(spl_file_content_free) spl_file_content file = {0};
    int status = spl_file_read(path, SPL_FILE_ANYBODYS, MANIFEST_MAX_BYTES, &file, ret_error);
    if (status < 0)
        return status;
    json_t *manifest;
    spl_error reason;
    status = spl_json_load(file.text, file.size_bytes, 0, &manifest, &reason);
    if (status < 0)
        return spl_fail(ret_error, (spl_status)status, "%s %s", path, reason.message);
    status = spl_sha256_hex(file.text, file.size_bytes, ret_sha256, ret_error);
    if (status < 0) {
        json_decref(manifest);
        return status;
    }
    *ret_manifest = manifest;
    return 0;
}

/* Writes the identity of each network's file to `out`: device, inode, size, mtime and ctime. */
static void write_files(FILE *out, const char *folder, const json_t *nets) {
    size_t i;
    const json_t *net;
    json_array_foreach(nets, i, net) {
        SPL_CLEANUP(spl_free_p) char *path = NULL;
        const char *file = json_string_value(json_object_get(net, "net"));
        struct stat is = {0};
        if (asprintf(&path, "%s/%s", folder, file ? file : "") < 0)
            path = NULL;
        if (!path || stat(path, &is) < 0)
            is.st_ino = 0;
        fprintf(out, "%ju %ju %jd %jd.%09ld %jd.%09ld\n", (uintmax_t)is.st_dev,
                (uintmax_t)is.st_ino, (intmax_t)is.st_size, (intmax_t)is.st_mtim.tv_sec,
                is.st_mtim.tv_nsec, (intmax_t)is.st_ctim.tv_sec, is.st_ctim.tv_nsec);
    }
}

static int identify_files(const char *folder, const json_t *manifest, char ret_id[65],
                          spl_error *ret_error) {
    SPL_CLEANUP(spl_free_p) char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return spl_fail_memory(ret_error);
    write_files(out, folder, json_object_get(manifest, "stems"));
    write_files(out, folder, json_object_get(manifest, "groups"));
    if (fclose(out) != 0)
        return spl_fail_memory(ret_error);
    return spl_sha256_hex(text, size, ret_id, ret_error);
}

static int fill_entry(const json_t *manifest, spl_models_entry *entry, spl_error *ret_error) {
    const char *name = json_string_value(json_object_get(manifest, "name"));
    const json_t *stems = json_object_get(manifest, "stems");
    if (!name || json_array_size(stems) < 1 || json_array_size(stems) > SPL_STEMS_MAX)
        return spl_fail(ret_error, SPL_E_FORMAT, "the manifest in %s names no model or no stems",
                        entry->choice.path);
    snprintf(entry->name, sizeof(entry->name), "%s", name);
    entry->stem_count = (unsigned)json_array_size(stems);
    for (unsigned i = 0; i < entry->stem_count; i++) {
        const char *stem = json_string_value(json_object_get(json_array_get(stems, i), "name"));
        if (!stem)
            return spl_fail(ret_error, SPL_E_FORMAT, "the manifest in %s has a stem without a name",
                            entry->choice.path);
        snprintf(entry->stems[i], sizeof(entry->stems[i]), "%s", stem);
    }
    return 0;
}

static bool names_a_file(const char *name) {
    size_t length = strlen(name), end = strlen(CONFIGURATION_FILE_END);
    return strchr(name, '/') ||
           (length >= end && strcmp(name + length - end, CONFIGURATION_FILE_END) == 0);
}

int spl_models_find(spl_models *models, const char *name, spl_models_entry *ret_entry,
                    spl_error *ret_error) {
    if (names_a_file(name))
        return spl_fail(ret_error, SPL_E_ARGUMENT, "\"%.100s\" is not a model's name", name);
    json_auto_t *manifest = NULL;
    spl_models_entry entry;
    int status = spl_model_resolve(name, models->search_path, &entry.choice, ret_error);
    if (status == 0)
        status = read_manifest(entry.choice.path, &manifest, entry.sha256, ret_error);
    if (status == 0)
        status = fill_entry(manifest, &entry, ret_error);
    if (status == 0)
        status = identify_files(entry.choice.path, manifest, entry.files_id, ret_error);
    if (status == 0)
        *ret_entry = entry;
    return status;
}

void spl_models_entry_info(const spl_models_entry *entry, spl_model_info *ret_info) {
    *ret_info = (spl_model_info){.name = entry->name, .stem_count = entry->stem_count};
    for (unsigned i = 0; i < entry->stem_count; i++)
        ret_info->stems[i].name = entry->stems[i];
}

/* ------------------------------------------------------------------- opening ---- */

static int open_checked(spl_models *models, const char *name, const spl_models_entry *entry,
                        spl_model **ret_model, spl_error *ret_error) {
    spl_model *model;
    int status = spl_model_open(entry->choice.path, &model, ret_error);
    if (status < 0)
        return status;
    spl_models_entry after;
    status = spl_models_find(models, name, &after, ret_error);
    if (status == 0 && strcmp(after.sha256, entry->sha256) != 0)
        status = spl_fail(ret_error, SPL_E_CHECKSUM, "the model %s changed while it was opened",
                          entry->choice.path);
    if (status < 0)
        spl_model_unref(model);
    else
        *ret_model = model;
    return status;
}

/* The slot of the model; otherwise a free one; otherwise the least recently used. */
static open_model *choose_place(spl_models *models, const char *sha256) {
    open_model *chosen = &models->open[0];
    for (size_t i = 0; i < OPEN_MAX; i++) {
        open_model *place = &models->open[i];
        if (place->model && strcmp(place->sha256, sha256) == 0)
            return place;
        if (place->used < chosen->used)
            chosen = place;
    }
    return chosen;
}

static int use_locked(spl_models *models, const char *name, const spl_models_entry *entry,
                      spl_model **ret_model, spl_error *ret_error) {
    open_model *place = choose_place(models, entry->sha256);
    if (!place->model || strcmp(place->sha256, entry->sha256) != 0) {
        spl_model_unref(SPL_STEAL(place->model));
        place->used = 0;
        int status = open_checked(models, name, entry, &place->model, ret_error);
        if (status < 0)
            return status;
        snprintf(place->sha256, sizeof(place->sha256), "%s", entry->sha256);
    }
    place->used = ++models->uses;
    *ret_model = spl_model_ref(place->model);
    return 0;
}

int spl_models_use(spl_models *models, const char *name, const char *sha256, spl_model **ret_model,
                   spl_models_entry *ret_entry, spl_error *ret_error) {
    spl_models_entry entry;
    int status = spl_models_find(models, name, &entry, ret_error);
    if (status < 0)
        return status;
    if (strcmp(entry.sha256, sha256) != 0)
        return spl_fail(ret_error, SPL_E_CHECKSUM,
                        "the model %s is not the one that the job was made for: its manifest has "
                        "the SHA-256 %s now, not %s",
                        name, entry.sha256, sha256);
    pthread_mutex_lock(&models->lock);
    status = use_locked(models, name, &entry, ret_model, ret_error);
    pthread_mutex_unlock(&models->lock);
    if (status == 0)
        *ret_entry = entry;
    return status;
}

/* ------------------------------------------------------------------ checking ---- */

static bool is_open(spl_models *models, const char *sha256) {
    bool found = false;
    pthread_mutex_lock(&models->lock);
    for (size_t i = 0; i < OPEN_MAX; i++)
        found |= models->open[i].model && strcmp(models->open[i].sha256, sha256) == 0;
    pthread_mutex_unlock(&models->lock);
    return found;
}

static model_verdict *find_verdict(spl_models *models, const spl_models_entry *entry) {
    for (size_t i = 0; i < VERDICTS_MAX; i++) {
        model_verdict *verdict = &models->verdicts[i];
        if (strcmp(verdict->sha256, entry->sha256) == 0 &&
            strcmp(verdict->files_id, entry->files_id) == 0)
            return verdict;
    }
    return NULL;
}

static int check_locked(spl_models *models, const spl_models_entry *entry, spl_error *ret_error) {
    const model_verdict *known = find_verdict(models, entry);
    if (known) {
        if (known->error.status < 0)
            *ret_error = known->error;
        return known->error.status;
    }
    model_verdict verdict = {.error = {.status = SPL_OK}};
    snprintf(verdict.sha256, sizeof(verdict.sha256), "%s", entry->sha256);
    snprintf(verdict.files_id, sizeof(verdict.files_id), "%s", entry->files_id);
    const int status = spl_model_verify(entry->choice.path, &verdict.error);
    if (status < 0)
        *ret_error = verdict.error;
    if (!spl_status_is_transient(status))
        models->verdicts[models->next_verdict++ % VERDICTS_MAX] = verdict;
    return status;
}

int spl_models_check(spl_models *models, const spl_models_entry *entry, spl_error *ret_error) {
    if (is_open(models, entry->sha256))
        return 0;
    pthread_mutex_lock(&models->check_lock);
    const int status = check_locked(models, entry, ret_error);
    pthread_mutex_unlock(&models->check_lock);
    return status;
}

/* --------------------------------------------------------------- description ---- */

typedef struct description {
    spl_models *models;
    json_t *array;
    spl_error *error;
} description;

/* Adds the model under the name `prefix` + `name` + `suffix` if that name resolves to this
 * folder. */
static int add_name(description *to, const json_t *manifest, const spl_models_entry *entry,
                    const char *prefix, const char *name, const char *suffix) {
    SPL_CLEANUP(spl_free_p) char *full = NULL;
    if (asprintf(&full, "%s%s%s", prefix, name, suffix) < 0)
        return spl_fail_memory(to->error);
    spl_model_choice choice;
    if (spl_model_resolve(full, to->models->search_path, &choice, NULL) < 0 ||
        strcmp(choice.path, entry->choice.path) != 0)
        return 0;
    json_t *stems = json_array();
    const json_t *stem;
    size_t i;
    json_array_foreach(json_object_get(manifest, "stems"), i, stem) {
        json_array_append(stems, json_object_get(stem, "name"));
    }
    json_t *object = json_pack("{s:s, s:o, s:s, s:b, s:s, s:O?, s:O?}", "name", full, "stems",
                               stems, "bandwidth", spl_bandwidth_name(choice.bandwidth),
                               "as_spleeter", choice.as_spleeter, "sha256", entry->sha256,
                               "licence", json_object_get(manifest, "licence"), "source",
                               json_object_get(manifest, "source"));
    return json_array_append_new(to->array, object) < 0 ? spl_fail_memory(to->error) : 0;
}

static spl_status describe_folder(void *user, const char *path) {
    description *to = user;
    json_auto_t *manifest = NULL;
    spl_models_entry entry = {0};
    snprintf(entry.choice.path, sizeof(entry.choice.path), "%s", path);
    if (read_manifest(path, &manifest, entry.sha256, NULL) < 0 ||
        fill_entry(manifest, &entry, NULL) < 0)
        return 0;
    const char *name = strrchr(path, '/') + 1;
    size_t prefix = strlen(DEEZER_FOLDER_PREFIX);
    if (strncmp(name, DEEZER_FOLDER_PREFIX, prefix) != 0)
        return add_name(to, manifest, &entry, "", name, "");
    name += prefix;
    int status = add_name(to, manifest, &entry, "", name, "");
    if (status == 0)
        status = add_name(to, manifest, &entry, SPLEETER_MODEL_PREFIX, name, "");
    if (status == 0)
        status = add_name(to, manifest, &entry, SPLEETER_MODEL_PREFIX, name, SPLEETER_16K_SUFFIX);
    return status;
}

int spl_models_describe(spl_models *models, json_t **ret_array, spl_error *ret_error) {
    description to = {.models = models, .array = json_array(), .error = ret_error};
    if (!to.array)
        return spl_fail_memory(ret_error);
    int status = spl_model_list(models->search_path, describe_folder, &to, ret_error);
    if (status < 0)
        json_decref(to.array);
    else
        *ret_array = to.array;
    return status;
}
