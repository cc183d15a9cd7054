/* SPDX-License-Identifier: MIT
 *
 * How the HTTP module parses the parts of a request: framing, targets, ranges, tags, names, clients
 * behind proxies; and its zip archives. tests/service tests the server as a whole over sockets.
 */
#include "base/descriptors.h"
#include "service/http/connection/client.h"
#include "service/http/connection/framing.h"
#include "service/http/connection/range.h"
#include "service/http/connection/target.h"
#include "service/http/routes/zip_stream.h"

#include <archive.h>
#include <archive_entry.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

/* ---- Framing ---- */

/* Takes up to 8 "Name: value" lines. Fills *ret_framing or returns the status of the problem. */
static int check(const char *version, const char *const *lines, spl_framing *ret_framing) {
    static char texts[8][128];
    spl_header headers[8];
    size_t count = 0;
    for (; lines[count]; count++) {
        snprintf(texts[count], sizeof(texts[count]), "%s", lines[count]);
        char *colon = strchr(texts[count], ':');
        *colon = '\0';
        char *value = colon + 1 + (colon[1] == ' ');
        headers[count] = (spl_header){texts[count], value, strlen(texts[count]), strlen(value)};
    }
    spl_problem problem;
    int status = spl_framing_check(version, headers, count, ret_framing, &problem);
    if (status < 0)
        assert_int_equal(problem.code, SPL_PROBLEM_BAD_REQUEST);
    return status;
}

#define LINES(...)                                                                                 \
    (const char *const[]) {                                                                        \
        __VA_ARGS__, NULL                                                                          \
    }

static void framing_of_good_requests(void **state) {
    (void)state;
    spl_framing framing;
    assert_int_equal(check("HTTP/1.1", LINES("Host: x"), &framing), 0);
    assert_false(framing.has_body);
    assert_int_equal(check("HTTP/1.0", LINES("Accept: */*"), &framing), 0);
    assert_int_equal(check("HTTP/1.1", LINES("Host: [::1]:80", "content-length: 0"), &framing), 0);
    assert_false(framing.has_body);
    assert_int_equal(
        check("HTTP/1.1", LINES("Host: x", "Content-Length: 999999999999999999"), &framing), 0);
    assert_true(framing.has_body);
    assert_int_equal(framing.length_bytes, 999999999999999999);
    assert_int_equal(check("HTTP/1.1", LINES("Host: x", "Transfer-Encoding: Chunked"), &framing),
                     0);
    assert_true(framing.has_body);
    assert_int_equal(framing.length_bytes, -1);
}

static void framing_of_bad_requests(void **state) {
    (void)state;
    static const char *const bad[][4] = {
        {"HTTP/1.1", "Accept: x"},
        {"HTTP/1.1", "Host: x", "host: x"},
        {"HTTP/1.1", "Host: a/b"},
        {"HTTP/1.1", "Host: "},
        {"HTTP/1.1", "Host: x", "Content-Length: 1", "content-length: 1"},
        {"HTTP/1.1", "Host: x", "Content-Length: 1", "Transfer-Encoding: chunked"},
        {"HTTP/1.1", "Host: x", "Content-Length: 1,1"},
        {"HTTP/1.1", "Host: x", "Content-Length: +1"},
        {"HTTP/1.1", "Host: x", "Content-Length: -1"},
        {"HTTP/1.1", "Host: x", "Content-Length: "},
        {"HTTP/1.1", "Host: x", "Content-Length: 1 "},
        {"HTTP/1.1", "Host: x", "Content-Length: 1000000000000000000"},
        {"HTTP/1.1", "Host: x", "Transfer-Encoding: gzip, chunked"},
        {"HTTP/1.1", "Host: x", "Transfer-Encoding: chunked "},
        {"HTTP/1.0", "Host: x", "Transfer-Encoding: chunked"},
        {"HTTP/1.1", "Host: x", "Content-Length : 1"},
        {"HTTP/1.1", "Host: x", ": 1"},
        {"HTTP/1.1", "Host: x", "A: \x01"},
        {"HTTP/1.1", "Host: x", "A: b\rC"},
        {"HTTP/2.0", "Host: x"},
        {"", "Host: x"},
    };
    for (size_t i = 0; i < SPL_ARRAY_SIZE(bad); i++) {
        spl_framing framing;
        assert_true(check(bad[i][0], LINES(bad[i][1], bad[i][2], bad[i][3]), &framing) < 0);
    }
}

