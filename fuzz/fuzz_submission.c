/* SPDX-License-Identifier: MIT
 *
 * Fuzzes a complete submission. The service runs in this process, on its own threads and stacks,
 * and each input is the body of a request that creates a job. The first byte selects the kind of
 * body:
 *
 *     f   a form, as curl sends it, with the boundary "B"
 *     j   JSON
 *     a   audio, with the first line after the first byte as the query
 *     r   the whole request, headers included
 *
 * Any response must be valid HTTP without a server error (5xx), with valid JSON where it is
 * declared. A job that was created can be read, listed and deleted.
 */
#include "base/json.h"
#include "base/macros.h"
#include "service/service.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define ANSWER_MAX_BYTES ((size_t)1 << 20)
#define ANSWER_TIMEOUT_S 60

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[] = "/tmp/fuzz_submission.XXXXXX";
static struct sockaddr_in address = {.sin_family = AF_INET};
static pthread_t service;

#define demand(truth)                                                                              \
    ((truth) ? (void)0 : (fprintf(stderr, "%s:%d: %s: %m\n", __FILE__, __LINE__, #truth), abort()))

/* ---- The service ---- */

static void *serve(void *user) {
    spl_settings *settings = user;
    spl_error error;
    if (spl_service_run(settings, SPL_SERVES, &error) < 0) {
        fprintf(stderr, "%s\n", error.message);
        abort();
    }
    spl_settings_free(settings);
    return NULL;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk) {
    (void)status, (void)type, (void)walk;
    return remove(path);
}

/* The service's thread for signals waits for SIGTERM, so every other thread must block it. */
static void block_sigterm(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void stop_service(void) {
    kill(getpid(), SIGTERM);
    pthread_join(service, NULL);
    nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* Returns the port that the service chose, from its log. */
static in_port_t find_port(const char *log_path) {
    for (;;) {
        char line[4096];
        FILE *log = fopen(log_path, "re");
        while (log && fgets(line, sizeof(line), log)) {
            const char *url = strstr(line, "http://127.0.0.1:");
            if (url && strstr(line, "service.started")) {
                fclose(log);
                return htons((uint16_t)strtoul(url + strlen("http://127.0.0.1:"), NULL, 10));
            }
        }
        if (log)
            fclose(log);
        usleep(10000);
    }
}

static void start_service(void) {
    static const char *const variables[][2] = {
        {"SPLEETER_ENV", "development"},
        {"SPLEETER_THREADS", "1"},
        {"SPLEETER_RATE_PER_MINUTE", "1000000"},
        {"SPLEETER_MIN_FREE_DISK_MB", "0"},
        {"SPLEETER_PORT", "0"},
        {"SPLEETER_CODEC", CODEC},
        {"SPLEETER_MODEL_PATH", MODELS},
        {"SPLEETER_CONNECTIONS_PER_ADDRESS", "0"},
    };
    static spl_settings settings;
    spl_error error;
    block_sigterm();
    demand(mkdtemp(folder) != NULL);
    char log_path[sizeof(folder) + 8];
    snprintf(log_path, sizeof(log_path), "%s/log", folder);
    setenv("SPLEETER_LOG_FILE", log_path, 1);
    for (size_t i = 0; i < SPL_ARRAY_SIZE(variables); i++)
        setenv(variables[i][0], variables[i][1], 1);
    setenv("SPLEETER_DATA_DIR", folder, 1);
    if (spl_settings_load(0, NULL, &settings, &error) < 0) {
        fprintf(stderr, "%s\n", error.message);
        abort();
    }
    demand(pthread_create(&service, NULL, serve, &settings) == 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = find_port(log_path);
    /* Registered last, so that it runs before OpenSSL's handler. */
    demand(atexit(stop_service) == 0);
}

/* ---- One request ---- */

typedef struct answer {
    unsigned status;
    char *text; /* the whole response; the caller owns it */
    const char *body;
} answer;

/* Sends until the service closes the connection, because it may respond before it has read
 * everything. */
static void send_all(int fd, const void *data, size_t size) {
    const char *from = data;
    while (size > 0) {
        const ssize_t sent = send(fd, from, size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return;
        from += sent;
        size -= (size_t)sent;
    }
}

/* Sends a request and reads the response. `cut` ends the client's side of the connection after the
 * request, for a raw request that may be incomplete. */
static answer ask(const char *head, const void *body, size_t size, bool cut) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct timeval timeout = {.tv_sec = ANSWER_TIMEOUT_S};
    demand(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    send_all(fd, head, strlen(head));
    send_all(fd, body, size);
    if (cut)
        shutdown(fd, SHUT_WR);
    answer result = {.text = calloc(ANSWER_MAX_BYTES + 1, 1)};
    size_t used = 0;
    ssize_t got;
    do { /* libFuzzer's alarm interrupts recv */
        got = recv(fd, result.text + used, ANSWER_MAX_BYTES - used, 0);
        used += (size_t)SPL_MAX(got, 0);
    } while (got > 0 || (got < 0 && errno == EINTR));
    demand(got == 0 || errno == ECONNRESET);
    close(fd);
    sscanf(result.text, "HTTP/1.1 %3u", &result.status);
    result.body = strstr(result.text, "\r\n\r\n");
    result.body = result.body ? result.body + 4 : "";
    return result;
}

/* Checks that a response is no server error and that declared JSON is valid. *ret_json is NULL if
 * the response is not JSON. Frees the text of `got`. */
static unsigned check(answer *got, json_t **ret_json) {
    *ret_json = NULL;
    if (got->status == 0) { /* closed without a response: the input was not a request */
        free(got->text);
        return 0;
    }
    /* 505: HTTP version not supported. */
    demand((got->status >= 200 && got->status < 500) || got->status == 505);
    if (strstr(got->text, "Content-Type: application/json") ||
        strstr(got->text, "Content-Type: application/problem+json")) {
        *ret_json = json_loads(got->body, JSON_REJECT_DUPLICATES | JSON_DISABLE_EOF_CHECK, NULL);
        demand(*ret_json != NULL);
    }
    free(got->text);
    return got->status;
}

static unsigned request_job(const char *method, const char *id, const char *rest) {
    char head[256];
    json_t *json;
    snprintf(head, sizeof(head),
             "%s /v1/jobs%s%s%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", method,
             *id ? "/" : "", id, rest);
    answer got = ask(head, "", 0, false);
    const unsigned status = check(&got, &json);
    json_decref(json);
    return status;
}

/* Uses a new job as its owner would. */
static void use_job(const json_t *job) {
    const char *id = json_string_value(json_object_get(job, "id"));
    demand(id != NULL && strlen(id) < 64);
    demand(request_job("GET", id, "") == 200);
    demand(request_job("GET", "", "?limit=5") == 200);
    demand(request_job("DELETE", id, "") < 300);
}

static answer submit(char kind, const char *data, size_t size) {
    char head[4096], query[1024] = "";
    if (kind == 'r')
        return ask("", data, size, true);
    if (kind == 'a') {
        const char *end = memchr(data, '\n', size);
        const size_t length = end ? (size_t)(end - data) : 0;
        for (size_t i = 0; i < SPL_MIN(length, sizeof(query) - 1); i++)
            query[i] = (char)(data[i] > ' ' && data[i] < 0x7f ? data[i] : '+');
        data += end ? length + 1 : 0;
        size -= end ? length + 1 : 0;
    }
    snprintf(head, sizeof(head),
             "POST /v1/jobs?%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
             "Content-Type: %s\r\nContent-Length: %zu\r\n\r\n",
             query,
             kind == 'f'   ? "multipart/form-data; boundary=B"
             : kind == 'j' ? "application/json"
                           : "audio/wav",
             size);
    return ask(head, data, size, false);
}

/* libFuzzer calls this before it starts threads of its own. */
int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    block_sigterm();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0 || !strchr("fjar", data[0]) || data[0] == '\0')
        return 0;
    if (address.sin_port == 0)
        start_service();
    answer got = submit((char)data[0], (const char *)data + 1, size - 1);
    json_t *json;
    if (check(&got, &json) == 202)
        use_job(json);
    json_decref(json);
    return 0;
}
