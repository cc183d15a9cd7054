/* SPDX-License-Identifier: MIT
 *
 * Status codes and error messages of libspleeter.
 *
 * Every function that can fail returns SPL_OK (0) or a negative spl_status, and so do callbacks. A
 * function that takes an spl_error* also reports what was wrong, where, and what to do; the pointer
 * may be NULL. Outputs (parameters whose names start with "ret_") are written on success only, the
 * spl_error on failure only.
 *
 * The layout of every public struct is fixed within a major API version (spl_api_version). New
 * fields take the place of `reserved`, which the caller sets to zero in a struct that it fills, and
 * zero in a new field means the behaviour before it existed. A function returns ARGUMENT if a
 * reserved field is not zero: the struct was not initialized, or the program needs a newer library.
 * Reserved fields are used instead of a size field because bindings then have one fixed layout and
 * nothing to fill in. An enum has 32 bits; it may get new values in a minor version.
 */
#ifndef SPLEETER_ERROR_H
#define SPLEETER_ERROR_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define SPL_API         __attribute__((visibility("default")))
#define SPL_WARN_UNUSED __attribute__((warn_unused_result))
#else
#define SPL_API
#define SPL_WARN_UNUSED
#endif

typedef enum spl_status {
    SPL_OK = 0,
    SPL_E_ARGUMENT = -1,    /* a parameter is outside its documented range */
    SPL_E_MEMORY = -2,      /* an allocation failed */
    SPL_E_IO = -3,          /* reading or writing failed */
    SPL_E_NOT_FOUND = -4,   /* a file, folder, model or stem does not exist */
    SPL_E_FORMAT = -5,      /* data is damaged or not in the expected format */
    SPL_E_UNSUPPORTED = -6, /* well formed, but not supported by this build */
    SPL_E_CHECKSUM = -7,    /* content does not match its recorded checksum */
    SPL_E_CANCELED = -8,    /* canceled by the caller, a user or a client */
    SPL_E_LIMIT = -9,       /* a configured limit was exceeded */
    SPL_E_PERMISSION = -10, /* the operating system denied access */
    SPL_E_HELPER = -11,     /* the codec helper is missing, crashed or was killed */
    SPL_E_NO_SPACE = -12,   /* the disk, or the quota on it, is full */
    SPL_E_BUDGET = -13,     /* decoding a file would exceed its memory or time budget */
    SPL_E_SAMPLE = -14,     /* a sample is not finite, or too large */
    SPL_E_EXHAUSTED = -15,  /* no file descriptor, thread or process is left for now */
    SPL_E_EXISTS = -16,     /* a file or folder that would be created exists already */
} spl_status;

typedef struct spl_error {
    spl_status status;
    char message[1024]; /* one line of UTF-8 without a final full stop, NUL-terminated */
    uint64_t reserved[4];
} spl_error;

/* Returns a short constant text for `status`, such as "disk full"; never NULL. Thread-safe. */
SPL_API const char *spl_status_text(spl_status status);

#ifdef __cplusplus
}
#endif

#endif
