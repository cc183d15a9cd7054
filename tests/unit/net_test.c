/* SPDX-License-Identifier: MIT
 *
 * Which addresses the service may reach: addresses in every notation, and real requests to servers
 * on loopback.
 */
#include "base/clock.h"
#include "base/descriptors.h"
#include "http_fixture.h"
#include "service/outbound/address.h"
#include "service/outbound/outbound.h"
#include "service/outbound/resolve.h"
#include "service/scan/clamd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

static http_fixture ipv4_server, ipv6_server;

static struct sockaddr *parse(const char *text, struct sockaddr_storage *address) {
    *address = (struct sockaddr_storage){0};
    if (strchr(text, ':')) {
        struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6};
        assert_int_equal(inet_pton(AF_INET6, text, &ipv6.sin6_addr), 1);
        memcpy(address, &ipv6, sizeof(ipv6));
    } else {
        struct sockaddr_in ipv4 = {.sin_family = AF_INET};
        assert_int_equal(inet_pton(AF_INET, text, &ipv4.sin_addr), 1);
        memcpy(address, &ipv4, sizeof(ipv4));
    }
    return (struct sockaddr *)address;
}

/* The first and last address of each block that is not public, and their public neighbours. */
static void public_addresses(void **state) {
    (void)state;
    static const char *const private[] = {
        "0.0.0.0",
        "0.255.255.255",
        "10.0.0.0",
        "10.255.255.255",
        "100.64.0.0",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.255",
        "168.63.129.16",
        "169.254.0.0",
        "169.254.169.254",
        "172.16.0.0",
        "172.31.255.255",
        "192.0.0.0",
        "192.0.0.255",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.0",
        "192.168.255.255",
        "198.18.0.0",
        "198.19.255.255",
        "198.51.100.7",
        "203.0.113.7",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::8.8.8.8",
        "::ffff:8.8.8.8",
        "::ffff:127.0.0.1",
        "64:ff9b::8.8.8.8",
        "64:ff9b:1::1",
        "100::1",
        "1fff:ffff::1",
        "2001::1",
        "2001:1ff:ffff::1",
        "2001:db8::1",
        "2001:0:53aa::1",
        "2002:7f00:1::1",
        "2002:808:808::1",
        "3fff::1",
        "3fff:fff:ffff::1",
        "4000::1",
        "5f00::1",
        "fc00::1",
        "fdff:ffff::1",
        "fd00:ec2::254",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "ff02::1",
        "ff0e::1",
    };
    static const char *const public[] = {
        "1.0.0.0",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "191.255.255.255",
        "192.0.1.0",
        "192.0.3.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "8.8.8.8",
        "2000::1",
        "2001:200::1",
        "2001:4860:4860::8888",
        "2003::1",
        "2a00::1",
        "3ffe::1",
        "3fff:1000::1",
    };
    struct sockaddr_storage address;
    for (size_t i = 0; i < SPL_ARRAY_SIZE(private); i++) {
        if (spl_address_public(parse(private[i], &address)))
            fail_msg("%s is taken for public", private[i]);
    }
    for (size_t i = 0; i < SPL_ARRAY_SIZE(public); i++) {
        if (!spl_address_public(parse(public[i], &address)))
            fail_msg("%s is not taken for public", public[i]);
    }
    assert_false(spl_address_public(&(struct sockaddr){.sa_family = AF_UNIX}));
}

static bool contains(const char *list, const char *text) {
    struct sockaddr_storage address;
    return spl_cidr_contains(list, parse(text, &address));
}

