/* SPDX-License-Identifier: MIT
 *
 * Models that are open: where their parts come from, and who owns them.
 *
 * A model folder gives everything: settings in its manifest, a net file a stem.
 * A Spleeter configuration gives the settings and names in "model_dir" where the
 * nets are, a checkpoint or a model folder; its i-th instrument gets the i-th
 * net, as in Spleeter. Files are closed once the nets are prepared.
 */
#include "model/model.h"
#include "base/pool.h"

#include "model/folder_net.h"
#include "model/manifest.h"
#include "model/spleeter_config.h"
#include "model/spleeter_nets.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct spl_model {
    atomic_uint owners;
    spl_model_info info;
    spl_unet *unets[SPL_STEMS_MAX]; /* NULL for a stem that shares an earlier one's */
    unsigned unet_of[SPL_STEMS_MAX];

    char *path, *name, *net_path; /* what `info` points to, beside strings of these: */
    json_t *manifest;
    spl_spleeter_config config;
};

static void free_model(spl_model *model) {
    for (unsigned i = 0; i < SPL_STEMS_MAX; i++)
        spl_unet_free(model->unets[i]);
    free(model->path);
    free(model->name);
    free(model->net_path);
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

/* The first of the stems before the `stem`-th with the same net; `stem` if there is none. */
static unsigned find_same_net(const spl_model_info *info, unsigned stem) {
    unsigned i = 0;
    while (i < stem && strcmp(info->stems[i].sha256, info->stems[stem].sha256) != 0)
        i++;
    return i;
}

/* The nets of a folder while they are opened, all at once. */
typedef struct folder_nets {
    spl_model *model;
    const char *folder;
    spl_folder_net nets[SPL_STEMS_MAX];
    spl_error errors[SPL_STEMS_MAX];
} folder_nets;

/* Opens one net file and prepares the net. With a configuration, its activations apply; otherwise those of the file. */
static int open_folder_net(folder_nets *opening, unsigned i) {
    spl_model *model = opening->model;
    spl_stem_info *stem = &model->info.stems[i];
    spl_folder_net *net = &opening->nets[i];
    spl_error *error = &opening->errors[i];
    const int status = spl_folder_net_open(opening->folder, stem->net, stem->sha256, net, error);
    if (status < 0)
        return status;
    if (model->config.root) {
        net->weights.conv_activation = stem->conv_activation;
        net->weights.deconv_activation = stem->deconv_activation;
    } else {
        stem->conv_activation = net->weights.conv_activation;
        stem->deconv_activation = net->weights.deconv_activation;
    }
    stem->parameters = net->parameters;
    return spl_unet_new(&net->weights, &model->unets[i], error);
}

static void open_folder_net_task(void *user, size_t task, unsigned thread) {
    (void)thread;
    folder_nets *opening = user;
    if (find_same_net(&opening->model->info, (unsigned)task) == task)
        open_folder_net(opening, (unsigned)task);
}

/* What became of the nets, in their order. All pass through one workspace, so their filters must be those of the
 * configuration, or without one of the first. */
static int check_folder_nets(folder_nets *opening, spl_error *ret_error) {
    spl_model *model = opening->model;
    spl_model_info *info = &model->info;
    const unsigned *filters =
        model->config.root ? model->config.filters : opening->nets[0].weights.filters;
    for (unsigned i = 0; i < info->stem_count + info->group_count; i++) {
        const unsigned same = find_same_net(info, i);
        model->unet_of[i] = same;
        if (same < i) {
            info->stems[i].conv_activation = info->stems[same].conv_activation;
            info->stems[i].deconv_activation = info->stems[same].deconv_activation;
            info->stems[i].parameters = info->stems[same].parameters;
            continue;
        }
        if (opening->errors[i].status < 0) {
            if (ret_error)
                *ret_error = opening->errors[i];
            return opening->errors[i].status;
        }
        const int status =
            spl_net_check_filters(&opening->nets[i].weights, opening->nets[i].path, filters,
                                  "the model's other nets or configuration", ret_error);
        if (status < 0)
            return status;
    }
    return 0;
}

/* Reads the nets that `model->info` names from `folder`, and prepares each once. */
static int open_folder_nets(spl_model *model, const char *folder, spl_error *ret_error) {
    const unsigned count = model->info.stem_count + model->info.group_count;
    folder_nets *opening = calloc(1, sizeof(*opening));
    if (!opening)
        return spl_fail_memory(ret_error);
    opening->model = model;
    opening->folder = folder;
    spl_pool *pool;
    int status = spl_pool_new(SPL_MIN(count, spl_cpu_count()), &pool, ret_error);
    if (status == 0) {
        spl_pool_run(pool, count, open_folder_net_task, opening);
        spl_pool_free(pool);
        status = check_folder_nets(opening, ret_error);
    }
    for (unsigned i = 0; i < count; i++)
        spl_folder_net_close(&opening->nets[i]);
    free(opening);
    return status;
}

static int open_folder(spl_model *model, spl_error *ret_error) {
    if (!has_manifest(model->path))
        return spl_fail(ret_error, SPL_E_NOT_FOUND,
                        "%s is not a model folder: it has no " SPL_MANIFEST_NAME
                        "; make one of a TensorFlow checkpoint with: spleeterd models import %s",
                        model->path, model->path);
    int status = spl_manifest_load(model->path, &model->manifest, &model->info, ret_error);
    return status < 0 ? status : open_folder_nets(model, model->path, ret_error);
}

/* -------------------------------------------------- configurations ---- */

static int open_checkpoint_nets(spl_model *model, const spl_checkpoint *checkpoint,
                                spl_error *ret_error) {
    spl_model_info *info = &model->info;
    unsigned net_count;
    int status = spl_spleeter_nets_count(checkpoint, &net_count, ret_error);
    if (status < 0)
        return status;
    if (net_count != info->stem_count)
        return spl_fail(
            ret_error, SPL_E_FORMAT, "the checkpoint %s holds %u nets, but %s names %u instruments",
            spl_checkpoint_prefix(checkpoint), net_count, model->path, info->stem_count);
    model->net_path = strdup(spl_checkpoint_prefix(checkpoint));
    if (!model->net_path)
        return spl_fail_memory(ret_error);
    for (unsigned i = 0; i < info->stem_count; i++) {
        spl_stem_info *stem = &info->stems[i];
        spl_spleeter_net net = {.checkpoint = checkpoint, .number = i};
        spl_net_weights weights;
        stem->net = model->net_path;
        model->unet_of[i] = i;
        if ((status = spl_net_read(spl_spleeter_net_source(&net), stem->conv_activation,
                                   stem->deconv_activation, &weights, &stem->parameters,
                                   ret_error)) < 0 ||
            (status = spl_net_check_filters(&weights, model->net_path, model->config.filters,
                                            model->path, ret_error)) < 0 ||
            (status = spl_unet_new(&weights, &model->unets[i], ret_error)) < 0)
            return status;
    }
    return 0;
}

/* Takes licence, source and net files from the manifest of the folder that a configuration names. */
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
                        "the model folder %s has %u stems, but %s names %u instruments", folder,
                        manifest.stem_count, model->path, model->info.stem_count);
    model->info.licence = manifest.licence;
    model->info.source = manifest.source;
    for (unsigned i = 0; i < manifest.stem_count; i++) {
        model->info.stems[i].net = manifest.stems[i].net;
        model->info.stems[i].sha256 = manifest.stems[i].sha256;
    }
    return open_folder_nets(model, folder, ret_error);
}