/* Parses `text` in place like libmicrohttpd 0.9.75: line ends and colons become NUL. */
static bool contiguous(const char *text, size_t size) {
    static char memory[512];
    static char moved[128];
    memset(memory, 'x', sizeof(memory));
    memcpy(memory, text, size);
    spl_header headers[8];
    size_t count = 0;
    char *version = memory, *line = memory;
    for (bool first = true;; first = false) {
        char *end = memchr(line, '\n', size);
        char *next = end + 1;
        *end = '\0';
        if (end > line && end[-1] == '\r')
            end[-1] = '\0';
        if (*line == '\0' && !first)
            break;
        if (*line == ' ') {
            snprintf(moved, sizeof(moved), "%s", headers[count - 1].name);
            headers[count - 1].name = moved;
        } else if (!first) {
            char *colon = strchr(line, ':');
            *colon = '\0';
            char *value = colon + 1 + strspn(colon + 1, " ");
            headers[count++] = (spl_header){line, value, strlen(line), strlen(value)};
        }
        line = next;
    }
    return spl_framing_contiguous(version, headers, count);
}

static void contiguous_requests(void **state) {
    (void)state;
#define CONTIGUOUS(text) contiguous(text, sizeof(text) - 1)
    assert_true(CONTIGUOUS("HTTP/1.1\r\nHost: x\r\n\r\n"));
    assert_true(CONTIGUOUS("HTTP/1.1\r\nHost:   x\r\nA:\r\nB: \r\n\r\n"));
    assert_true(CONTIGUOUS("HTTP/1.0\r\n\r\n"));
    assert_false(CONTIGUOUS("HTTP/1.1\nHost: x\r\n\r\n"));
    assert_false(CONTIGUOUS("HTTP/1.1\r\nHost: x\nA: b\r\n\r\n"));
    assert_false(CONTIGUOUS("HTTP/1.1\r\nHost: x\r\nA: b\n\r\n"));
    assert_false(CONTIGUOUS("HTTP/1.1\r\nHost: x\r\n\n"));
    assert_false(CONTIGUOUS("HTTP/1.1\r\nA: 1\r\n 2\r\nHost: x\r\n\r\n"));
    assert_false(CONTIGUOUS("HTTP/1.1\r\nHost: x\r\nA: 1\r\n 2\r\n\r\n"));
    assert_false(CONTIGUOUS("HTTP/1.1\r\nHost: x\r\nA: 1\0B: 2\r\nC: 3\r\n\r\n"));
    assert_false(CONTIGUOUS("HTTP/1.1\r\nHost: x\r\nA: 1\0B: 2\r\n\r\n"));
#undef CONTIGUOUS
}

/* ---- Targets ---- */

static void good_targets(void **state) {
    (void)state;
    spl_target target;
    spl_problem problem;
    assert_int_equal(spl_target_parse("/", &target, &problem), 0);
    assert_int_equal(target.segment_count, 0);
    spl_target_free(&target);

    assert_int_equal(
        spl_target_parse("/v1/a%20b%C3%A9+?x=1+2%26&empty=&bare&=3", &target, &problem), 0);
    assert_int_equal(target.segment_count, 2);
    assert_string_equal(target.segments[1], "a b\xc3\xa9+");
    assert_string_equal(target.path, "/v1/a%20b%C3%A9+");
    assert_string_equal(spl_target_parameter(&target, "x"), "1 2&");
    assert_string_equal(spl_target_parameter(&target, "empty"), "");
    assert_string_equal(spl_target_parameter(&target, "bare"), "");
    assert_string_equal(spl_target_parameter(&target, ""), "3");
    assert_null(spl_target_parameter(&target, "y"));
    spl_target_free(&target);
}