static void cidr_lists(void **state) {
    (void)state;
    const char *list = "10.0.0.0/8, 192.168.7.0/25,fd00::/9 2001:db8::1, 127.0.0.1";
    assert_int_equal(spl_cidr_check(list, NULL), 0);
    assert_int_equal(spl_cidr_check("", NULL), 0);
    assert_true(contains(list, "10.255.0.1"));
    assert_true(contains(list, "::ffff:10.255.0.1"));
    assert_true(contains(list, "192.168.7.127"));
    assert_true(contains(list, "fd7f::1"));
    assert_true(contains(list, "2001:db8::1"));
    assert_true(contains(list, "127.0.0.1"));
    assert_false(contains(list, "11.0.0.0"));
    assert_false(contains(list, "192.168.7.128"));
    assert_false(contains(list, "fd80::1"));
    assert_false(contains(list, "2001:db8::2"));
    assert_false(contains(list, "127.0.0.2"));
    assert_false(contains(list, "::1"));
    assert_false(contains("", "10.0.0.1"));
    assert_true(contains("0.0.0.0/0", "8.8.8.8"));
    assert_false(contains("0.0.0.0/0", "::1"));
    assert_true(contains("::/0", "::1"));

    static const char *const wrong[] = {
        "10.0.0.0/33",
        "10.0.0.0/",
        "10.0.0.0/-1",
        "10.0.0/8",
        "10.0.0.1/8",
        "fd00::/129",
        "fd00::1/64",
        "localhost",
        "10.0.0.0/8/8",
        "10.0.0.0/0x8",
        "::/",
        "10.0.0.0/8; x",
        "010.0.0.0/8",
        "10.0.0.0/000008",
        "1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111/64",
    };
    for (size_t i = 0; i < SPL_ARRAY_SIZE(wrong); i++) {
        spl_error error;
        if (spl_cidr_check(wrong[i], &error) != SPL_E_ARGUMENT)
            fail_msg("%s is taken", wrong[i]);
        assert_non_null(strstr(error.message, "is not a network"));
    }
}

static void address_texts(void **state) {
    (void)state;
    struct sockaddr_storage address;
    char text[64];
    spl_address_text(parse("192.168.0.1", &address), text);
    assert_string_equal(text, "192.168.0.1");
    spl_address_text(parse("::ffff:192.168.0.1", &address), text);
    assert_string_equal(text, "192.168.0.1");
    spl_address_text(parse("2001:0db8::0001", &address), text);
    assert_string_equal(text, "2001:db8::1");
    spl_address_text(&(struct sockaddr){.sa_family = AF_UNIX}, text);
    assert_string_equal(text, "unknown");
}

