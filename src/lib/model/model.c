/* SPDX-License-Identifier: MIT
 *
 * Open models: their sources and ownership.
 *
 * For a model folder, the manifest gives the settings and there is one network file per stem. A
 * Spleeter configuration gives the settings, and its "model_dir" names the source of the networks,
 * a checkpoint or a model folder. Its i-th instrument gets the i-th network, as in Spleeter. The
 * files are closed once the networks are prepared.
 */
#include "lib/model/model.h"

#include "base/background.h"

#include "lib/model/folder_network.h"
#include "lib/model/manifest.h"
#include "lib/model/spleeter_config.h"
#include "lib/model/spleeter_networks.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* The sources of the networks, open until the networks are prepared. */
typedef struct network_sources {
    spl_folder_network files[SPL_STEMS_MAX];
    spl_error errors[SPL_STEMS_MAX]; /* of the files */
    spl_checkpoint *checkpoint;
    spl_network_weights weights[SPL_STEMS_MAX]; /* of the checkpoint */
} network_sources;

struct spl_model {
    atomic_uint owners;
    spl_model_info info;
    spl_unet *unets[SPL_STEMS_MAX]; /* NULL for a stem that shares the network of an earlier one */
    unsigned unet_of[SPL_STEMS_MAX];

    pthread_mutex_t mutex; /* guards waiting for `background` */
    spl_background *background;
    atomic_bool prepared;
    network_sources sources;

    /* The owners of the strings in `info`. */
    char *path, *name, *network_path;
    json_t *manifest;
    spl_spleeter_config config;
};

static unsigned network_count(const spl_model *model) {
    return model->info.stem_count + model->info.group_count;
}

static void close_sources(spl_model *model) {
    for (unsigned i = 0; i < SPL_STEMS_MAX; i++)
        spl_folder_network_close(&model->sources.files[i]);
    spl_checkpoint_close(SPL_STEAL(model->sources.checkpoint));
}

/* ---- Preparing the networks, concurrently with the caller ---- */

static void prepare_task(void *user, size_t task, unsigned thread) {
    (void)thread;
    spl_model *model = user;
    const network_sources *sources = &model->sources;
    const unsigned i = (unsigned)(task % network_count(model)),
                   part = (unsigned)(task / network_count(model));
    if (model->unets[i])
        spl_unet_prepare(model->unets[i],
                         sources->checkpoint ? &sources->weights[i] : &sources->files[i].weights,
                         part);
}

static void prepare(void *user) {
    spl_model *model = user;
    const size_t tasks = (size_t)network_count(model) * SPL_UNET_PARTS;
    spl_pool *pool;
    if (spl_pool_new(0, &pool, NULL) == 0) {
        spl_pool_run(pool, tasks, prepare_task, model);
        spl_pool_free(pool);
    } else {
        for (size_t task = 0; task < tasks; task++)
            prepare_task(model, task, 0);
    }
}

static int start_preparing(spl_model *model, spl_error *ret_error) {
    const int status = spl_background_new(&model->background, ret_error);
    if (status == 0)
        spl_background_start(model->background, prepare, model);
    return status;
}

static void wait_until_prepared(spl_model *model) {
    pthread_mutex_lock(&model->mutex);
    if (model->background) {
        spl_background_wait(model->background);
        spl_background_free(SPL_STEAL(model->background));
        close_sources(model);
        atomic_store(&model->prepared, true);
    }
    pthread_mutex_unlock(&model->mutex);
}

static void free_model(spl_model *model) {
    wait_until_prepared(model);
    close_sources(model);
    pthread_mutex_destroy(&model->mutex);
    for (unsigned i = 0; i < SPL_STEMS_MAX; i++)
        spl_unet_free(model->unets[i]);
    free(model->path);
    free(model->name);
    free(model->network_path);
    json_decref(model->manifest);
    spl_spleeter_config_clear(&model->config);
    free(model);
}