static void absolute_targets(void **state) {
    (void)state;
    static const char *const same[] = {"http://x/a?b=c", "HTTPS://[::1]:443/a?b=c",
                                       "http://x.example:80/a?b=c"};
    spl_target target;
    spl_problem problem;
    for (size_t i = 0; i < SPL_ARRAY_SIZE(same); i++) {
        assert_int_equal(spl_target_parse(same[i], &target, &problem), 0);
        assert_string_equal(target.path, "/a");
        assert_string_equal(spl_target_parameter(&target, "b"), "c");
        spl_target_free(&target);
    }
    assert_int_equal(spl_target_parse("http://x", &target, &problem), 0);
    assert_string_equal(target.path, "/");
    spl_target_free(&target);
}

static void bad_targets(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",
        "x",
        "*",
        "ftp://x/",
        "/a b",
        "/a#b",
        "//",
        "/a//b",
        "/a/",
        "/.",
        "/a/../b",
        "/%2e%2e/x",
        "/a%2fb",
        "/%",
        "/%1",
        "/%zz",
        "/%00",
        "/%0a",
        "/a\\b",
        "/\xc3\xa9",
        "/%c3",
        "/%c0%af",
        "/%ed%a0%80",
        "/%f5%80%80%80",
        "/%e0%80%80",
        "/%c2%85",
        "/?a=%",
        "/?a=1&a=2",
        "/?%61=1&a=2",
        "/?a=%00",
        "http:///a",
        "http://u@x/a",
        "http://x?a=1",
        "http:/a",
        "http://x//a",
        "http://x#/a",
        "http://[%31]/",
    };
    for (size_t i = 0; i < SPL_ARRAY_SIZE(bad); i++) {
        spl_target target;
        spl_problem problem;
        assert_true(spl_target_parse(bad[i], &target, &problem) < 0);
        assert_int_equal(problem.code, SPL_PROBLEM_BAD_REQUEST);
    }
    static char longest[SPL_TARGET_MAX + 2] = "/";
    memset(longest + 1, 'a', SPL_TARGET_MAX);
    spl_target target;
    spl_problem problem;
    assert_true(spl_target_parse(longest, &target, &problem) < 0);
    assert_int_equal(problem.code, SPL_PROBLEM_URI_TOO_LONG);
    longest[SPL_TARGET_MAX] = '\0';
    assert_int_equal(spl_target_parse(longest, &target, &problem), 0);
    spl_target_free(&target);
}

/* ---- Files ---- */