/* %u is the port of a server that must not receive a connection. */
static const char *const forbidden_urls[] = {
    /* Loopback in every notation. */
    "https://127.0.0.1:%u/",
    "https://127.1:%u/",
    "https://127.0.1:%u/",
    "https://2130706433:%u/",
    "https://0x7f000001:%u/",
    "https://0x7f.0.0.1:%u/",
    "https://0177.0.0.1:%u/",
    "https://017700000001:%u/",
    "https://0x7f.1:%u/",
    "https://127.0.0.1.:%u/",
    "https://127.255.255.254:%u/",
    "https://0:%u/",
    /* One slash, or none. */
    "https:/127.0.0.1:%u/",
    "https:127.0.0.1:%u/",
    "127.0.0.1:%u/",
    "https://0.0.0.0:%u/",
    "https://00:%u/",
    "https://localhost:%u/",
    "https://LocalHost:%u/",
    "https://localhost.:%u/",
    "https://any.localhost:%u/",
    "https://[::1]:%u/",
    "https://[0:0:0:0:0:0:0:1]:%u/",
    "https://[::]:%u/",
    "https://[::127.0.0.1]:%u/",
    "https://%%31%%32%%37.0.0.1:%u/",
    "https://127%%2e0%%2e0%%2e1:%u/",
    "https://①②⑦.⓪.⓪.①:%u/",
    "https://127。0。0。1:%u/",
    "https://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ:%u/",
    "https://[::1%%25lo]:%u/",
    "https://[::1%%2525lo]:%u/",
    /* Mapped, translated and tunneled addresses. */
    "https://[::ffff:127.0.0.1]:%u/",
    "https://[::ffff:7f00:1]:%u/",
    "https://[0:0:0:0:0:ffff:7f00:0001]:%u/",
    "https://[::ffff:0:127.0.0.1]:%u/",
    "https://[64:ff9b::127.0.0.1]:%u/",
    "https://[64:ff9b::7f00:1]:%u/",
    "https://[64:ff9b:1::7f00:1]:%u/",
    "https://[2002:7f00:1::]:%u/",
    "https://[2001::1]:%u/",
    "https://[::ffff:169.254.169.254]/",
    "https://[::ffff:8.8.8.8]/",
    /* Private, link-local, metadata and other addresses that are not public. */
    "https://10.0.0.1/",
    "https://172.16.0.1/",
    "https://192.168.1.1/",
    "https://100.64.0.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://2852039166/",
    "https://0xa9fea9fe/",
    "https://0251.0376.0251.0376/",
    "https://[fd00:ec2::254]/",
    "https://[fe80::1]/",
    "https://[fc00::1]/",
    "https://[fec0::1]/",
    "https://168.63.129.16/",
    "https://192.0.2.1/",
    "https://198.18.0.1/",
    "https://203.0.113.1/",
    "https://224.0.0.1/",
    "https://255.255.255.255/",
    "https://[2001:db8::1]/",
    "https://[ff02::1]/",
    /* Other schemes, and credentials. */
    "http://127.0.0.1:%u/",
    "http://localhost:%u/",
    "http://8.8.8.8/",
    "ftp://127.0.0.1:%u/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:%u/_x",
    "dict://127.0.0.1:%u/x",
    "//127.0.0.1:%u/",
    "127.0.0.1:%u",
    "unix:///run/x",
    "data:text/plain,x",
    "",
    "https://",
    "https:///x",
    "https://:%u/",
    "https://user@127.0.0.1:%u/",
    "https://user:password@localhost:%u/",
    "https://example.org@127.0.0.1:%u/",
    "https://example.org:x@127.0.0.1:%u/",
    /* URLs that parsers interpret differently. */
    "https://127.0.0.1:%u\\@example.org/",
    "https://example.org\\@127.0.0.1:%u/",
    "https://127.0.0.1:%u#@example.org/",
    "https://127.0.0.1:%u?@example.org/",
    "https://example.org@@127.0.0.1:%u/",
    "https://127.0.0.1 :%u/",
    " https://127.0.0.1:%u/",
    "https://127.0.0.1\t:%u/",
    "https://127.0.0.1\r\nHost: x:%u/",
    "https://[::1]@127.0.0.1:%u/",
    "https:127.0.0.1:%u/",
    "https:/127.0.0.1:%u/",
    "https:////127.0.0.1:%u/",
    "https://[127.0.0.1]:%u/",
    "https://127.0.0.1:99999/",
    "https://127.0.0.1:-1/",
    "https://127.0.0.1%%00.example.org:%u/",
};

static void forbidden(void **state) {
    (void)state;
    const http_fixture *servers[] = {&ipv4_server, &ipv6_server};
    for (size_t s = 0; s < SPL_ARRAY_SIZE(servers); s++) {
        for (size_t i = 0; i < SPL_ARRAY_SIZE(forbidden_urls); i++) {
            char url[256];
            snprintf(url, sizeof(url), forbidden_urls[i], servers[s]->port);
            const spl_outbound request = {
                .url = url, .allow = "", .max_bytes = 1000, .timeout_s = 20};
            spl_outbound_answer answer = {.status = -1};
            spl_error error = {0};
            const int status = spl_outbound_run(&request, &answer, &error);
            assert_int_equal(answer.status, -1);
            assert_int_equal(error.status, status);
            const bool unresolved = status == SPL_E_IO && strstr(error.message, "resolve host");
            if (status != SPL_E_ARGUMENT && status != SPL_E_PERMISSION && !unresolved)
                fail_msg("%s: %d, %s", url, status, error.message);
        }
        assert_int_equal(servers[s]->connections, 0);
    }
}

/* The list allows exactly the addresses that it names. http requires an entry even for public
 * addresses. */
