/* SPDX-License-Identifier: MIT
 *
 * Fuzzes names.json with arbitrary bytes. A name resolves to the folder of a model beside the file,
 * or not at all.
 */
#include "base/file.h"
#include "lib/model/names.h"

#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char parent[] = "/tmp/fuzz_model_names.XXXXXX", path[sizeof(parent) + 16];

static void remove_parent(void) {
    unlink(path);
    rmdir(parent);
}

static void make_parent(void) {
    if (!mkdtemp(parent) || atexit(remove_parent) != 0)
        abort();
    snprintf(path, sizeof(path), "%s/names.json", parent);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    spl_error error = {0};
    char folder[SPL_NAMES_FOLDER_BYTES] = "none";
    if (!*path)
        make_parent();
    SPL_CLEANUP(spl_output_file_discard) spl_output_file file = SPL_OUTPUT_FILE_INIT;
    if (spl_output_file_open(path, &file, &error) < 0 ||
        spl_write_all(file.fd, data, size, path, &error) < 0 ||
        spl_output_file_commit(&file, &error) < 0)
        abort();
    const int status = spl_names_find(parent, "4stems", folder, &error);
    if (status < 0 && (error.status != status || !error.message[0] || strcmp(folder, "none") != 0))
        __builtin_trap();
    if (status == 0 && (strchr(folder, '/') || folder[0] == '.'))
        __builtin_trap();
    /* A name that was set must be found, whatever else the file contains. */
    if (spl_names_set(parent, "5stems", "mine", &error) == 0 &&
        (spl_names_find(parent, "5stems", folder, &error) < 0 || strcmp(folder, "mine") != 0))
        __builtin_trap();
    return 0;
}
