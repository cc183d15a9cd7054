/* SPDX-License-Identifier: MIT
 *
 * Resolves the names of models to folders.
 *
 * Models are in the folders of a search path. "spleeter-N" holds Deezer's weights for N, and
 * "spleeter:N" refers to it and nothing else. The folder of "N" can be set in a names.json beside
 * the models (docs/models.md).
 */
#include "lib/formats/json.h"
#include "lib/model/manifest.h"
#include "lib/model/names.h"
#include "lib/model/parameters.h"

#include <dirent.h>
#include <errno.h>
#include <spleeter/separate.h>
#include <stdio.h>
#include <string.h>

#define SPLEETER_PREFIX "spleeter:"
#define FOLDER_PREFIX   "spleeter-"
#define SUFFIX_16K      "-16kHz"

/* ------------------------------------------------------ search path ---- */

/* Returns a new list with the folders of `search_path` or of its default; NULL when out of
 * memory. */
static char *make_search_path(const char *search_path) {
    if (search_path)
        return strdup(search_path);
    const char *own = getenv("SPLEETER_MODEL_PATH");
    const char *data = getenv("XDG_DATA_HOME");
    const char *home = getenv("HOME");
    bool has_data = data && *data;
    char *list;
    if (asprintf(&list, "%s:%s%s/spleeterd/models:%s", own ? own : "",
                 has_data ? data
                 : home   ? home
                          : "",
                 has_data ? "" : "/.local/share", SPL_INSTALLED_MODELS) < 0)
        return NULL;
    return list;
}

/* Whether "parent/name" is a model folder. */
static bool is_model(const char *parent, const char *name) {
    SPL_CLEANUP(spl_free_p) char *path = NULL;
    return asprintf(&path, "%s/%s/" SPL_MANIFEST_NAME, parent, name) >= 0 &&
           access(path, F_OK) == 0;
}

/* ----------------------------------------------------------- listing ---- */

typedef struct found_model {
    char *name, *path;
} found_model;

typedef struct found_models {
    found_model *models;
    size_t count;
} found_models;

static void clear_found(found_models *found) {
    for (size_t i = 0; i < found->count; i++) {
        free(found->models[i].name);
        free(found->models[i].path);
    }
    free(found->models);
}

static int add_found(found_models *found, const char *parent, const char *name,
                     spl_error *ret_error) {
    for (size_t i = 0; i < found->count; i++) {
        if (strcmp(found->models[i].name, name) == 0)
            return 0;
    }
    found_model *grown = reallocarray(found->models, found->count + 1, sizeof(found->models[0]));
    if (!grown)
        return spl_fail_memory(ret_error);
    found->models = grown;
    found_model model = {.name = strdup(name)};
    if (!model.name || asprintf(&model.path, "%s/%s", parent, name) < 0) {
        free(model.name);
        return spl_fail_memory(ret_error);
    }
    found->models[found->count++] = model;
    return 0;
}

static int find_in(const char *parent, found_models *found, spl_error *ret_error) {
    DIR *folder = opendir(parent);
    if (!folder) {
        if (errno == ENOENT || errno == ENOTDIR)
            return 0;
        return spl_fail_errno(ret_error, errno, "cannot read the model folder %s", parent);
    }
    int status = 0;
    const struct dirent *entry;
    while (status == 0 && (entry = readdir(folder))) {
        if (entry->d_name[0] != '.' && is_model(parent, entry->d_name))
            status = add_found(found, parent, entry->d_name, ret_error);
    }
    closedir(folder);
    return status;
}

static int compare_names(const void *a, const void *b) {
    return strcmp(((const found_model *)a)->name, ((const found_model *)b)->name);
}

/* Finds all models in the folders of the list `path`, sorted by name. Modifies `path`. */
static int find_all(char *path, found_models *ret_found, spl_error *ret_error) {
    found_models found = {0};
    char *rest = path;
    for (char *parent; (parent = strtok_r(rest, ":", &rest));) {
        int status = find_in(parent, &found, ret_error);
        if (status < 0) {
            clear_found(&found);
            return status;
        }
    }
    if (found.count > 0)
        qsort(found.models, found.count, sizeof(found.models[0]), compare_names);
    *ret_found = found;
    return 0;
}

SPL_API spl_status spl_model_list(const char *search_path,
                                  spl_status (*visit)(void *user, const char *path), void *user,
                                  spl_error *ret_error) {
    if (!visit)
        return spl_fail(ret_error, SPL_E_ARGUMENT, "spl_model_list needs a function to call");
    SPL_CLEANUP(spl_free_p) char *path = make_search_path(search_path);
    if (!path)
        return spl_fail_memory(ret_error);
    found_models found;
    int status = find_all(path, &found, ret_error);
    if (status < 0)
        return status;
    for (size_t i = 0; i < found.count && status == 0; i++)
        status = visit(user, found.models[i].path);
    clear_found(&found);
    if (status > 0)
        return spl_fail(ret_error, SPL_E_ARGUMENT,
                        "spl_model_list: the function returned %d, which is neither 0 nor a "
                        "negative spl_status",
                        status);
    return status;
}

