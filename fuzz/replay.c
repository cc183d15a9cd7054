/* SPDX-License-Identifier: MIT
 *
 * Replaces libFuzzer where it is unavailable: passes each file in the folders on the command line
 * to the harness once.
 */
#include "base/file.h"

#include <dirent.h>
#include <stdio.h>

#define INPUT_MAX_BYTES ((size_t)1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path) {
    spl_error error;
    spl_file_map map;
    if (spl_file_map_open(path, INPUT_MAX_BYTES, &map, &error) < 0) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    LLVMFuzzerTestOneInput(map.data, map.size_bytes);
    spl_file_map_close(&map);
    return 0;
}

int main(int argc, char **argv) {
    int failed = 0;
    for (int i = 1; i < argc; i++) {
        struct dirent **entries;
        int count = scandir(argv[i], &entries, NULL, alphasort);
        if (count < 0) {
            perror(argv[i]);
            return 1;
        }
        for (int k = 0; k < count; k++) {
            SPL_CLEANUP(spl_free_p) char *path = NULL;
            if (entries[k]->d_name[0] != '.') {
                if (asprintf(&path, "%s/%s", argv[i], entries[k]->d_name) < 0)
                    return 1;
                failed |= replay_file(path);
            }
            free(entries[k]);
        }
        free(entries);
    }
    return failed;
}