static void ranges(void **state) {
    (void)state;
    static const struct {
        const char *header;
        uint64_t size;
        spl_range_kind kind;
        uint64_t first, last;
    } cases[] = {
        {NULL, 10, SPL_RANGE_WHOLE, 0, 0},
        {"bytes=0-0", 10, SPL_RANGE_PART, 0, 0},
        {"bytes=2-4", 10, SPL_RANGE_PART, 2, 4},
        {"BYTES=2-", 10, SPL_RANGE_PART, 2, 9},
        {"bytes=2-99", 10, SPL_RANGE_PART, 2, 9},
        {"bytes=-3", 10, SPL_RANGE_PART, 7, 9},
        {"bytes=-99", 10, SPL_RANGE_PART, 0, 9},
        {"bytes=9-99999999999999999999999", 10, SPL_RANGE_PART, 9, 9},
        {"bytes=10-", 10, SPL_RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=99999999999999999999999-", 10, SPL_RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=-0", 10, SPL_RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=0-", 0, SPL_RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=-1", 0, SPL_RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=4-2", 10, SPL_RANGE_WHOLE, 0, 0},
        {"bytes=-", 10, SPL_RANGE_WHOLE, 0, 0},
        {"bytes=", 10, SPL_RANGE_WHOLE, 0, 0},
        {"bytes=0-1,3-4", 10, SPL_RANGE_WHOLE, 0, 0},
        {"bytes=0-1 ", 10, SPL_RANGE_WHOLE, 0, 0},
        {"bytes= 0-1", 10, SPL_RANGE_WHOLE, 0, 0},
        {"items=0-1", 10, SPL_RANGE_WHOLE, 0, 0},
        {"bytes=a-b", 10, SPL_RANGE_WHOLE, 0, 0},
        {"", 10, SPL_RANGE_WHOLE, 0, 0},
    };
    for (size_t i = 0; i < SPL_ARRAY_SIZE(cases); i++) {
        uint64_t first = 0, last = 0;
        assert_int_equal(spl_range_parse(cases[i].header, cases[i].size, &first, &last),
                         cases[i].kind);
        assert_int_equal(first, cases[i].first);
        assert_int_equal(last, cases[i].last);
    }
}

static void tags(void **state) {
    (void)state;
    assert_true(spl_etag_listed("\"a\"", "\"a\""));
    assert_true(spl_etag_listed("\"b\", W/\"a\"", "\"a\""));
    assert_true(spl_etag_listed("\"b\",\"a\",\"c\"", "\"a\""));
    assert_true(spl_etag_listed("*", "\"a\""));
    assert_false(spl_etag_listed("", "\"a\""));
    assert_false(spl_etag_listed("\"ab\"", "\"a\""));
    assert_false(spl_etag_listed("\"a", "\"a\""));
    assert_false(spl_etag_listed("\"a\"b", "\"a\""));
}

static void dispositions(void **state) {
    (void)state;
    char header[200];
    spl_disposition_write("song - vocals.wav", header, sizeof(header));
    assert_string_equal(header, "attachment; filename=\"song - vocals.wav\"; "
                                "filename*=UTF-8''song%20-%20vocals.wav");
    spl_disposition_write("\xc3\xa9\"\\/\r\n.wav", header, sizeof(header));
    assert_string_equal(header, "attachment; filename=\"______.wav\"; "
                                "filename*=UTF-8''%C3%A9%22____.wav");
    spl_disposition_write("a\xe2\x80\xaevaw.exe\xe2\x81\xa9\xd8\x9c\xc2\x85\xc2\xa0", header,
                          sizeof(header));
    assert_string_equal(header, "attachment; filename=\"a_vaw.exe____\"; "
                                "filename*=UTF-8''a_vaw.exe___%C2%A0");
}

/* ---- Clients ---- */

static int find_client(const char *peer, const spl_header *headers, size_t count,
                       char ret_text[64]) {
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    const struct sockaddr *address = (struct sockaddr *)&v4;
    if (inet_pton(AF_INET, peer, &v4.sin_addr) != 1) {
        assert_int_equal(inet_pton(AF_INET6, peer, &v6.sin6_addr), 1);
        address = (struct sockaddr *)&v6;
    }
    spl_problem problem;
    const int status =
        spl_client_address(address, headers, count, "10.0.0.0/8, ::1", ret_text, &problem);
    if (status < 0)
        assert_int_equal(problem.code, SPL_PROBLEM_BAD_REQUEST);
    return status;
}

static void client_is(const char *peer, const char *forwarded, const char *expected) {
    const spl_header header = {.name = "x-forwarded-for", .value = forwarded};
    char text[64];
    assert_int_equal(find_client(peer, &header, forwarded ? 1 : 0, text), 0);
    assert_string_equal(text, expected);
}

static void clients_behind_proxies(void **state) {
    (void)state;
    client_is("192.0.2.1", NULL, "192.0.2.1");
    /* The peer is not a trusted proxy. */
    client_is("192.0.2.1", "198.51.100.7", "192.0.2.1");
    client_is("10.0.0.1", NULL, "10.0.0.1");
    client_is("10.0.0.1", "198.51.100.7", "198.51.100.7");
    /* The first entry comes from the client and is not trusted. */
    client_is("10.0.0.1", "1.2.3.4, 198.51.100.7", "198.51.100.7");
    client_is("10.0.0.1", "198.51.100.7 ,10.9.9.9", "198.51.100.7");
    client_is("10.0.0.1", "10.1.1.1, 10.2.2.2", "10.1.1.1");
    client_is("::1", "[2001:db8::1]:443", "2001:db8::1");
    client_is("::1", "198.51.100.7:99", "198.51.100.7");
    /* What proxies with one socket for both versions of IP write. */
    client_is("10.0.0.1", "::ffff:198.51.100.7", "198.51.100.7");
    client_is("10.0.0.1", "[::ffff:198.51.100.7]:99", "198.51.100.7");
    client_is("10.0.0.1", "64:ff9b::198.51.100.7", "64:ff9b::c633:6407");
    client_is("10.0.0.1", "198.51.100.7, nonsense", "10.0.0.1");
    client_is("10.0.0.1", "198.51.100.7, nonsense, 10.3.3.3", "10.3.3.3");
    client_is("10.0.0.1", "", "10.0.0.1");
    client_is("10.0.0.1", "[2001:db8::1", "10.0.0.1");
    client_is("10.0.0.1", ",,", "10.0.0.1");
}

/* The proxy appends its entry after everything that the client sent, however long that is and on
 * however many lines. */
static void clients_that_send_the_header_too(void **state) {
    (void)state;
    static const char entry[] = ", 198.51.100.7";
    for (size_t length = 990; length < 1100; length++) {
        char *text = malloc(length + sizeof(entry));
        assert_non_null(text);
        memset(text, '9', length);
        memcpy(text + length, entry, sizeof(entry));
        client_is("10.0.0.1", text, "198.51.100.7");
        free(text);
    }
    const spl_header lines[] = {
        {.name = "X-Forwarded-For", .value = "203.0.113.1, 203.0.113.2"},
        {.name = "X-Other", .value = "203.0.113.3"},
        {.name = "X-FORWARDED-FOR", .value = "198.51.100.7"},
        {.name = "X-Forwarded-For", .value = "10.0.0.2 , 10.0.0.3"},
    };
    char found[64];
    assert_int_equal(find_client("10.0.0.1", lines, SPL_ARRAY_SIZE(lines), found), 0);
    assert_string_equal(found, "198.51.100.7");
}

static void a_row_of_proxies_without_end(void **state) {
    (void)state;
    char text[4096] = "198.51.100.7", found[64];
    spl_header header = {.name = "X-Forwarded-For", .value = text};
    for (unsigned hops = 1; hops < 200; hops++) {
        const size_t length = strlen(text);
        snprintf(text + length, sizeof(text) - length, ", 10.0.0.9");
        const int status = find_client("10.0.0.1", &header, 1, found);
        assert_int_equal(status < 0, hops >= SPL_CLIENT_MAX_HOPS);
        if (status == 0)
            assert_string_equal(found, "198.51.100.7");
    }
}

static void tls_behind_proxies(void **state) {
    (void)state;
    static const struct {
        uint32_t peer;
        const char *lines[2];
        bool expected;
    } cases[] = {
        {0x0a000001, {"https"}, true},
        {0x0a000001, {"HTTPS "}, true},
        {0x0a000001, {"http, https"}, true},
        {0x0a000001, {"https, http"}, false},
        {0x0a000001, {"https", "http"}, false},
        {0x0a000001, {"http", "https"}, true},
        {0x0a000001, {"httpsx"}, false},
        {0x0a000001, {""}, false},
        {0x0a000001, {NULL}, false},
        {0xc0000201, {"https"}, false},
    };
    for (size_t i = 0; i < SPL_ARRAY_SIZE(cases); i++) {
        const struct sockaddr_in peer = {.sin_family = AF_INET,
                                         .sin_addr.s_addr = htonl(cases[i].peer)};
        spl_header headers[2];
        size_t count = 0;
        for (; count < 2 && cases[i].lines[count]; count++)
            headers[count] =
                (spl_header){.name = "X-Forwarded-Proto", .value = cases[i].lines[count]};
        if (spl_client_uses_tls((const struct sockaddr *)&peer, headers, count, "10.0.0.0/8") !=
            cases[i].expected)
            fail_msg("case %zu", i);
    }
}

/* ---- Zip ---- */

static int make_file(const char *content, size_t size) {
    int fd = memfd_create("file", 0);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, size), size);
    return fd;
}

