/* SPDX-License-Identifier: MIT
 *
 * The public model functions as subcommands, for tests that need a program:
 *
 *   model_tool open PATH              opens a model, prints its description and the time it took
 *   model_tool verify FOLDER
 *   model_tool import CHECKPOINT FOLDER [CONFIG] [NAME LICENCE SOURCE]   "-": no CONFIG
 *   model_tool resolve NAME [SEARCH_PATH]
 *   model_tool list [SEARCH_PATH]
 *
 * Exit status: 0, or the negated spl_status after a line on standard error.
 */
#include <spleeter/model.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

static double now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static int open_and_print(const char *path, spl_error *error) {
    double start_ms = now_ms();
    spl_model *model;
    int status = spl_model_open(path, &model, error);
    if (status < 0)
        return status;
    double took_ms = now_ms() - start_ms;
    const spl_model_info *info = spl_model_get_info(model);
    printf("name %s\npath %s\narchitecture %d\nframes %u\nbins %u\nmask_extension %d\n"
           "separation_exponent %g\nlicence %s\nsource %s\n",
           info->name, info->path, info->architecture, info->frames, info->bins,
           info->mask_extension, info->separation_exponent, info->licence, info->source);
    for (unsigned i = 0; i < info->stem_count; i++) {
        const spl_stem_info *stem = &info->stems[i];
        printf("stem %s net %s sha256 %s activations %d %d parameters %llu\n", stem->name,
               stem->network, *stem->sha256 ? stem->sha256 : "-", stem->conv_activation,
               stem->deconv_activation, (unsigned long long)stem->parameters);
    }
    printf("open_ms %.0f\n", took_ms);
    spl_model_unref(model);
    return 0;
}

static int import(int count, char **arguments, spl_error *error) {
    spl_model_import_options options = {.checkpoint = arguments[0], .folder = arguments[1]};
    if (count > 2 && strcmp(arguments[2], "-") != 0)
        options.config = arguments[2];
    if (count > 5) {
        options.name = arguments[3];
        options.licence = arguments[4];
        options.source = arguments[5];
    }
    return spl_model_import(&options, error);
}

static int resolve_and_print(const char *name, const char *search_path, spl_error *error) {
    spl_model_choice choice;
    int status = spl_model_resolve(name, search_path, &choice, error);
    if (status == 0)
        printf("%s as_spleeter %d bandwidth %d\n", choice.path, choice.as_spleeter,
               choice.bandwidth);
    return status;
}

static int print_path(void *user, const char *path) {
    (void)user;
    puts(path);
    return 0;
}

int main(int argc, char **argv) {
    const char *command = argc > 1 ? argv[1] : "";
    spl_error error = {.status = SPL_E_ARGUMENT, .message = "see the comment in model_tool.c"};
    int status = SPL_E_ARGUMENT;
    if (strcmp(command, "open") == 0 && argc == 3)
        status = open_and_print(argv[2], &error);
    else if (strcmp(command, "verify") == 0 && argc == 3)
        status = spl_model_verify(argv[2], &error);
    else if (strcmp(command, "import") == 0 && argc >= 4)
        status = import(argc - 2, argv + 2, &error);
    else if (strcmp(command, "resolve") == 0 && (argc == 3 || argc == 4))
        status = resolve_and_print(argv[2], argc == 4 ? argv[3] : NULL, &error);
    else if (strcmp(command, "list") == 0 && argc <= 3)
        status = spl_model_list(argc == 3 ? argv[2] : NULL, print_path, NULL, &error);
    if (status < 0)
        fprintf(stderr, "%s\n", error.message);
    return -status;
}
