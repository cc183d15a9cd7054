/* SPDX-License-Identifier: MIT
 *
 * From a model's name to its folder.
 *
 * Models live in the folders of a search path. Deezer's weights for N are in
 * "spleeter-N"; the names "N" and "spleeter:N" say how Spleeter-like the
 * separation is to be, not which weights it uses (docs/models.md).
 */
#include "model/manifest.h"
#include "model/settings.h"

#include <dirent.h>
#include <errno.h>
#include <spleeter/separate.h>
#include <stdio.h>
#include <string.h>

#define SPLEETER_PREFIX "spleeter:"
#define FOLDER_PREFIX   "spleeter-"
#define SUFFIX_16K      "-16kHz"

/* ------------------------------------------------------ search path ---- */

/* What `search_path` stands for, as a list of its own; NULL when memory runs out. */
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

/* All models of the list `path`, which is cut up, sorted by name. */
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

SPL_API int spl_model_list(const char *search_path, int (*visit)(void *user, const char *path),
                           void *user, spl_error *ret_error) {
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
    return status;
}

/* --------------------------------------------------------- resolving ---- */

/* Writes the path of the first model folder "prefix""name" in the list `search_path`; false when there is none. */
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

/* Says what there is instead of the model that was asked for. */
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
    return spl_fail(ret_error, SPL_E_NOT_FOUND,
                    "there is no model %s; installed: %s (searched: %s); import a TensorFlow "
                    "checkpoint of Spleeter with: spleeterd models import DIR",
                    asked, *names ? names : "none", searched);
}

/* Cuts `suffix` off the end of `text`, if it is there. */
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
    spl_model_choice choice = {.as_spleeter = 1, .bandwidth = SPL_BANDWIDTH_MODEL};
    snprintf(choice.path, sizeof(choice.path), "%s", path);
    *ret_choice = choice;
    return 0;
}

SPL_API int spl_model_resolve(const char *name, const char *search_path,
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
    bool found;
    if (spleeter) {
        choice.bandwidth = cut_suffix(base, SUFFIX_16K) ? SPL_BANDWIDTH_16K : SPL_BANDWIDTH_11K;
        found = find_model(path, FOLDER_PREFIX, base, &choice);
    } else {
        found =
            find_model(path, "", base, &choice) || find_model(path, FOLDER_PREFIX, base, &choice);
    }
    if (!found)
        return fail_not_found(name, spleeter, path, ret_error);
    *ret_choice = choice;
    return 0;
}