/* spl_zip_open: `user` is a list of descriptors, which are duplicated in turn. */
static int open_next(void *user, const char *name, int *ret_fd, spl_error *ret_error) {
    (void)name;
    const int **next = user;
    *ret_fd = dup(*(*next)++);
    return *ret_fd >= 0 ? 0 : spl_fail(ret_error, SPL_E_NOT_FOUND, "it is gone");
}

static void zips(void **state) {
    (void)state;
    enum { BIG = 200001 };
    char *big = malloc(BIG), *read = malloc(BIG);
    assert_non_null(big);
    assert_non_null(read);
    for (size_t i = 0; i < BIG; i++)
        big[i] = (char)(i * 7 + i / 251);

    const int files[] = {make_file(big, BIG), make_file("", 0)};
    const size_t descriptors = spl_descriptors_left();
    const size_t capacities[] = {1, 1000, 1 << 20};
    for (size_t c = 0; c < SPL_ARRAY_SIZE(capacities); c++) {
        spl_zip *zip;
        const int *next = files;
        assert_int_equal(spl_zip_new(open_next, &next, &zip, NULL), 0);
        assert_int_equal(spl_zip_add_file(zip, "big.wav", BIG, NULL), 0);
        assert_int_equal(spl_zip_add_file(zip, "empty.wav", 0, NULL), 0);
        assert_int_equal(spl_zip_add_text(zip, "manifest.json", "{}", NULL), 0);
        char *bytes = NULL;
        size_t size = 0;
        FILE *all = open_memstream(&bytes, &size);
        char *piece = malloc(capacities[c]);
        ssize_t got;
        while ((got = spl_zip_read(zip, piece, capacities[c], NULL)) > 0)
            fwrite(piece, 1, (size_t)got, all);
        assert_int_equal(got, 0);
        assert_int_equal(spl_zip_read(zip, piece, capacities[c], NULL), 0);
        assert_int_equal(spl_descriptors_left(), descriptors);
        fclose(all);
        assert_int_equal(spl_zip_size(zip), size);
        free(piece);
        spl_zip_free(zip);

        struct archive *archive = archive_read_new();
        archive_read_support_format_zip_seekable(archive);
        assert_int_equal(archive_read_open_memory(archive, bytes, size), ARCHIVE_OK);
        struct archive_entry *entry;
        assert_int_equal(archive_read_next_header(archive, &entry), ARCHIVE_OK);
        assert_string_equal(archive_entry_pathname(entry), "big.wav");
        assert_int_equal(archive_entry_size(entry), BIG);
        assert_int_equal(archive_read_data(archive, read, BIG), BIG);
        assert_memory_equal(read, big, BIG);
        assert_int_equal(archive_read_next_header(archive, &entry), ARCHIVE_OK);
        assert_string_equal(archive_entry_pathname(entry), "empty.wav");
        assert_int_equal(archive_entry_size(entry), 0);
        assert_int_equal(archive_read_next_header(archive, &entry), ARCHIVE_OK);
        assert_int_equal(archive_read_data(archive, read, BIG), 2);
        assert_memory_equal(read, "{}", 2);
        assert_int_equal(archive_read_next_header(archive, &entry), ARCHIVE_EOF);
        archive_read_free(archive);
        free(bytes);
    }
    free(big);
    free(read);
}

