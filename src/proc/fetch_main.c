/* src/proc/fetch_main.c -- the process that fetches: one URL, by libcurl, in a sandbox. */
#include "proc/fetch.h"

#include <curl/curl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/str.h"
#include "base/version.h"
#include "proc/fetch_wire.h"
#include "proc/sandbox.h"
#include "proc/worker.h"

enum { STATUS_GOOD = 200, MEMORY_MAX = 512 << 20 };

/* False: it is not as the server asks. */
static bool read_question(char question[FETCH_PACKET_MAX], const char **ret_ca)
{
    ssize_t len = recv(WORKER_SOCKET, question, FETCH_PACKET_MAX, 0);
    size_t url_len;

    if (len < 2 || question[len - 1] != '\0')
        return false;
    url_len = strlen(question);
    if (url_len + 1 >= (size_t)len)
        return false;
    *ret_ca = question[url_len + 1] != '\0' ? question + url_len + 1 : NULL;
    return true;
}

static void send_answer(char kind, const char *text, size_t len)
{
    char packet[FETCH_PACKET_MAX];

    packet[0] = kind;
    do {
        size_t part = len < sizeof(packet) - 1 ? len : sizeof(packet) - 1;

        memcpy(packet + 1, text, part);
        if (send(WORKER_SOCKET, packet, part + 1, MSG_NOSIGNAL) < 0)
            return;
        text += part;
        len -= part;
    } while (len > 0);
}

static size_t on_fetched_data(char *data, size_t one, size_t len, void *context)
{
    struct buf *content = context;

    (void)one;
    buf_add(content, data, len);
    return buf_failed(content) ? 0 : len;
}

static const struct number_option {
    CURLoption option;
    long value;
} number_options[] = {
    {CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2},
    {CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1},
    {CURLOPT_NOSIGNAL, 1},
    {CURLOPT_TIMEOUT_MS, FETCH_TIMEOUT_MS},
    {CURLOPT_MAXFILESIZE, FETCH_BYTES_MAX},
};

/* http is for this machine only, which whoever gave the URL has seen to. */
static bool set_fetch_options(CURL *curl, const char *url, const char *ca)
{
    const char *protocol = str_starts(url, "https:") ? "https" : "http";

    for (size_t i = 0; i < sizeof(number_options) / sizeof(number_options[0]); i++) {
        if (curl_easy_setopt(curl, number_options[i].option, number_options[i].value) != CURLE_OK)
            return false;
    }
    if (ca != NULL && (curl_easy_setopt(curl, CURLOPT_CAINFO, ca) != CURLE_OK ||
                       curl_easy_setopt(curl, CURLOPT_CAPATH, NULL) != CURLE_OK))
        return false;
    return curl_easy_setopt(curl, CURLOPT_URL, url) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, protocol) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PROXY, "") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_USERAGENT, "reportd/" REPORTD_VERSION) == CURLE_OK;
}

static bool take_content(CURL *curl, struct buf *content, char reason[CURL_ERROR_SIZE])
{
    return curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, reason) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_fetched_data) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEDATA, content) == CURLE_OK;
}

static void answer_failure(CURLcode code, const struct buf *content, const char *reason)
{
    char text[CURL_ERROR_SIZE + 64];

    if (code == CURLE_FILESIZE_EXCEEDED || buf_failed(content))
        snprintf(text, sizeof(text), "it has more than %d bytes", FETCH_BYTES_MAX);
    else
        snprintf(text, sizeof(text), "%s", reason[0] != '\0' ? reason : curl_easy_strerror(code));
    send_answer(FETCH_FAILURE, text, strlen(text));
}

static void fetch_and_answer(CURL *curl, const char *reason, const struct buf *content)
{
    CURLcode code = curl_easy_perform(curl);
    char text[64];
    long status = 0;

    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (code != CURLE_OK) {
        answer_failure(code, content, reason);
    } else if (status != STATUS_GOOD) {
        snprintf(text, sizeof(text), "it answers %ld instead of 200", status);
        send_answer(FETCH_FAILURE, text, strlen(text));
    } else {
        send_answer(FETCH_CONTENT, buf_str(content), content->len);
    }
}

static void enter_sandbox(const char *ca)
{
    struct sandbox_files files;

    sandbox_process(MEMORY_MAX);
    sandbox_files_begin(&files, true);
    sandbox_files_read(&files, ca);
    sandbox_files_apply(&files); /* as far as the kernel supports it */
    sandbox_files_end(&files);
    sandbox_limit_cpu(FETCH_TIMEOUT_MS);
}

int fetch_main(void)
{
    char question[FETCH_PACKET_MAX], reason[CURL_ERROR_SIZE] = "";
    const char *ca = NULL;
    struct buf content;
    CURL *curl;

    /* As a worker: the end of the server is for the server to tell. */
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    if (!read_question(question, &ca))
        return EXIT_FAILURE;
    enter_sandbox(ca);
    buf_init(&content, FETCH_BYTES_MAX);
    curl = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? curl_easy_init() : NULL;
    if (curl != NULL && set_fetch_options(curl, question, ca) &&
        take_content(curl, &content, reason))
        fetch_and_answer(curl, reason, &content);
    else
        send_answer(FETCH_FAILURE, "libcurl cannot start", strlen("libcurl cannot start"));
    curl_easy_cleanup(curl);
    buf_done(&content);
    _exit(EXIT_SUCCESS); /* the sandbox denies what a sanitizer does at an orderly end */
}
