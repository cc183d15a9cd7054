/* SPDX-License-Identifier: MIT
 *
 * Creates a model folder from a TensorFlow checkpoint.
 *
 * Everything is written to a temporary folder beside the final one, which is then renamed. The
 * model appears complete or not at all.
 */
#include "base/file.h"
#include "lib/formats/json.h"
#include "lib/model/folder_network.h"
#include "lib/model/manifest.h"
#include "lib/model/parameters.h"
#include "lib/model/spleeter_config.h"
#include "lib/model/spleeter_networks.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define NETWORK_NAME_BYTES (SPL_FILE_NAME_MAX_BYTES + 1)

/* A model that is being imported. */
typedef struct import_job {
    const char *config_path; /* NULL: Deezer's model */
    spl_checkpoint *checkpoint;
    spl_spleeter_config config;
    char *folder;    /* the final path, without a trailing '/' */
    char *parent;    /* the folder that holds `folder` */
    char *temporary; /* the current path; NULL: nothing to remove */
    spl_model_info info;
    char network_names[SPL_STEMS_MAX][NETWORK_NAME_BYTES];
    char sha256[SPL_STEMS_MAX][65];
} import_job;

/* Sets folder and parent; creates the parent if needed. */
static int prepare_folder(import_job *job, const char *folder, spl_error *ret_error) {
    job->folder = strdup(folder);
    if (!job->folder)
        return spl_fail_memory(ret_error);
    for (size_t n = strlen(folder); n > 1 && job->folder[n - 1] == '/'; n--)
        job->folder[n - 1] = '\0';
    struct stat existing;
    if (lstat(job->folder, &existing) == 0)
        return spl_fail(ret_error, SPL_E_EXISTS, "%s exists already", job->folder);
    char *slash = strrchr(job->folder, '/');
    job->parent = slash == job->folder ? strdup("/")
                  : slash              ? strndup(job->folder, (size_t)(slash - job->folder))
                                       : strdup(".");
    if (!job->parent)
        return spl_fail_memory(ret_error);
    return spl_make_folders(job->parent, ret_error);
}

/* Reads the configuration, or identifies Deezer's model by the number of networks. */
static int read_config(import_job *job, spl_error *ret_error) {
    unsigned network_count;
    int status = spl_spleeter_networks_count(job->checkpoint, &network_count, ret_error);
    if (status < 0)
        return status;
    if (!job->config_path)
        return spl_spleeter_config_official(network_count, &job->config, ret_error);
    status = spl_spleeter_config_load(job->config_path, &job->config, ret_error);
    if (status == 0 && job->config.info.stem_count != network_count)
        return spl_fail(ret_error, SPL_E_FORMAT,
                        "the checkpoint %s holds %u network%s, but %s names %u instrument%s",
                        spl_checkpoint_prefix(job->checkpoint), network_count,
                        SPL_PLURAL(network_count), job->config_path, job->config.info.stem_count,
                        SPL_PLURAL(job->config.info.stem_count));
    return status;
}

static int make_temporary(import_job *job, spl_error *ret_error) {
    const char *name = strrchr(job->folder, '/');
    SPL_CLEANUP(spl_free_p) char *path = NULL;
    if (asprintf(&path, "%s/.%.64s.XXXXXX", job->parent, name ? name + 1 : job->folder) < 0)
        return spl_fail_memory(ret_error);
    mode_t mask = umask(0);
    umask(mask);
    if (!mkdtemp(path) || chmod(path, 0777 & ~mask) < 0)
        return spl_fail_errno(ret_error, errno, "cannot make a folder in %s", job->parent);
    job->temporary = SPL_STEAL(path);
    return 0;
}

static int check_filters(const import_job *job, const spl_network_weights *weights,
                         spl_error *ret_error) {
    const char *prefix = spl_checkpoint_prefix(job->checkpoint);
    if (job->config_path)
        return spl_network_check_filters(weights, prefix, job->config.filters, job->config_path,
                                         ret_error);
    if (spl_network_check_filters(weights, prefix, job->config.filters, "Deezer's models", NULL) <
        0)
        return spl_fail(ret_error, SPL_E_UNSUPPORTED,
                        "the checkpoint %s is not one of Deezer's models: its networks have other "
                        "filters; give its Spleeter configuration (JSON)",
                        prefix);
    return 0;
}