static void sizes_of_zips(void **state) {
    (void)state;
    static const uint64_t files[] = {0, 1, 0xfffffffeu, 0xffffffffu, UINT64_C(1) << 40};
    static char piece[1 << 16];
    for (size_t i = 0; i < SPL_ARRAY_SIZE(files); i++) {
        spl_zip *zip;
        const int fd = make_file("", 0);
        assert_int_equal(ftruncate(fd, (off_t)files[i]), 0);
        const int *next = &fd;
        assert_int_equal(spl_zip_new(open_next, &next, &zip, NULL), 0);
        assert_int_equal(spl_zip_size(zip), 22);
        assert_int_equal(spl_zip_add_file(zip, "a.wav", files[i], NULL), 0);
        const uint64_t bytes = spl_zip_size(zip);
        assert_int_equal(bytes == SPL_ZIP_SIZE_UNKNOWN, i >= 2);
        uint64_t read = 0;
        for (ssize_t got; i < 2 && (got = spl_zip_read(zip, piece, sizeof(piece), NULL)) > 0;)
            read += (uint64_t)got;
        assert_int_equal(read, i < 2 ? bytes : 0);
        spl_zip_free(zip);
        close(fd);
    }
}

/* Reads an archive of the files "a" and "b", of 100,000 bytes each, until it fails. */
static spl_error fail_to_zip(int a, int b, bool shrink_while_read) {
    spl_zip *zip;
    spl_error error = {0};
    static char piece[1000];
    const int files[] = {a, b}, *next = files;
    assert_int_equal(spl_zip_new(open_next, &next, &zip, NULL), 0);
    assert_int_equal(spl_zip_add_file(zip, "a", 100000, NULL), 0);
    assert_int_equal(spl_zip_add_file(zip, "b", 100000, NULL), 0);
    ssize_t got;
    size_t size = 0;
    while ((got = spl_zip_read(zip, piece, sizeof(piece), &error)) > 0) {
        size += (size_t)got;
        if (shrink_while_read)
            assert_int_equal(ftruncate(a, 70000), 0);
    }
    assert_true(got < 0);
    assert_true(size < 200000);
    spl_zip_free(zip);
    return error;
}

