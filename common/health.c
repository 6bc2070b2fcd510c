#include "common/health.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

#define TIMEOUT_MS 5000L
#define URL_SIZE 320

/* NOLINTNEXTLINE(readability-non-const-parameter): the type is libcurl's */
static size_t on_body(char *bytes, size_t size, size_t count, void *context)
{
    (void)bytes;
    (void)context;
    return size * count; /* the status says all */
}

/* "0.0.0.0:9101" is where to listen, not where to ask. */
static int url_make(const char *listen, bool tls, char url[URL_SIZE], struct err *err)
{
    const char *colon = strrchr(listen, ':');
    size_t host_len = colon == NULL ? 0 : (size_t)(colon - listen);
    bool is_any4 = host_len == 0 || strncmp(listen, "0.0.0.0:", 8) == 0;
    bool is_any6 = strncmp(listen, "[::]:", 5) == 0;

    if (colon == NULL || strcmp(colon, ":0") == 0 || host_len > 255) {
        return err_set(err, ERR_INVALID,
                       "health: --listen is %s: want the HOST:PORT that the program listens on",
                       listen);
    }
    if (is_any4 || is_any6) {
        snprintf(url, URL_SIZE, "%s://%s%s/healthz", tls ? "https" : "http",
                 is_any6 ? "[::1]" : "127.0.0.1", colon);
    } else {
        snprintf(url, URL_SIZE, "%s://%s/healthz", tls ? "https" : "http", listen);
    }
    return 0;
}

int health_ask(const char *listen, bool tls, struct err *err)
{
    char url[URL_SIZE], reason[CURL_ERROR_SIZE] = "";
    long status = 0;

    if (url_make(listen, tls, url, err) < 0) {
        return -1;
    }
    CURL *curl = curl_easy_init();

    if (curl == NULL) {
        return err_set(err, ERR_FATAL, "health: no memory");
    }
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, reason);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* whatever the environment says */
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);

    CURLcode code = curl_easy_perform(curl);

    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(curl);
    if (code != CURLE_OK) {
        return err_set(err, ERR_FATAL, "%s: %s", url,
                       reason[0] == '\0' ? curl_easy_strerror(code) : reason);
    }
    return status == 200 ? 0 : err_set(err, ERR_FATAL, "%s: status %ld", url, status);
}