/* --------------------------------------------------------- resolving ---- */

/* Sets the path of `choice` to the first model folder "prefix""name" in the list `search_path`;
 * returns false when there is none. */
static bool find_model(const char *search_path, const char *prefix, const char *name,
                       spl_model_choice *choice) {
    char folder[256];
    snprintf(folder, sizeof(folder), "%s%s", prefix, name);
    for (const char *parent = search_path; *parent; parent += *parent == ':') {
        const char *end = strchrnul(parent, ':');
        int length =
            snprintf(choice->path, sizeof(choice->path), "%.*s", (int)(end - parent), parent);
        parent = end;
        if (length > 0 && (size_t)length + strlen(folder) + 2 <= sizeof(choice->path) &&
            is_model(choice->path, folder)) {
            snprintf(choice->path + length, sizeof(choice->path) - (size_t)length, "/%s", folder);
            return true;
        }
    }
    return false;
}

/* Whether Deezer publishes a model of that name. */
static bool is_deezers(const char *base) {
    return strcmp(base, "2stems") == 0 || strcmp(base, "4stems") == 0 ||
           strcmp(base, "5stems") == 0;
}

/* As find_model, for a plain name without an entry in names.json: the folder of that name, or else
 * Deezer's. */
static bool find_own_meaning(const char *search_path, const char *name, spl_model_choice *choice) {
    return find_model(search_path, "", name, choice) ||
           find_model(search_path, FOLDER_PREFIX, name, choice);
}

/* Reports how to get Deezer's weights for `base`, and the alternative without them. */
static int fail_without_weights(const char *asked, const char *base, const char *search_path,
                                spl_error *ret_error) {
    spl_model_choice choice;
    const bool has_plain = find_own_meaning(search_path, base, &choice);
    return spl_fail(
        ret_error, SPL_E_NOT_FOUND,
        "%s has Deezer's weights, which are not installed; get them with: spleeterd models "
        "pull %s (or models import, from a checkpoint)%s%s",
        asked, base, has_plain ? "; or use the model " : "", has_plain ? base : "");
}

/* Reports that a model does not exist, and which ones do. Modifies `search_path`. */
static int fail_not_found(const char *asked, bool spleeter, char *search_path,
                          spl_error *ret_error) {
    char searched[400], names[300] = "";
    snprintf(searched, sizeof(searched), "%s", search_path + strspn(search_path, ":"));
    found_models found;
    int status = find_all(search_path, &found, ret_error);
    if (status < 0)
        return status;
    for (size_t i = 0; i < found.count; i++) {
        const char *name = found.models[i].name;
        bool deezer = strncmp(name, FOLDER_PREFIX, strlen(FOLDER_PREFIX)) == 0;
        if (spleeter && !deezer)
            continue;
        size_t used = strlen(names);
        snprintf(names + used, sizeof(names) - used, "%s%s%s", used ? ", " : "",
                 spleeter ? SPLEETER_PREFIX : "", deezer ? name + strlen(FOLDER_PREFIX) : name);
    }
    clear_found(&found);
    return spl_fail(
        ret_error, SPL_E_NOT_FOUND,
        "there is no model %s; installed: %s (searched: %s); get Deezer's with: spleeterd "
        "models pull, or import a TensorFlow checkpoint of Spleeter with: spleeterd "
        "models import DIR",
        asked, *names ? names : "none", searched);
}

/* Removes `suffix` from the end of `text`; returns false if it is not there. */
static bool cut_suffix(char *text, const char *suffix) {
    size_t length = strlen(text), suffix_length = strlen(suffix);
    if (length <= suffix_length || strcmp(text + length - suffix_length, suffix) != 0)
        return false;
    text[length - suffix_length] = '\0';
    return true;
}

static int resolve_path(const char *path, spl_model_choice *ret_choice, spl_error *ret_error) {
    if (strlen(path) >= sizeof(ret_choice->path))
        return spl_fail(ret_error, SPL_E_ARGUMENT, "the model's path has more than %zu bytes",
                        sizeof(ret_choice->path) - 1);
    if (access(path, F_OK) < 0)
        return spl_fail_errno(ret_error, errno, "cannot open the model %s", path);
    spl_model_choice choice = {.as_spleeter = true, .bandwidth = SPL_BANDWIDTH_MODEL};
    snprintf(choice.path, sizeof(choice.path), "%s", path);
    *ret_choice = choice;
    return 0;
}