static void allow_list(void **state) {
    (void)state;
    assert_int_equal(spl_outbound_check_url("https://10.1.2.3/", "10.0.0.0/8", NULL), 0);
    assert_int_equal(spl_outbound_check_url("http://10.1.2.3/", "10.0.0.0/8", NULL), 0);
    assert_int_equal(spl_outbound_check_url("https://0x0a.1.2.3/", "10.0.0.0/8", NULL), 0);
    assert_int_equal(spl_outbound_check_url("https://8.8.8.8/", "10.0.0.0/8", NULL), 0);
    assert_int_equal(spl_outbound_check_url("https://example.org/x?y#z", "", NULL), 0);
    assert_int_equal(spl_outbound_check_url("https://[2a00::1]:8443/", "", NULL), 0);
    assert_int_equal(spl_outbound_check_url("http://8.8.8.8/", "10.0.0.0/8", NULL),
                     SPL_E_PERMISSION);
    assert_int_equal(spl_outbound_check_url("https://11.1.2.3/", "11.0.0.0/9", NULL), 0);
    assert_int_equal(spl_outbound_check_url("https://127.0.0.1/", "10.0.0.0/8", NULL),
                     SPL_E_PERMISSION);
    char long_url[4096];
    memset(long_url, 'a', sizeof(long_url));
    memcpy(long_url, "https://example.org/", strlen("https://example.org/"));
    long_url[sizeof(long_url) - 1] = '\0';
    assert_int_equal(spl_outbound_check_url(long_url, "", NULL), SPL_E_ARGUMENT);
}

typedef struct taken {
    char text[4096];
    size_t size;
    int status;
} taken;

static int take(void *user, const void *data, size_t size) {
    taken *to = user;
    if (to->status < 0)
        return to->status;
    assert_true(size < sizeof(to->text) - to->size);
    memcpy(to->text + to->size, data, size);
    to->size += size;
    to->text[to->size] = '\0';
    return 0;
}

static int run(http_fixture *server, const char *host, const char *path, spl_outbound request,
               spl_outbound_answer *ret_answer, spl_error *ret_error) {
    char url[256];
    snprintf(url, sizeof(url), "http://%s:%u%s", host, server->port, path);
    request.url = url;
    if (!request.allow)
        request.allow = "127.0.0.0/8";
    if (!request.max_bytes)
        request.max_bytes = 2000;
    if (!request.timeout_s)
        request.timeout_s = 30;
    return spl_outbound_run(&request, ret_answer, ret_error);
}

static void requests(void **state) {
    (void)state;
    spl_outbound_answer answer;
    spl_error error;
    taken body = {0};
    ipv4_server.body = "{\"it\": 1}";
    ipv4_server.status = 203;
    const char *const headers[] = {"X-Test: yes", NULL};
    spl_outbound request = {.write = take, .user = &body, .headers = headers};
    assert_int_equal(run(&ipv4_server, "127.0.0.1", "/path", request, &answer, &error), 0);
    assert_int_equal(answer.status, 203);
    assert_int_equal(answer.bytes, 9);
    assert_string_equal(answer.content_type, "application/json");
    assert_string_equal(body.text, "{\"it\": 1}");
    assert_string_equal(ipv4_server.method, "GET");
    assert_string_equal(ipv4_server.header, "yes");

    request = (spl_outbound){.body = "hello", .body_size = 5};
    assert_int_equal(run(&ipv4_server, "localhost", "/path", request, &answer, &error), 0);
    assert_string_equal(ipv4_server.method, "POST");
    assert_int_equal(ipv4_server.received_size, 5);
    assert_memory_equal(ipv4_server.received, "hello", 5);
    ipv4_server.status = 200;

    /* The operator's own URL needs no entry in the list. */
    request = (spl_outbound){.allow_private = true, .allow = ""};
    assert_int_equal(run(&ipv6_server, "[::1]", "/", request, &answer, &error), 0);
}

/* A host name is resolved first, and its address is refused before the socket is created. */
static void refused_at_the_socket(void **state) {
    (void)state;
    spl_outbound_answer answer;
    spl_error error;
    const unsigned before = ipv4_server.connections;
    spl_outbound request = {.allow = "10.0.0.0/8"};
    assert_int_equal(run(&ipv4_server, "localhost", "/", request, &answer, &error),
                     SPL_E_PERMISSION);
    assert_non_null(strstr(error.message, "the host's address"));
    assert_int_equal(ipv4_server.connections, before);
}

static void no_redirects_and_no_proxy(void **state) {
    (void)state;
    spl_outbound_answer answer;
    spl_error error;
    const unsigned before = ipv4_server.requests;
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
    assert_int_equal(
        run(&ipv4_server, "127.0.0.1", "/redirect", (spl_outbound){0}, &answer, &error), 0);
    unsetenv("http_proxy");
    unsetenv("ALL_PROXY");
    assert_int_equal(answer.status, 302);
    assert_int_equal(ipv4_server.requests, before + 1);
}