static bool is_folder(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

static bool has_manifest(const char *folder) {
    SPL_CLEANUP(spl_free_p) char *path = NULL;
    return asprintf(&path, "%s/" SPL_MANIFEST_NAME, folder) >= 0 && access(path, F_OK) == 0;
}

/* ---------------------------------------------------- model folders ---- */

/* The first stem with the same network as the `stem`-th, which may be that stem itself. */
static unsigned find_same_network(const spl_model_info *info, unsigned stem) {
    unsigned i = 0;
    while (i < stem && strcmp(info->stems[i].sha256, info->stems[stem].sha256) != 0)
        i++;
    return i;
}

/* The networks of a folder, which are opened in parallel. */
typedef struct folder_networks {
    spl_model *model;
    const char *folder;
} folder_networks;

/* Opens one network file and allocates the network. The activations of a configuration override
 * those of the file. */
static int open_folder_network(folder_networks *opening, unsigned i) {
    spl_model *model = opening->model;
    spl_stem_info *stem = &model->info.stems[i];
    spl_folder_network *network = &model->sources.files[i];
    spl_error *error = &model->sources.errors[i];
    const int status =
        spl_folder_network_open(opening->folder, stem->network, stem->sha256, network, error);
    if (status < 0)
        return status;
    if (model->config.root) {
        network->weights.conv_activation = stem->conv_activation;
        network->weights.deconv_activation = stem->deconv_activation;
    } else {
        stem->conv_activation = network->weights.conv_activation;
        stem->deconv_activation = network->weights.deconv_activation;
    }
    stem->parameters = network->parameters;
    return spl_unet_new(&network->weights, &model->unets[i], error);
}

static void open_folder_network_task(void *user, size_t task, unsigned thread) {
    (void)thread;
    folder_networks *opening = user;
    if (find_same_network(&opening->model->info, (unsigned)task) == task)
        open_folder_network(opening, (unsigned)task);
}

/* Checks the opened networks in order and reports the first error. All networks share one
 * workspace, so their filters must be those of the configuration or, without one, of the first
 * network. */
static int check_folder_networks(spl_model *model, spl_error *ret_error) {
    spl_model_info *info = &model->info;
    const network_sources *sources = &model->sources;
    const unsigned *filters =
        model->config.root ? model->config.filters : sources->files[0].weights.filters;
    for (unsigned i = 0; i < network_count(model); i++) {
        const unsigned same = find_same_network(info, i);
        model->unet_of[i] = same;
        if (same < i) {
            info->stems[i].conv_activation = info->stems[same].conv_activation;
            info->stems[i].deconv_activation = info->stems[same].deconv_activation;
            info->stems[i].parameters = info->stems[same].parameters;
            continue;
        }
        if (sources->errors[i].status < 0) {
            if (ret_error)
                *ret_error = sources->errors[i];
            return sources->errors[i].status;
        }
        const int status =
            spl_network_check_filters(&sources->files[i].weights, sources->files[i].path, filters,
                                      "the model's other networks or configuration", ret_error);
        if (status < 0)
            return status;
    }
    return 0;
}

/* Reads the networks listed in `model->info` from `folder`, each once. */
static int open_folder_networks(spl_model *model, const char *folder, spl_error *ret_error) {
    folder_networks opening = {model, folder};
    spl_pool *pool;
    const int status =
        spl_pool_new(SPL_MIN(network_count(model), spl_cpu_count()), &pool, ret_error);
    if (status < 0)
        return status;
    spl_pool_run(pool, network_count(model), open_folder_network_task, &opening);
    spl_pool_free(pool);
    return check_folder_networks(model, ret_error);
}

static int open_folder(spl_model *model, spl_error *ret_error) {
    if (!has_manifest(model->path))
        return spl_fail(ret_error, SPL_E_NOT_FOUND,
                        "%s is not a model folder: it has no " SPL_MANIFEST_NAME
                        "; make one from a TensorFlow checkpoint with: spleeterd models import %s",
                        model->path, model->path);
    int status = spl_manifest_load(model->path, &model->manifest, &model->info, ret_error);
    return status < 0 ? status : open_folder_networks(model, model->path, ret_error);
}

/* -------------------------------------------------- configurations ---- */

static int open_checkpoint_networks(spl_model *model, const char *folder, spl_error *ret_error) {
    spl_model_info *info = &model->info;
    network_sources *sources = &model->sources;
    int status = spl_checkpoint_open(folder, &sources->checkpoint, ret_error);
    if (status < 0)
        return status;
    const spl_checkpoint *checkpoint = sources->checkpoint;
    unsigned found;
    if ((status = spl_spleeter_networks_count(checkpoint, &found, ret_error)) < 0)
        return status;
    if (found != info->stem_count)
        return spl_fail(ret_error, SPL_E_FORMAT,
                        "the checkpoint %s holds %u network%s, but %s names %u instrument%s",
                        spl_checkpoint_prefix(checkpoint), found, SPL_PLURAL(found), model->path,
                        info->stem_count, SPL_PLURAL(info->stem_count));
    model->network_path = strdup(spl_checkpoint_prefix(checkpoint));
    if (!model->network_path)
        return spl_fail_memory(ret_error);
    for (unsigned i = 0; i < info->stem_count; i++) {
        spl_stem_info *stem = &info->stems[i];
        spl_spleeter_network network = {.checkpoint = checkpoint, .number = i};
        stem->network = model->network_path;
        model->unet_of[i] = i;
        if ((status = spl_network_read(spl_spleeter_network_source(&network), stem->conv_activation,
                                       stem->deconv_activation, &sources->weights[i],
                                       &stem->parameters, ret_error)) < 0 ||
            (status = spl_network_check_filters(&sources->weights[i], model->network_path,
                                                model->config.filters, model->path, ret_error)) <
                0 ||
            (status = spl_unet_new(&sources->weights[i], &model->unets[i], ret_error)) < 0)
            return status;
    }
    return 0;
}

/* Takes licence, source and network files from the manifest of the folder that a configuration
 * names. */
static int open_configured_folder(spl_model *model, const char *folder, spl_error *ret_error) {
    spl_model_info manifest;
    int status = spl_manifest_load(folder, &model->manifest, &manifest, ret_error);
    if (status < 0)
        return status;
    if (manifest.group_count > 0)
        return spl_fail(ret_error, SPL_E_UNSUPPORTED,
                        "the model folder %s has groups, which no Spleeter configuration can use; "
                        "name the folder itself",
                        folder);
    if (manifest.stem_count != model->info.stem_count)
        return spl_fail(ret_error, SPL_E_FORMAT,
                        "the model folder %s has %u stem%s, but %s names %u instrument%s", folder,
                        manifest.stem_count, SPL_PLURAL(manifest.stem_count), model->path,
                        model->info.stem_count, SPL_PLURAL(model->info.stem_count));
    model->info.licence = manifest.licence;
    model->info.source = manifest.source;
    for (unsigned i = 0; i < manifest.stem_count; i++) {
        model->info.stems[i].network = manifest.stems[i].network;
        model->info.stems[i].sha256 = manifest.stems[i].sha256;
    }
    return open_folder_networks(model, folder, ret_error);
}

/* Finds the installed Deezer model that a "model_dir" without a slash names. */
static int find_installed(const spl_model *model, const char *model_path, char **ret_folder,
                          spl_error *ret_error) {
    const char *model_dir = model->config.model_dir;
    spl_model_choice choice;
    spl_error error;
    SPL_CLEANUP(spl_free_p) char *name = NULL;
    if (asprintf(&name, "spleeter:%s", model_dir) < 0)
        return spl_fail_memory(ret_error);
    const bool is_path = strchr(model_dir, '/');
    const int status = is_path ? 0 : spl_model_resolve(name, NULL, &choice, &error);
    if (is_path || status == SPL_E_NOT_FOUND || status == SPL_E_ARGUMENT)
        return spl_fail(ret_error, SPL_E_NOT_FOUND,
                        "%s: the folder \"%s\" of its \"model_dir\" does not exist, neither beside "
                        "it nor in %s (MODEL_PATH), and no model of Deezer's with that name is "
                        "installed",
                        model->path, model_dir, model_path);
    if (status < 0)
        return spl_fail(ret_error, error.status, "%s: %s", model->path, error.message);
    *ret_folder = strdup(choice.path);
    return *ret_folder ? 0 : spl_fail_memory(ret_error);
}

/* Resolves "model_dir": in the configuration's own folder, in MODEL_PATH (default
 * pretrained_models, as in Spleeter), or in the working directory. Otherwise it is the installed
 * Deezer model of that name, which Spleeter would download. */
static int find_model_dir(const spl_model *model, char **ret_folder, spl_error *ret_error) {
    const char *model_dir = model->config.model_dir;
    const char *slash = strrchr(model->path, '/');
    int own_length = slash ? (int)(slash - model->path) + 1 : 0;
    const char *model_path = getenv("MODEL_PATH");
    if (!model_path || !*model_path)
        model_path = "pretrained_models";

    SPL_CLEANUP(spl_free_p) char *beside = NULL;
    SPL_CLEANUP(spl_free_p) char *in_model_path = NULL;
    if (asprintf(&beside, "%.*s%s", own_length, model->path, model_dir) < 0 ||
        asprintf(&in_model_path, "%s/%s", model_path, model_dir) < 0)
        return spl_fail_memory(ret_error);
    char *folder = NULL;
    if (*model_dir != '/' && is_folder(beside))
        folder = SPL_STEAL(beside);
    else if (*model_dir != '/' && is_folder(in_model_path))
        folder = SPL_STEAL(in_model_path);
    else if (!is_folder(model_dir))
        return find_installed(model, model_path, ret_folder, ret_error);
    else if (!(folder = strdup(model_dir)))
        return spl_fail_memory(ret_error);
    *ret_folder = folder;
    return 0;
}

/* The file's name without its extension. */
static char *make_config_name(const char *path) {
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    const char *dot = strrchr(name, '.');
    return dot && dot > name ? strndup(name, (size_t)(dot - name)) : strdup(name);
}

static int open_config(spl_model *model, spl_error *ret_error) {
    int status = spl_spleeter_config_load(model->path, &model->config, ret_error);
    if (status < 0)
        return status;
    model->info = model->config.info;
    model->info.licence = "unknown";
    model->info.source = "unknown";
    model->info.name = model->name = make_config_name(model->path);
    if (!model->name)
        return spl_fail_memory(ret_error);

    SPL_CLEANUP(spl_free_p) char *folder = NULL;
    status = find_model_dir(model, &folder, ret_error);
    if (status < 0)
        return status;
    if (has_manifest(folder))
        return open_configured_folder(model, folder, ret_error);
    return open_checkpoint_networks(model, folder, ret_error);
}

/* ------------------------------------------------------------ public ---- */

SPL_API spl_status spl_model_open(const char *path, spl_model **ret_model, spl_error *ret_error) {
    if (!path || !*path || !ret_model)
        return spl_fail(ret_error, SPL_E_ARGUMENT, "spl_model_open needs a path and a result");
    struct stat file;
    if (stat(path, &file) < 0)
        return spl_fail_errno(ret_error, errno, "cannot open the model %s", path);
    spl_model *model = calloc(1, sizeof(*model));
    if (!model)
        return spl_fail_memory(ret_error);
    atomic_init(&model->owners, 1);
    pthread_mutex_init(&model->mutex, NULL);
    int status;
    model->path = strdup(path);
    if (!model->path)
        status = spl_fail_memory(ret_error);
    else if (S_ISDIR(file.st_mode))
        status = open_folder(model, ret_error);
    else
        status = open_config(model, ret_error);
    if (status == 0)
        status = start_preparing(model, ret_error);
    if (status < 0) {
        free_model(model);
        return status;
    }
    model->info.path = model->path;
    *ret_model = model;
    return 0;
}

SPL_API spl_model *spl_model_ref(spl_model *model) {
    atomic_fetch_add_explicit(&model->owners, 1, memory_order_relaxed);
    return model;
}

SPL_API void spl_model_unref(spl_model *model) {
    if (model && atomic_fetch_sub_explicit(&model->owners, 1, memory_order_acq_rel) == 1)
        free_model(model);
}

SPL_API const spl_model_info *spl_model_get_info(const spl_model *model) {
    return &model->info;
}

const spl_unet *spl_model_unet(const spl_model *model, unsigned stem) {
    assert(stem < network_count(model));
    return model->unets[model->unet_of[stem]];
}

void spl_model_await(const spl_model *model) {
    if (!atomic_load(&model->prepared))
        wait_until_prepared((spl_model *)model); /* changes nothing visible to callers */
}

SPL_API spl_status spl_model_verify(const char *folder, spl_error *ret_error) {
    if (!folder || !*folder)
        return spl_fail(ret_error, SPL_E_ARGUMENT, "spl_model_verify needs a folder");
    json_t *manifest;
    spl_model_info info;
    int status = spl_manifest_load(folder, &manifest, &info, ret_error);
    if (status < 0)
        return status;
    unsigned filters[SPL_UNET_DEPTH];
    for (unsigned i = 0; i < info.stem_count + info.group_count && status == 0; i++) {
        spl_folder_network network;
        status = spl_folder_network_open(folder, info.stems[i].network, info.stems[i].sha256,
                                         &network, ret_error);
        if (status < 0)
            break;
        if (i == 0)
            memcpy(filters, network.weights.filters, sizeof(filters));
        status = spl_network_check_filters(&network.weights, network.path, filters,
                                           "the model's first network", ret_error);
        spl_folder_network_close(&network);
    }
    json_decref(manifest);
    return status;
}