SPL_API spl_status spl_model_resolve(const char *name, const char *search_path,
                                     spl_model_choice *ret_choice, spl_error *ret_error) {
    if (!name || !*name || !ret_choice)
        return spl_fail(ret_error, SPL_E_ARGUMENT, "a model's name is needed");
    const char *dot = strrchr(name, '.');
    if (strchr(name, '/') || (dot && strcmp(dot, ".json") == 0))
        return resolve_path(name, ret_choice, ret_error);

    bool spleeter = strncmp(name, SPLEETER_PREFIX, strlen(SPLEETER_PREFIX)) == 0;
    const char *plain = spleeter ? name + strlen(SPLEETER_PREFIX) : name;
    if (!spl_is_plain_name(plain, SPL_STEM_NAME_MAX_BYTES))
        return spl_fail(ret_error, SPL_E_ARGUMENT, "\"%.100s\" is not a model's name", name);
    SPL_CLEANUP(spl_free_p) char *base = strdup(plain);
    SPL_CLEANUP(spl_free_p) char *path = make_search_path(search_path);
    if (!base || !path)
        return spl_fail_memory(ret_error);

    spl_model_choice choice = {.as_spleeter = spleeter, .bandwidth = SPL_BANDWIDTH_FULL};
    if (spleeter) {
        choice.bandwidth = cut_suffix(base, SUFFIX_16K) ? SPL_BANDWIDTH_16K : SPL_BANDWIDTH_11K;
        if (!find_model(path, FOLDER_PREFIX, base, &choice))
            return is_deezers(base) ? fail_without_weights(name, base, path, ret_error)
                                    : fail_not_found(name, spleeter, path, ret_error);
    } else {
        char meaning[SPL_NAMES_FOLDER_BYTES];
        int status = spl_names_find(path, base, meaning, ret_error);
        if (status < 0)
            return status;
        if (*meaning && !find_model(path, "", meaning, &choice))
            return spl_fail(
                ret_error, SPL_E_NOT_FOUND,
                "%s is set to the model %s, which is no longer installed; reset it with: "
                "spleeterd models use %s",
                base, meaning, base);
        if (!*meaning && !find_own_meaning(path, base, &choice))
            return fail_not_found(name, spleeter, path, ret_error);
    }
    *ret_choice = choice;
    return 0;
}

SPL_API spl_status spl_model_use(const char *name, const char *search_path, const char *folder,
                                 spl_error *ret_error) {
    if (!name || !folder || !*folder)
        return spl_fail(ret_error, SPL_E_ARGUMENT, "spl_model_use needs a name and a folder");
    const bool deezers = strncmp(name, SPLEETER_PREFIX, strlen(SPLEETER_PREFIX)) == 0 ||
                         strncmp(name, FOLDER_PREFIX, strlen(FOLDER_PREFIX)) == 0;
    const char *plain = deezers ? name + strlen(SPLEETER_PREFIX) : name;
    if (!spl_is_plain_name(plain, SPL_STEM_NAME_MAX_BYTES))
        return spl_fail(ret_error, SPL_E_ARGUMENT, "\"%.100s\" is not a model's name", name);
    SPL_CLEANUP(spl_free_p) char *path = make_search_path(search_path);
    SPL_CLEANUP(spl_free_p) char *target = NULL;
    if (!path || asprintf(&target, FOLDER_PREFIX "%s", plain) < 0)
        return spl_fail_memory(ret_error);
    spl_model_choice choice;
    if (deezers && !find_model(path, "", target, &choice))
        return is_deezers(plain) ? fail_without_weights(name, plain, path, ret_error)
                                 : fail_not_found(name, true, path, ret_error);
    if (!deezers && !find_own_meaning(path, plain, &choice))
        return fail_not_found(name, false, path, ret_error);
    return spl_names_set(folder, plain, deezers ? target : NULL, ret_error);
}

/* A described model with the owners of its strings. */
typedef struct description {
    spl_model_info info;
    json_t *manifest;
    char *path;
} description;

SPL_API spl_status spl_model_describe(const char *folder, spl_model_info **ret_info,
                                      spl_error *ret_error) {
    if (!folder || !ret_info)
        return spl_fail(ret_error, SPL_E_ARGUMENT,
                        "spl_model_describe needs a folder and a result");
    description *described = calloc(1, sizeof(*described));
    if (!described)
        return spl_fail_memory(ret_error);
    int status = spl_manifest_load(folder, &described->manifest, &described->info, ret_error);
    if (status == 0 && !(described->path = strdup(folder)))
        status = spl_fail_memory(ret_error);
    if (status < 0) {
        spl_model_info_free(&described->info);
        return status;
    }
    described->info.path = described->path;
    *ret_info = &described->info;
    return 0;
}

SPL_API void spl_model_info_free(spl_model_info *info) {
    if (!info)
        return;
    description *described = (description *)info; /* info is its first member */
    json_decref(described->manifest);
    free(described->path);
    free(described);
}