static int always(void *user) {
    (void)user;
    return 1;
}

static void limits(void **state) {
    (void)state;
    spl_outbound_answer answer;
    spl_error error;
    taken body = {0};
    spl_outbound request = {.write = take, .user = &body};
    assert_int_equal(run(&ipv4_server, "127.0.0.1", "/large", request, &answer, &error),
                     SPL_E_LIMIT);
    assert_non_null(strstr(error.message, "2000 bytes"));

    assert_int_equal(run(&ipv4_server, "127.0.0.1", "/large", (spl_outbound){0}, &answer, &error),
                     0);
    assert_int_equal(answer.status, 200);
    assert_true(answer.bytes <= 2000);

    body.status = SPL_E_NO_SPACE;
    ipv4_server.body = "text";
    assert_int_equal(run(&ipv4_server, "127.0.0.1", "/", request, &answer, &error), SPL_E_NO_SPACE);

    request = (spl_outbound){.timeout_s = 1};
    assert_int_equal(run(&ipv4_server, "127.0.0.1", "/slow", request, &answer, &error), SPL_E_IO);
    assert_non_null(strstr(error.message, "1 s"));

    request = (spl_outbound){.canceled = always};
    assert_int_equal(run(&ipv4_server, "127.0.0.1", "/slow", request, &answer, &error),
                     SPL_E_CANCELED);

    /* No server listens on the port. */
    http_fixture gone;
    http_fixture_start(&gone, false);
    http_fixture_stop(&gone);
    assert_int_equal(run(&gone, "127.0.0.1", "/", (spl_outbound){0}, &answer, &error), SPL_E_IO);
}

static atomic_uint looking;
static sem_t released;

int __real_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                       struct addrinfo **found);
int __wrap_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                       struct addrinfo **found);

/* The name server of slow*.test does not answer until `released` is posted. */
int __wrap_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                       struct addrinfo **found) {
    if (hints && hints->ai_flags & AI_NUMERICHOST)
        return __real_getaddrinfo(host, port, hints, found);
    if (strncasecmp(host, "name.test", strlen("name.test")) == 0)
        host = "127.0.0.1";
    if (strncmp(host, "slow", strlen("slow")) != 0)
        return __real_getaddrinfo(host, port, hints, found);
    looking++;
    sem_wait(&released);
    looking--;
    return EAI_NONAME;
}

/* Without a descriptor the request says so, which is no failure of the other host. */
static void without_descriptors(void **state) {
    (void)state;
    struct rlimit usual;
    spl_outbound_answer answer;
    spl_error error = {0};
    const char *hosts[] = {"127.0.0.1", "localhost"};
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &usual), 0);
    for (size_t i = 0; i < SPL_ARRAY_SIZE(hosts); i++) {
        const int lowest = dup(STDIN_FILENO);
        assert_true(lowest > 0 && close(lowest) == 0);
        const struct rlimit none = {(rlim_t)lowest, usual.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
        const int status = run(&ipv4_server, hosts[i], "/", (spl_outbound){0}, &answer, &error);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
        if (status != SPL_E_EXHAUSTED)
            fail_msg("%s: %s", hosts[i], error.message);
        assert_non_null(strstr(error.message, "ulimit -n"));
    }
}

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *user);
/* Visible, because the linker resolves references of sanitizers' libraries to it too. */
__attribute__((visibility("default"))) int __wrap_pthread_create(pthread_t *thread,
                                                                 const pthread_attr_t *attributes,
                                                                 void *(*start)(void *),
                                                                 void *user);

static bool no_threads;

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *user) {
    return no_threads ? EAGAIN : __real_pthread_create(thread, attributes, start, user);
}

static void without_threads(void **state) {
    (void)state;
    spl_outbound_answer answer;
    spl_error error = {0};
    no_threads = true;
    const int status = run(&ipv4_server, "name.test", "/", (spl_outbound){0}, &answer, &error);
    no_threads = false;
    assert_int_equal(status, SPL_E_EXHAUSTED);
    assert_non_null(strstr(error.message, "ulimit -u"));
}

