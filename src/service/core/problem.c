/* SPDX-License-Identifier: MIT
 *
 * The table of problems, and the functions that fill them in.
 */
#include "service/core/problem.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#define RETRY_AFTER_S          5
#define NOT_YET_RETRY_AFTER_S  2
#define DRAINING_RETRY_AFTER_S 30

static const struct {
    unsigned http_status;
    const char *code, *title;
} problems[SPL_PROBLEM_COUNT] = {
#define SPL_PROBLEM_ROW(name, status, code, title) {status, code, title},
    SPL_PROBLEMS(SPL_PROBLEM_ROW)
#undef SPL_PROBLEM_ROW
};

const char *spl_problem_code_text(spl_problem_code code) {
    return problems[code].code;
}

unsigned spl_problem_http_status(spl_problem_code code) {
    return problems[code].http_status;
}

const char *spl_problem_title(spl_problem_code code) {
    return problems[code].title;
}

static int refuse(spl_problem *ret_problem, spl_problem_code code, const char *field,
                  const char *setting, const char *format, va_list arguments) {
    assert(code < SPL_PROBLEM_COUNT);
    spl_problem problem = {.code = code};
    vsnprintf(problem.detail, sizeof(problem.detail), format, arguments);
    snprintf(problem.field, sizeof(problem.field), "%s", field ? field : "");
    snprintf(problem.setting, sizeof(problem.setting), "%s", setting ? setting : "");
    *ret_problem = problem;
    return SPL_E_PERMISSION;
}

int spl_refuse(spl_problem *ret_problem, spl_problem_code code, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int status = refuse(ret_problem, code, NULL, NULL, format, arguments);
    va_end(arguments);
    return status;
}

int spl_refuse_about(spl_problem *ret_problem, spl_problem_code code, const char *field,
                     const char *setting, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int status = refuse(ret_problem, code, field, setting, format, arguments);
    va_end(arguments);
    return status;
}

int spl_refuse_yet(spl_problem *ret_problem, const char *detail) {
    const int status = spl_refuse(ret_problem, SPL_PROBLEM_CONFLICT, "%s", detail);
    ret_problem->retry_after_s = NOT_YET_RETRY_AFTER_S;
    return status;
}

int spl_refuse_error(spl_problem *ret_problem, const spl_error *error) {
    spl_problem_code code = SPL_PROBLEM_INTERNAL;
    const char *detail =
        "Something failed inside the service; its log has the details under this request's id";
    if (error->status == SPL_E_NO_SPACE) {
        code = SPL_PROBLEM_STORAGE_FULL;
        detail = "The disk of the service is full; try again later";
    } else if (error->status == SPL_E_MEMORY) {
        code = SPL_PROBLEM_UNAVAILABLE;
        detail = "The service is out of memory; try again later";
    } else if (error->status == SPL_E_EXHAUSTED) {
        code = SPL_PROBLEM_UNAVAILABLE;
        detail = "The service has no file descriptor, thread or name lookup left; try again later";
    } else if (error->status == SPL_E_CANCELED) {
        code = SPL_PROBLEM_UNAVAILABLE;
        detail = "The client has disconnected, or the service is shutting down";
    } else if (error->status == SPL_E_IO) {
        code = SPL_PROBLEM_UNAVAILABLE;
        detail = "The service can't use its storage now; try again later";
    }
    spl_refuse(ret_problem, code, "%s", detail);
    if (code == SPL_PROBLEM_UNAVAILABLE)
        ret_problem->retry_after_s = RETRY_AFTER_S;
    return error->status;
}

int spl_refuse_memory(spl_problem *ret_problem) {
    return spl_refuse_error(ret_problem, &(spl_error){.status = SPL_E_MEMORY});
}

int spl_refuse_disconnected(spl_problem *ret_problem) {
    return spl_refuse(ret_problem, SPL_PROBLEM_UNAVAILABLE, "The client has disconnected");
}

int spl_refuse_draining(spl_problem *ret_problem) {
    int status = spl_refuse(ret_problem, SPL_PROBLEM_DRAINING,
                            "The service is shutting down; try again in a minute");
    ret_problem->retry_after_s = DRAINING_RETRY_AFTER_S;
    return status;
}
