/* src/ctl/http.c -- HTTP, with libcurl. */
#include "ctl/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/address.h"
#include "base/str.h"
#include "base/version.h"
#include "ctl/signal.h"

struct http {
    CURL *curl;
    char *server, *cacert;
    char reason[CURL_ERROR_SIZE];
    bool local, encrypted, cacert_given;
};

/* What curl's callbacks know about one transfer. */
struct transfer {
    struct http *http;
    const struct http_request *request;
    struct http_answer *answer;
    bool write_failed;
};

/* By its address, or by the names that RFC 6761, 6.3, reserves for it. */
static bool is_loopback(const char *host)
{
    static const char name[] = "localhost";
    char text[ADDRESS_TEXT];
    size_t len = strlen(host), tail = strlen(name);
    struct address address;

    str_copy(text, sizeof(text), host + (host[0] == '['));
    text[strcspn(text, "]")] = '\0';
    if (address_read(text, &address))
        return address_is_loopback(&address);
    len -= len > 0 && host[len - 1] == '.';
    return len >= tail && strncasecmp(host + len - tail, name, tail) == 0 &&
           (len == tail || host[len - tail - 1] == '.');
}

/* Parse the URL and assemble it again, so that equal servers are equal strings. */
static int normalise(struct http *http, const char *server, struct err *err)
{
    CURLU *url = curl_url();
    char *scheme = NULL, *host = NULL, *query = NULL, *user = NULL, *whole = NULL;
    int rc = 0;

    if (url == NULL)
        return err_set(err, -E_NOMEM, "out of memory");
    if (curl_url_set(url, CURLUPART_URL, server, 0) != CURLUE_OK ||
        curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
        curl_url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
        (!str_eq(scheme, "http") && !str_eq(scheme, "https")) ||
        curl_url_get(url, CURLUPART_QUERY, &query, 0) == CURLUE_OK ||
        curl_url_get(url, CURLUPART_USER, &user, 0) == CURLUE_OK ||
        curl_url_get(url, CURLUPART_URL, &whole, CURLU_NO_DEFAULT_PORT) != CURLUE_OK) {
        rc = err_set(err, -E_INVALID,
                     "'%s' is not a server URL; it is written like http://127.0.0.1:8080", server);
    } else {
        size_t len = strlen(whole);

        while (len > 0 && whole[len - 1] == '/')
            len--;
        http->server = strndup(whole, len);
        http->local = is_loopback(host);
        http->encrypted = str_eq(scheme, "https");
        if (http->server == NULL)
            rc = err_set(err, -E_NOMEM, "out of memory");
    }
    curl_free(scheme);
    curl_free(host);
    curl_free(query);
    curl_free(user);
    curl_free(whole);
    curl_url_cleanup(url);
    return rc;
}

/* As in curl(1): curl_easy_perform() uses neither variable. */
static int find_cacert(struct http *http, const char *cacert, struct err *err)
{
    const char *names[] = {"CURL_CA_BUNDLE", "SSL_CERT_FILE"};

    if (!http->encrypted)
        return 0;
    http->cacert_given = cacert != NULL;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && cacert == NULL; i++) {
        cacert = getenv(names[i]);
        if (cacert != NULL && cacert[0] == '\0')
            cacert = NULL;
    }
    if (cacert == NULL)
        return 0;
    http->cacert = realpath(cacert, NULL);
    if (http->cacert == NULL || access(http->cacert, R_OK) != 0)
        return err_errno(err, -E_IO, "cannot read the certificates in %s", cacert);
    return 0;
}

int http_new(const char *server, const char *cacert, struct http **ret, struct err *err)
{
    struct http *http = calloc(1, sizeof(*http));
    int rc;

    if (http == NULL)
        return err_set(err, -E_NOMEM, "out of memory");
    rc = normalise(http, server, err) ?: find_cacert(http, cacert, err);
    if (rc == 0) {
        http->curl = curl_easy_init();
        if (http->curl == NULL)
            rc = err_set(err, -E_NOMEM, "libcurl cannot start");
    }
    if (rc != 0) {
        http_free(http);
        return rc;
    }
    *ret = http;
    return 0;
}

void http_free(struct http *http)
{
    if (http == NULL)
        return;
    curl_easy_cleanup(http->curl);
    free(http->server);
    free(http->cacert);
    free(http);
}

const char *http_server(const struct http *http)
{
    return http->server;
}

const char *http_cacert(const struct http *http)
{
    return http->cacert_given ? http->cacert : NULL;
}

bool http_is_local(const struct http *http)
{
    return http->local;
}

bool http_is_exposed(const struct http *http)
{
    return !http->encrypted && !http->local;
}

static size_t on_data(char *data, size_t one, size_t len, void *context)
{
    struct transfer *transfer = context;
    long status = 0;

    (void)one;
    curl_easy_getinfo(transfer->http->curl, CURLINFO_RESPONSE_CODE, &status);
    if (transfer->request->write != NULL && (status == 200 || status == 206)) {
        if (transfer->request->write(transfer->request->context, status, data, len) != 0) {
            transfer->write_failed = true;
            return 0;
        }
        return len;
    }
    buf_add(&transfer->answer->body, data, len);
    return buf_failed(&transfer->answer->body) ? 0 : len;
}

static int on_transfer_progress(void *context, curl_off_t total, curl_off_t now,
                                curl_off_t up_total, curl_off_t up_now)
{
    struct transfer *transfer = context;

    (void)total, (void)now, (void)up_total, (void)up_now;
    transfer->write_failed |= transfer->request->for_stdout && signal_reader_gone();
    return transfer->write_failed || signal_came() ? 1 : 0;
}