static void names_are_looked_up_once(void **state) {
    (void)state;
    static const char *const hosts[] = {"name.test", "name.test.", "Name.TEST"};
    spl_outbound_answer answer;
    spl_error error;
    for (size_t i = 0; i < SPL_ARRAY_SIZE(hosts); i++) {
        if (run(&ipv4_server, hosts[i], "/", (spl_outbound){0}, &answer, &error) < 0)
            fail_msg("%s: %s", hosts[i], error.message);
    }
}

/* spl_outbound.canceled: true when it is asked again. */
static int ask_looking(void *user) {
    unsigned *calls = user;
    return ++*calls >= 2;
}

static int look_up(const char *host, const char *owner, spl_outbound request, spl_error *error) {
    spl_outbound_answer answer;
    request.owner = owner;
    return run(&ipv4_server, host, "/", request, &answer, error);
}

static void expect_looking(unsigned count) {
    const double deadline_s = spl_now_s() + 60;
    while (looking != count && spl_now_s() < deadline_s)
        usleep(1000);
    assert_int_equal(looking, count);
}

/* The lookups of canceled requests go on, but their number is limited for each key and in all. */
static void lookups_are_limited(void **state) {
    (void)state;
    spl_error error;
    char host[32], owner[32];
    sem_init(&released, 0, 0);
    for (unsigned i = 0; i < 2 * SPL_RESOLVE_OWNER_MAX; i++) {
        unsigned calls = 0;
        snprintf(host, sizeof(host), "slow%u.test", i);
        assert_int_equal(
            look_up(host, "key:a", (spl_outbound){.canceled = ask_looking, .user = &calls}, &error),
            SPL_E_CANCELED);
    }
    expect_looking(SPL_RESOLVE_OWNER_MAX);
    assert_int_equal(look_up("name.test", "key:b", (spl_outbound){0}, &error), 0);
    assert_int_equal(look_up("name.test", "key:a", (spl_outbound){.timeout_s = 1}, &error),
                     SPL_E_EXHAUSTED);
    assert_non_null(strstr(error.message, "too many names"));
    /* Requests for the same host share a lookup. */
    assert_int_equal(look_up("slow0.test", "key:a", (spl_outbound){.timeout_s = 1}, &error),
                     SPL_E_IO);
    assert_non_null(strstr(error.message, "name server"));
    for (unsigned i = 0; i < SPL_RESOLVE_MAX; i++) {
        unsigned calls = 0;
        snprintf(host, sizeof(host), "slow-%u.test", i);
        snprintf(owner, sizeof(owner), "key:%u", i / SPL_RESOLVE_OWNER_MAX);
        assert_int_equal(
            look_up(host, owner, (spl_outbound){.canceled = ask_looking, .user = &calls}, &error),
            SPL_E_CANCELED);
    }
    expect_looking(SPL_RESOLVE_MAX);
    /* The service's own lookups go on beside them. */
    assert_int_equal(look_up("name.test", NULL, (spl_outbound){0}, &error), 0);
    for (unsigned i = 0; i < SPL_RESOLVE_MAX; i++)
        sem_post(&released);
    assert_int_equal(look_up("name.test", "key:a", (spl_outbound){0}, &error), 0);
    expect_looking(0); /* before anybody initializes the semaphore anew */
}

/* spl_outbound.canceled: true when there are more lookups than `user`. */
static int is_looking(void *user) {
    return looking > *(unsigned *)user;
}

/* A request of a key, in its own thread. */
typedef struct waiting_request {
    char host[32];
    const char *key;
    int status;
    atomic_bool waits, gone;
    pthread_t thread;
} waiting_request;

static int note_wait(void *user) {
    waiting_request *own = user;
    own->waits = true;
    return own->gone;
}

static void *run_waiting(void *user) {
    waiting_request *own = user;
    spl_error error;
    own->status =
        look_up(own->host, own->key,
                (spl_outbound){.canceled = note_wait, .user = own, .timeout_s = 120}, &error);
    return NULL;
}

