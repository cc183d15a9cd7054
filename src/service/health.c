/* SPDX-License-Identifier: MIT
 *
 * One request to the service on this machine.
 */
#include "service/health.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

#define TIMEOUT_S 5L

static size_t ignore(char *data, size_t size, size_t count, void *user) {
    (void)data;
    (void)user;
    return size * count;
}

static void free_curl(CURL **curl) {
    curl_easy_cleanup(*curl);
}

int spl_service_health(const spl_settings *settings, spl_error *ret_error) {
    const char *host = settings->bind;
    if (strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0)
        host = strchr(host, ':') ? "::1" : "127.0.0.1";
    const bool v6 = strchr(host, ':') != NULL;
    char url[256], reason[CURL_ERROR_SIZE] = "";
    snprintf(url, sizeof(url), "%s://%s%s%s:%u/health",
             *settings->tls_certificate ? "https" : "http", v6 ? "[" : "", host, v6 ? "]" : "",
             settings->port);
    SPL_CLEANUP(free_curl) CURL *curl = curl_easy_init();
    if (!curl)
        return spl_fail_memory(ret_error);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, TIMEOUT_S);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, ignore);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, reason);
    const CURLcode code = curl_easy_perform(curl);
    if (code != CURLE_OK)
        return spl_fail(ret_error, SPL_E_IO, "%s: %s", url,
                        reason[0] ? reason : curl_easy_strerror(code));
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200)
        return spl_fail(ret_error, SPL_E_IO, "%s answers %ld", url, status);
    return 0;
}