static int write_networks(import_job *job, spl_error *ret_error) {
    for (unsigned i = 0; i < job->info.stem_count; i++) {
        spl_stem_info *stem = &job->info.stems[i];
        spl_spleeter_network network = {.checkpoint = job->checkpoint, .number = i};
        spl_network_weights weights;
        snprintf(job->network_names[i], NETWORK_NAME_BYTES, "%s.safetensors", stem->name);
        int status;
        if ((status = spl_network_read(spl_spleeter_network_source(&network), stem->conv_activation,
                                       stem->deconv_activation, &weights, &stem->parameters,
                                       ret_error)) < 0 ||
            (status = check_filters(job, &weights, ret_error)) < 0 ||
            (status = spl_folder_network_write(job->temporary, job->network_names[i], &weights,
                                               job->sha256[i], ret_error)) < 0)
            return status;
        stem->network = job->network_names[i];
        stem->sha256 = job->sha256[i];
    }
    return 0;
}

static int write_manifest(import_job *job, spl_error *ret_error) {
    SPL_CLEANUP(spl_free_p) char *path = NULL;
    if (asprintf(&path, "%s/" SPL_MANIFEST_NAME, job->temporary) < 0)
        return spl_fail_memory(ret_error);
    return spl_manifest_write(path, &job->info, ret_error);
}

static int publish(import_job *job, spl_error *ret_error) {
    if (rename(job->temporary, job->folder) < 0)
        return spl_fail_errno(ret_error, errno, "cannot make the folder %s", job->folder);
    free(SPL_STEAL(job->temporary));
    return spl_folder_flush(job->parent, ret_error);
}

static void clear_job(import_job *job) {
    if (job->temporary) {
        for (unsigned i = 0; i <= job->info.stem_count; i++) {
            const char *name = i < job->info.stem_count ? job->network_names[i] : SPL_MANIFEST_NAME;
            SPL_CLEANUP(spl_free_p) char *path = NULL;
            if (*name && asprintf(&path, "%s/%s", job->temporary, name) >= 0)
                unlink(path);
        }
        rmdir(job->temporary);
    }
    spl_checkpoint_close(job->checkpoint);
    spl_spleeter_config_clear(&job->config);
    free(job->folder);
    free(job->parent);
    free(job->temporary);
}

static int run(import_job *job, const spl_model_import_options *options, spl_error *ret_error) {
    int status;
    if ((status = prepare_folder(job, options->folder, ret_error)) < 0 ||
        (status = spl_checkpoint_open(options->checkpoint, &job->checkpoint, ret_error)) < 0 ||
        (status = read_config(job, ret_error)) < 0)
        return status;
    const char *slash = strrchr(job->folder, '/');
    job->info = job->config.info;
    job->info.name = options->name ? options->name : slash ? slash + 1 : job->folder;
    job->info.licence = options->licence ? options->licence : "unknown";
    job->info.source = options->source ? options->source : "unknown";
    const char *const lines[] = {job->info.name, job->info.licence, job->info.source};
    for (size_t i = 0; i < SPL_ARRAY_SIZE(lines); i++) {
        SPL_CLEANUP(spl_json_free_p) json_t *utf8 = json_string(lines[i]);
        if (!utf8 || !spl_json_is_line(lines[i]))
            return spl_fail(ret_error, SPL_E_ARGUMENT,
                            "name, licence and source must each be one line of UTF-8");
    }
    if ((status = make_temporary(job, ret_error)) < 0 ||
        (status = write_networks(job, ret_error)) < 0 ||
        (status = write_manifest(job, ret_error)) < 0 ||
        (status = spl_model_verify(job->temporary, ret_error)) < 0)
        return status;
    return publish(job, ret_error);
}

SPL_API spl_status spl_model_import(const spl_model_import_options *options, spl_error *ret_error) {
    if (!options || !options->checkpoint || !*options->checkpoint || !options->folder ||
        !*options->folder)
        return spl_fail(ret_error, SPL_E_ARGUMENT,
                        "spl_model_import needs a checkpoint and a folder to make");
    int status = spl_reserved_check(options->reserved, SPL_ARRAY_SIZE(options->reserved),
                                    "spl_model_import_options", ret_error);
    if (status < 0)
        return status;
    import_job job = {.config_path = options->config};
    status = run(&job, options, ret_error);
    clear_job(&job);
    return status;
}