/* Finds the folder that "model_dir" means: in the configuration's own folder, in MODEL_PATH (Spleeter's default for it is
 * pretrained_models), or in the working directory. */
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
        return spl_fail(
            ret_error, SPL_E_NOT_FOUND,
            "%s: the folder \"%s\" of its \"model_dir\" does not exist, neither beside it "
            "nor in %s (MODEL_PATH)",
            model->path, model_dir, model_path);
    else if (!(folder = strdup(model_dir)))
        return spl_fail_memory(ret_error);
    *ret_folder = folder;
    return 0;
}

/* The file's name without ".json". */
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
    spl_checkpoint *checkpoint;
    status = spl_checkpoint_open(folder, &checkpoint, ret_error);
    if (status < 0)
        return status;
    status = open_checkpoint_nets(model, checkpoint, ret_error);
    spl_checkpoint_close(checkpoint);
    return status;
}

/* ------------------------------------------------------------ public ---- */

SPL_API int spl_model_open(const char *path, spl_model **ret_model, spl_error *ret_error) {
    if (!path || !*path || !ret_model)
        return spl_fail(ret_error, SPL_E_ARGUMENT, "spl_model_open needs a path and a result");
    struct stat file;
    if (stat(path, &file) < 0)
        return spl_fail_errno(ret_error, errno, "cannot open the model %s", path);
    spl_model *model = calloc(1, sizeof(*model));
    if (!model)
        return spl_fail_memory(ret_error);
    atomic_init(&model->owners, 1);
    int status;
    model->path = strdup(path);
    if (!model->path)
        status = spl_fail_memory(ret_error);
    else if (S_ISDIR(file.st_mode))
        status = open_folder(model, ret_error);
    else
        status = open_config(model, ret_error);
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
    assert(stem < model->info.stem_count + model->info.group_count);
    return model->unets[model->unet_of[stem]];
}

SPL_API int spl_model_verify(const char *folder, spl_error *ret_error) {
    if (!folder || !*folder)
        return spl_fail(ret_error, SPL_E_ARGUMENT, "spl_model_verify needs a folder");
    json_t *manifest;
    spl_model_info info;
    int status = spl_manifest_load(folder, &manifest, &info, ret_error);
    if (status < 0)
        return status;
    unsigned filters[SPL_UNET_DEPTH];
    for (unsigned i = 0; i < info.stem_count + info.group_count && status == 0; i++) {
        spl_folder_net net;
        status =
            spl_folder_net_open(folder, info.stems[i].net, info.stems[i].sha256, &net, ret_error);
        if (status < 0)
            break;
        if (i == 0)
            memcpy(filters, net.weights.filters, sizeof(filters));
        status = spl_net_check_filters(&net.weights, net.path, filters, "the model's first net",
                                       ret_error);
        spl_folder_net_close(&net);
    }
    json_decref(manifest);
    return status;
}
