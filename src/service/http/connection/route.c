/* SPDX-License-Identifier: MIT
 *
 * Finds the route of a request.
 */
#include "service/http/connection/route.h"

#include "service/core/ids.h"

#include <string.h>

const char *spl_method_name(const char *method) {
    static const char *const known[] = {"GET",   "HEAD",    "POST",  "PUT",    "DELETE",
                                        "PATCH", "OPTIONS", "TRACE", "CONNECT"};
    for (size_t i = 0; i < SPL_ARRAY_SIZE(known); i++) {
        if (strcmp(method, known[i]) == 0)
            return known[i];
    }
    return "OTHER";
}

/* Stores the values of the parameters in *ret_id and *ret_file. */
static bool path_matches(const char *path, const spl_target *target, const char **ret_id,
                         const char **ret_file) {
    const char *id = NULL, *file = NULL;
    size_t count = 0;
    while (path[0] == '/' && path[1] != '\0') {
        path++;
        const size_t length = strcspn(path, "/");
        if (count == target->segment_count)
            return false;
        const char *segment = target->segments[count++];
        if (strncmp(path, "{id}", length) == 0)
            id = segment;
        else if (strncmp(path, "{file}", length) == 0)
            file = segment;
        else if (strlen(segment) != length || strncmp(path, segment, length) != 0)
            return false;
        path += length;
    }
    *ret_id = id;
    *ret_file = file;
    return count == target->segment_count;
}

static bool method_matches(const char *route, const char *method) {
    return strcmp(route, method) == 0 || (strcmp(route, "GET") == 0 && strcmp(method, "HEAD") == 0);
}

static const char *allow_text(bool get, bool post, bool remove) {
    static const char *const texts[] = {
        "OPTIONS",
        "GET, HEAD, OPTIONS",
        "POST, OPTIONS",
        "GET, HEAD, POST, OPTIONS",
        "DELETE, OPTIONS",
        "GET, HEAD, DELETE, OPTIONS",
        "POST, DELETE, OPTIONS",
        "GET, HEAD, POST, DELETE, OPTIONS",
    };
    return texts[get + 2 * post + 4 * remove];
}

static bool is_system(const char *path) {
    return strcmp(path, "/health") == 0 || strcmp(path, "/ready") == 0 ||
           strcmp(path, "/metrics") == 0;
}

bool spl_route_is_system(const spl_route *route) {
    return is_system(route->path);
}

int spl_route_find(spl_request *request, spl_problem *ret_problem) {
    const spl_route *routes = request->parts->routes;
    bool get = false, post = false, remove = false;
    for (size_t i = 0; i < request->parts->route_count; i++) {
        const char *id, *file;
        if (!path_matches(routes[i].path, &request->target, &id, &file) ||
            (request->parts->only_system && !is_system(routes[i].path)))
            continue;
        if (id && !spl_uuid_valid(id))
            return spl_refuse_not_found(ret_problem);
        if (method_matches(routes[i].method, request->method)) {
            request->route = &routes[i];
            request->path_id = id;
            request->path_file = file;
            return 0;
        }
        get |= strcmp(routes[i].method, "GET") == 0;
        post |= strcmp(routes[i].method, "POST") == 0;
        remove |= strcmp(routes[i].method, "DELETE") == 0;
    }
    if (!get && !post && !remove)
        return spl_refuse_not_found(ret_problem);
    request->allow = allow_text(get, post, remove);
    if (strcmp(request->method, "OPTIONS") == 0)
        return 0;
    return spl_refuse(ret_problem, SPL_PROBLEM_METHOD, "This address accepts %s", request->allow);
}

int spl_refuse_not_found(spl_problem *ret_problem) {
    return spl_refuse(ret_problem, SPL_PROBLEM_NOT_FOUND, "There is nothing at this address");
}

int spl_refuse_job(int status, spl_problem *problem) {
    if (status < 0 && problem->code == SPL_PROBLEM_NOT_FOUND)
        spl_refuse_not_found(problem);
    return status;
}