static void start_waiting(waiting_request *own) {
    const double deadline_s = spl_now_s() + 60;
    assert_int_equal(pthread_create(&own->thread, NULL, run_waiting, own), 0);
    while (!own->waits && spl_now_s() < deadline_s)
        usleep(1000);
    assert_true(own->waits);
}

/* Lookups that end go to the waiting keys in turn, however many requests of one key wait. */
static void keys_take_turns(void **state) {
    (void)state;
    spl_error error;
    char host[32], owner[32];
    waiting_request many[SPL_RESOLVE_OWNER_MAX] = {0},
                    other = {.host = "name.test", .key = "key:y"};
    sem_init(&released, 0, 0);
    for (unsigned i = 0; i < SPL_RESOLVE_MAX; i++) {
        snprintf(host, sizeof(host), "slow%u.test", i);
        snprintf(owner, sizeof(owner), "key:%u", i / SPL_RESOLVE_OWNER_MAX);
        assert_int_equal(
            look_up(host, owner, (spl_outbound){.canceled = is_looking, .user = &i}, &error),
            SPL_E_CANCELED);
    }
    expect_looking(SPL_RESOLVE_MAX);
    for (unsigned i = 0; i < SPL_ARRAY_SIZE(many); i++) {
        many[i].key = "key:x";
        snprintf(many[i].host, sizeof(many[i].host), "slow-%u.test", i);
        start_waiting(&many[i]);
    }
    start_waiting(&other);
    sem_post(&released);
    sem_post(&released);
    assert_int_equal(pthread_join(other.thread, NULL), 0);
    assert_int_equal(other.status, 0);
    /* A lookup that got the slot before it may have taken one of the two releases. */
    unsigned canceled = 0;
    for (unsigned i = 0; i < SPL_ARRAY_SIZE(many); i++) {
        many[i].gone = true;
        pthread_join(many[i].thread, NULL);
        canceled += many[i].status == SPL_E_CANCELED;
    }
    assert_true(canceled >= SPL_ARRAY_SIZE(many) - 1);
    for (unsigned i = 0; i < SPL_RESOLVE_MAX; i++)
        sem_post(&released);
    expect_looking(0);
}

/* A slow name server delays neither the end of a scan nor the readiness probe. */
static void clamds_name_is_looked_up_with_a_deadline(void **state) {
    (void)state;
    unsigned calls = 0;
    spl_error error;
    spl_scan_verdict verdict;
    char signature[128];
    sem_init(&released, 0, 0);
    const spl_scan_wait wait = {.timeout_s = 60, .canceled = ask_looking, .user = &calls};
    assert_int_equal(spl_clamd_scan("tcp:slow.test:1", -1, &wait, &verdict, signature, &error),
                     SPL_E_CANCELED);
    const spl_scan_wait patient = {.timeout_s = 60};
    assert_int_equal(spl_clamd_scan("tcp:name.test:1", -1, &patient, &verdict, signature, &error),
                     SPL_E_IO);
    assert_non_null(strstr(error.message, "cannot connect"));
    sem_post(&released);
}

static int start_servers(void **state) {
    (void)state;
    http_fixture_start(&ipv4_server, false);
    http_fixture_start(&ipv6_server, true);
    return spl_outbound_start(NULL);
}

static int stop_servers(void **state) {
    (void)state;
    http_fixture_stop(&ipv4_server);
    http_fixture_stop(&ipv6_server);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(public_addresses),
        cmocka_unit_test(cidr_lists),
        cmocka_unit_test(address_texts),
        cmocka_unit_test(forbidden),
        cmocka_unit_test(allow_list),
        cmocka_unit_test(requests),
        cmocka_unit_test(refused_at_the_socket),
        cmocka_unit_test(no_redirects_and_no_proxy),
        cmocka_unit_test(limits),
        cmocka_unit_test(without_descriptors),
        cmocka_unit_test(without_threads),
        cmocka_unit_test(names_are_looked_up_once),
        cmocka_unit_test(lookups_are_limited),
        cmocka_unit_test(keys_take_turns),
        cmocka_unit_test(clamds_name_is_looked_up_with_a_deadline),
    };
    return cmocka_run_group_tests(tests, start_servers, stop_servers);
}
