/* SPDX-License-Identifier: MIT
 *
 * `spleeterd models pull`: downloads Deezer's models from the internet or a mirror, or reads them
 * from a folder.
 */
#include "app/download/pull.h"
#include "app/models/search_path.h"
#include "base/clock.h"
#include "cli/models.h"
#include "cli/report.h"
#include "cli/signals.h"

#include <string.h>

#define SHOW_INTERVAL_S 0.1
#define BAR_CELLS       24
#define BASE_VARIABLE   "SPLEETER_MODEL_URL"

typedef struct pull_bar {
    const char *name;
    bool shown;
    double last_s;
    uint64_t first_bytes; /* already present from an earlier attempt */
    double started_s;     /* 0: no bytes have arrived yet */
} pull_bar;

static void draw_download(pull_bar *bar, const spl_pull_progress *progress, double now) {
    if (bar->started_s == 0) {
        bar->started_s = now;
        bar->first_bytes = progress->done_bytes;
    }
    const double done = (double)progress->done_bytes, total = (double)progress->total_bytes;
    const double speed = (done - (double)bar->first_bytes) / SPL_MAX(now - bar->started_s, 1e-3);
    char cells[BAR_CELLS + 1] = "";
    for (int i = 0; total > 0 && i < BAR_CELLS; i++)
        cells[i] = i < (int)(done / total * BAR_CELLS) ? '#' : '.';
    fprintf(stderr, "\r%s  %s %.1f", bar->name, cells, done / 1e6);
    if (total > 0)
        fprintf(stderr, " of %.1f", total / 1e6);
    fprintf(stderr, " MB  %.1f MB/s\033[K", speed / 1e6);
}

static int show_progress(void *user, const spl_pull_progress *progress) {
    pull_bar *bar = user;
    const double now = spl_now_s();
    const bool download = progress->phase == SPL_PULL_DOWNLOAD;
    if (bar->shown && (!download || now - bar->last_s > SHOW_INTERVAL_S)) {
        bar->last_s = now;
        if (!download)
            fprintf(stderr, "\r%s  %s\033[K", bar->name,
                    progress->phase == SPL_PULL_CHECK ? "checking" : "converting");
        else if (progress->done_bytes > 0)
            draw_download(bar, progress, now);
    }
    return cli_signals_caught() != 0;
}

static cli_exit exit_of_pull(int status) {
    if (cli_signals_caught())
        return CLI_EXIT_SIGNAL + cli_signals_caught();
    return status == SPL_E_ARGUMENT ? CLI_EXIT_USAGE : cli_exit_of_model(status);
}

/* Pulls one model; the error message ends with the consequence for the user. */
static int pull(const cli_pull_request *request, const char *name, const char *folder,
                spl_error *ret_error) {
    const char *variable = getenv(BASE_VARIABLE);
    pull_bar bar = {.name = name, .shown = isatty(STDERR_FILENO)};
    const spl_pull_options options = {
        .name = name,
        .base = request->base           ? request->base
                : variable && *variable ? variable
                                        : NULL,
        .folder = folder,
        .stall_s = request->stall_s,
        .user = &bar,
        .progress = show_progress,
    };
    SPL_CLEANUP(spl_free_p) char *path = NULL;
    bool changed;
    spl_error error;
    int status = spl_model_pull(&options, &path, &changed, &error);
    if (bar.shown)
        fputs("\r\033[K", stderr);
    if (status < 0)
        return spl_fail(ret_error, error.status, "%s; no model was changed%s", error.message,
                        status == SPL_E_IO ? "; --from takes a mirror, or a folder with "
                                             "checksum.json and the archive"
                                           : "");
    printf("%s\n", path);
    if (!changed)
        fprintf(stderr, "%s is already installed and intact\n", name);
    return 0;
}

cli_exit cli_models_pull(const cli_pull_request *request, char **names, int name_count,
                         spl_error *ret_error) {
    SPL_CLEANUP(spl_free_p) char *folder = NULL;
    int status = spl_models_user_folder(&folder, ret_error);
    for (int i = 0; status == 0 && i < name_count; i++)
        status = pull(request, names[i], folder, ret_error);
    return status < 0 ? exit_of_pull(status) : CLI_EXIT_OK;
}