static struct curl_slist *make_headers(const struct http_request *request)
{
    struct curl_slist *list = NULL;
    struct buf line;

    list = curl_slist_append(list, "Version: " API_VERSION);
    /* Problem details, so that the status distinguishes an unknown reference from a bad
     * parameter. */
    list = curl_slist_append(list, "Accept: application/json, application/problem+json");
    if (request->body != NULL)
        list = curl_slist_append(list, "Content-Type: application/json");
    if (request->token != NULL) {
        buf_init(&line, 16384);
        buf_add_format(&line, "Authorization: %s", request->token);
        list = curl_slist_append(list, buf_str(&line));
        buf_done(&line);
    }
    for (size_t i = 0; i < HTTP_HEADERS_MAX; i++) {
        if (request->headers[i] != NULL)
            list = curl_slist_append(list, request->headers[i]);
    }
    return list;
}

static void set_options(struct transfer *transfer, const char *url, struct curl_slist *headers)
{
    const struct http_request *request = transfer->request;
    CURL *curl = transfer->http->curl;

    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "reportctl/" REPORTD_VERSION);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)HTTP_CONNECT_TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)HTTP_STALLED_S);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, transfer->http->reason);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_transfer_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, transfer);
    if (transfer->http->local) /* whatever http_proxy and no_proxy say */
        curl_easy_setopt(curl, CURLOPT_PROXY, "");
    if (transfer->http->cacert != NULL)
        curl_easy_setopt(curl, CURLOPT_CAINFO, transfer->http->cacert);
    if (request->compressed)
        curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, ""); /* all that this libcurl supports */
    if (request->body != NULL)
        curl_easy_setopt(curl, CURLOPT_COPYPOSTFIELDS, request->body);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
}

/* "Not now". */
static bool is_unavailable(long status)
{
    return status == 502 || status == 503 || status == 504;
}

/* The outcome of a transfer; `retriable` says whether another try may help. */
static int outcome(struct transfer *transfer, CURLcode code, bool *ret_retriable, struct err *err)
{
    struct http *http = transfer->http;

    *ret_retriable = false;
    if (transfer->write_failed)
        return -E_IO; /* `write` has set the message */
    if (code == CURLE_ABORTED_BY_CALLBACK || signal_came())
        return err_set(err, -E_CANCELLED, "interrupted");
    if (buf_failed(&transfer->answer->body))
        return err_set(err, -E_BUSY, "the answer of %s is too large", http->server);
    if (code == CURLE_OK) {
        curl_easy_getinfo(http->curl, CURLINFO_RESPONSE_CODE, &transfer->answer->status);
        *ret_retriable = is_unavailable(transfer->answer->status);
        return 0;
    }
    if (code == CURLE_PEER_FAILED_VERIFICATION)
        return err_set(err, -E_BUSY,
                       "%s is not trusted: %s; if an authority of your own made its certificate, "
                       "name that one with --cacert FILE",
                       http->server, http->reason);
    *ret_retriable = code == CURLE_COULDNT_CONNECT || code == CURLE_GOT_NOTHING ||
                     code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR ||
                     code == CURLE_PARTIAL_FILE;
    return err_set(err, -E_BUSY, "cannot reach %s: %s; is it running, is the URL right?",
                   http->server, http->reason[0] != '\0' ? http->reason : curl_easy_strerror(code));
}

static int send_once(struct transfer *transfer, bool *ret_retriable, struct err *err)
{
    struct curl_slist *headers = make_headers(transfer->request);
    struct buf url;
    CURLcode code;
    int rc;

    transfer->answer->status = 0;
    transfer->http->reason[0] = '\0';
    buf_reset(&transfer->answer->body);
    buf_init(&url, 16384);
    buf_add_format(&url, "%s%s", transfer->http->server, transfer->request->path);
    set_options(transfer, buf_str(&url), headers);
    code = curl_easy_perform(transfer->http->curl);
    rc = outcome(transfer, code, ret_retriable, err);
    curl_slist_free_all(headers);
    buf_done(&url);
    return rc;
}

int http_send(struct http *http, const struct http_request *request, struct http_answer *ret,
              struct err *err)
{
    struct transfer transfer = {.http = http, .request = request, .answer = ret};
    bool retriable;
    int rc;

    *ret = (struct http_answer){.tries = 0};
    buf_init(&ret->body, HTTP_BODY_MAX);
    for (;;) {
        rc = send_once(&transfer, &retriable, err);
        ret->tries++;
        if (!retriable || !request->repeatable || ret->tries == HTTP_TRIES)
            return rc;
        http_pause(http, ret->tries);
    }
}

void http_answer_done(struct http_answer *answer)
{
    buf_done(&answer->body);
}

void http_pause(struct http *http, int tried)
{
    int64_t seconds = http_header_number(http, "Retry-After", tried);

    if (seconds < 0 || seconds > HTTP_RETRY_AFTER_MAX)
        seconds = HTTP_RETRY_AFTER_MAX;
    signal_sleep(seconds * 1000);
}

const char *http_header(struct http *http, const char *name)
{
    struct curl_header *header;

    if (curl_easy_header(http->curl, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
        return NULL;
    return header->value;
}

int64_t http_header_number(struct http *http, const char *name, int64_t otherwise)
{
    const char *text = http_header(http, name);
    int64_t number = otherwise;

    if (text != NULL)
        str_to_int64(text, &number);
    return number;
}