static void zips_that_fail(void **state) {
    (void)state;
    static char content[100001];
    const int whole = make_file(content, 100000), longer = make_file(content, 100001);
    const size_t descriptors = spl_descriptors_left();
    assert_string_equal(fail_to_zip(whole, longer, false).message,
                        "b has 100001 bytes, not 100000");
    assert_string_equal(fail_to_zip(longer, whole, false).message,
                        "a has 100001 bytes, not 100000");
    assert_string_equal(fail_to_zip(whole, -1, false).message, "it is gone");
    assert_string_equal(fail_to_zip(whole, whole, true).message,
                        "a ends after 70000 of 100000 bytes");
    assert_int_equal(spl_descriptors_left(), descriptors);
    close(whole);
    close(longer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(framing_of_good_requests),
        cmocka_unit_test(framing_of_bad_requests),
        cmocka_unit_test(contiguous_requests),
        cmocka_unit_test(good_targets),
        cmocka_unit_test(absolute_targets),
        cmocka_unit_test(bad_targets),
        cmocka_unit_test(ranges),
        cmocka_unit_test(tags),
        cmocka_unit_test(dispositions),
        cmocka_unit_test(clients_behind_proxies),
        cmocka_unit_test(clients_that_send_the_header_too),
        cmocka_unit_test(a_row_of_proxies_without_end),
        cmocka_unit_test(tls_behind_proxies),
        cmocka_unit_test(zips),
        cmocka_unit_test(sizes_of_zips),
        cmocka_unit_test(zips_that_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
