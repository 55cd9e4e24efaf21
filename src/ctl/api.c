/* src/ctl/api.c -- calls of the API, with tokens. */
#include "ctl/api.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/guid.h"
#include "base/str.h"
#include "ctl/credentials.h"
#include "ctl/token_source.h"

struct api {
    struct http *http;
    struct credentials credentials;
    bool from_environment;     /* a token was given, and no login is used */
    struct http_answer answer; /* the last one */
    json_t *refusal;           /* its JSON, if it has any */
    bool json;
};

/* Static because main() asks after the api is closed. */
static bool has_printed;

/* What each status means; one that is not listed is an ordinary refusal. */
static const struct {
    long status;
    int code;
} refusals[] = {
    {401, -E_AUTH},         {403, -E_FORBIDDEN}, {404, -E_UNKNOWN_REFERENCE},
    {409, -E_NOT_COMPLETE}, {422, -E_PARAM},     {429, -E_LIMIT},
    {502, -E_BUSY},         {503, -E_BUSY},      {504, -E_BUSY},
};

static int refusal_code(long status)
{
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        if (refusals[i].status == status)
            return refusals[i].code;
    }
    return -E_SOURCE;
}

/* The server's message, from the envelope or from problem details (RFC 9457); NULL if there is
 * none. */
static const char *message_of(const json_t *answer)
{
    static const char *const members[] = {"message", "detail", "title"};

    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        const char *message = json_string_value(json_object_get(answer, members[i]));

        if (message != NULL && message[0] != '\0')
            return message;
    }
    return NULL;
}

/* The answer is an error: its message goes into `err`. */
static int read_refusal(struct http *http, const struct http_answer *answer, json_t **ret_json,
                        struct err *err)
{
    const char *location = http_header(http, "Location");
    const char *message;

    if (answer->status >= 300 && answer->status < 400 && location != NULL)
        return err_set(err, -E_BUSY, "%s redirects to %s; log in with --server as it says there",
                       http_server(http), location);
    *ret_json = json_loadb(buf_str(&answer->body), answer->body.len, 0, NULL);
    message = message_of(*ret_json);
    if (message != NULL)
        return err_set(err, refusal_code(answer->status), "%s", message);
    return err_set(err, -E_BUSY, "%s answers with status %ld and no message; is it a reportd?",
                   http_server(http), answer->status);
}

/* Read a pair of tokens from an answer; -E_BUSY if it does not contain them. */
static int take_tokens(const struct http *http, const struct http_answer *answer,
                       struct credentials *credentials, struct err *err)
{
    json_t *pair = json_loadb(buf_str(&answer->body), answer->body.len, 0, NULL);
    const char *access = json_string_value(json_object_get(pair, "accessToken"));
    const char *refresh = json_string_value(json_object_get(pair, "refreshToken"));
    bool sendable = access != NULL && token_is_sendable(access);
    char *new_access = sendable ? strdup(access) : NULL;
    char *new_refresh = refresh != NULL ? strdup(refresh) : NULL;

    json_decref(pair);
    if (new_access == NULL || new_refresh == NULL) {
        free(new_access);
        free(new_refresh);
        return err_set(err, -E_BUSY, "%s does not answer with tokens; is it a reportd?",
                       http_server(http));
    }
    free(credentials->access_token);
    free(credentials->refresh_token);
    credentials->access_token = new_access;
    credentials->refresh_token = new_refresh;
    return 0;
}

/* Request a pair of tokens with `body` and put it into `credentials`. Never repeated: a failed
 * login counts, and a refresh token used twice ends its session. */
static int get_tokens(struct http *http, const char *path, json_t *body,
                      struct credentials *credentials, struct err *err)
{
    char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
    struct http_request request = {
        .method = "POST", .path = path, .body = text, .token = credentials->access_token};
    struct http_answer answer;
    json_t *json = NULL;
    int rc;

    if (text == NULL)
        return err_set(err, -E_INVALID, "user and password must be UTF-8");
    rc = http_send(http, &request, &answer, err)
             ?: (answer.status == 200 ? take_tokens(http, &answer, credentials, err)
                                      : read_refusal(http, &answer, &json, err));
    json_decref(json);
    http_answer_done(&answer);
    free(text);
    return rc;
}

static int save_login(const struct http *http, const char *user, struct credentials *credentials,
                      struct err *err)
{
    int lock;
    int rc = credentials_lock(&lock, err);

    if (rc < 0)
        return rc;
    credentials->server = strdup(http_server(http));
    credentials->user = strdup(user);
    if (http_cacert(http) != NULL)
        credentials->cacert = strdup(http_cacert(http));
    rc = credentials->server != NULL && credentials->user != NULL
             ? credentials_save(credentials, err)
             : err_set(err, -E_NOMEM, "out of memory");
    close(lock);
    return rc;
}

int api_login(struct http *http, const char *user, const char *password, struct err *err)
{
    struct credentials credentials = {.server = NULL};
    json_t *body = json_pack("{ss ss}", "username", user, "password", password);
    int rc = get_tokens(http, "/User/Login", body, &credentials, err)
                 ?: save_login(http, user, &credentials, err);

    json_decref(body);
    credentials_done(&credentials);
    return rc;
}

/* Which user does the token belong to? */
static int ask_name(struct http *http, const char *token, char **ret, struct err *err)
{
    const struct http_request request = {
        .method = "GET", .path = "/User/Me", .token = token, .repeatable = true};
    struct http_answer answer;
    json_t *json = NULL;
    const char *name;
    int rc = http_send(http, &request, &answer, err);

    if (rc == 0 && answer.status != 200)
        rc = read_refusal(http, &answer, &json, err);
    if (rc == 0) {
        json = json_loadb(buf_str(&answer.body), answer.body.len, 0, NULL);
        name = json_string_value(json_object_get(json_object_get(json, "data"), "name"));
        *ret = name != NULL ? strdup(name) : NULL;
        if (*ret == NULL)
            rc = err_set(err, -E_BUSY, "%s does not answer as a reportd does; is it one?",
                         http_server(http));
    }
    json_decref(json);
    http_answer_done(&answer);
    return rc;
}

/* The saved path is valid wherever the next command runs. */
static int absolute_path(const char *path, char **ret, struct err *err)
{
    char *folder = path[0] == '/' ? strdup("") : getcwd(NULL, 0);
    int rc = folder == NULL || asprintf(ret, "%s%s%s", folder, path[0] == '/' ? "" : "/", path) < 0
                 ? err_set(err, -E_NOMEM, "out of memory")
                 : 0;

    free(folder);
    return rc;
}

int api_login_without(struct http *http, const char *key_file, const char *token_command,
                      char **ret_user, struct err *err)
{
    struct credentials credentials = {.server = NULL};
    char *token = NULL;
    int rc = key_file != NULL ? absolute_path(key_file, &credentials.key_file, err)
                                    ?: token_from_file(key_file, &token, err)
                              : token_from_command(token_command, &token, err);

    if (rc == 0)
        rc = ask_name(http, token, ret_user, err);
    if (rc == 0 && token_command != NULL) {
        credentials.token_command = strdup(token_command);
        credentials.access_token = token;
        token = NULL;
    }
    if (rc == 0)
        rc = save_login(http, *ret_user, &credentials, err);
    free(token);
    credentials_done(&credentials);
    return rc;
}

/* -E_AUTH if the command names another server than that of the tokens. */
static int check_logged_in_at(const struct api *api, const char *server, struct err *err)
{
    struct http *other;
    int rc;

    if (server == NULL)
        return 0;
    rc = http_new(server, NULL, &other, err);
    if (rc != 0)
        return rc;
    if (!str_eq(http_server(other), http_server(api->http)))
        rc = err_set(err, -E_AUTH, "logged in at %s, not at %s; run: reportctl login --server %s",
                     http_server(api->http), http_server(other), http_server(other));
    http_free(other);
    return rc;
}

/* The token in the environment does not say for which server it is. */
static int use_token_variable(struct api *api, const char *token, const char *server,
                              struct err *err)
{
    if (server == NULL)
        return err_set(err, -E_INVALID,
                       TOKEN_VARIABLE " is set: say which server it is for, with --server URL");
    api->from_environment = true;
    api->credentials.server = strdup(server);
    api->credentials.access_token = strdup(token);
    return api->credentials.server != NULL && api->credentials.access_token != NULL
               ? 0
               : err_set(err, -E_NOMEM, "out of memory");
}

static int take_credentials(struct api *api, const struct ctl_options *options, struct err *err)
{
    struct credentials *credentials = &api->credentials;
    const char *token;
    int rc = token_from_environment(&token, err);

    if (rc < 0)
        return rc;
    if (token != NULL)
        return use_token_variable(api, token, options->server, err);
    rc = credentials_load(credentials, err);
    if (rc == 0 && credentials->key_file != NULL)
        rc = token_from_file(credentials->key_file, &credentials->access_token, err);
    return rc;
}

int api_open(const struct ctl_options *options, struct api **ret, struct err *err)
{
    struct api *api = calloc(1, sizeof(*api));
    int rc;

    if (api == NULL)
        return err_set(err, -E_NOMEM, "out of memory");
    api->json = options->json != NULL;
    rc = take_credentials(api, options, err)
             ?: http_new(api->credentials.server,
                         options->cacert != NULL ? options->cacert : api->credentials.cacert,
                         &api->http, err)
             ?: check_logged_in_at(api, options->server, err);
    if (rc != 0) {
        api_free(api);
        return rc;
    }
    *ret = api;
    return 0;
}

void api_free(struct api *api)
{
    if (api == NULL)
        return;
    json_decref(api->refusal);
    http_answer_done(&api->answer);
    http_free(api->http);
    credentials_done(&api->credentials);
    free(api);
}

static int exchange_token(struct api *api, struct credentials *now, struct err *err)
{
    json_t *body;
    int rc;

    if (now->token_command != NULL) {
        free(now->access_token);
        now->access_token = NULL;
        return token_from_command(now->token_command, &now->access_token, err);
    }
    body = json_pack("{ss}", "refreshToken", now->refresh_token);
    rc = get_tokens(api->http, "/User/RefreshToken", body, now, err);
    json_decref(body);
    if (rc == -E_AUTH)
        err_set(err, -E_AUTH, "the login has ended; run: reportctl login --server %s -u %s",
                now->server, now->user);
    return rc;
}

/* A key, or a token from the environment, cannot be renewed. */
static bool can_renew(const struct api *api)
{
    return !api->from_environment && api->credentials.key_file == NULL;
}

/* Exchange the refresh token, unless another reportctl has just done so: both have the same pair,
 * and exchanging one refresh token twice would end the session for both. Or run the command
 * again. */
static int renew(struct api *api, struct err *err)
{
    struct credentials now;
    int lock;
    int rc = credentials_lock(&lock, err);

    if (rc != 0)
        return rc;
    rc = credentials_load(&now, err);
    if (rc == 0 && (!str_eq(now.server, api->credentials.server) ||
                    !str_eq(now.user, api->credentials.user) || now.access_token == NULL)) {
        credentials_done(&now);
        rc = err_set(err, -E_AUTH, "another login has taken place meanwhile; run this again");
    }
    if (rc == 0 && str_eq(now.access_token, api->credentials.access_token)) {
        rc = exchange_token(api, &now, err) ?: credentials_save(&now, err);
        if (rc != 0)
            credentials_done(&now);
    }
    close(lock);
    if (rc == 0) {
        credentials_done(&api->credentials);
        api->credentials = now;
    }
    return rc;
}

static int send_with_token(struct api *api, struct http_request *request, struct err *err)
{
    http_answer_done(&api->answer);
    request->token = api->credentials.access_token;
    return http_send(api->http, request, &api->answer, err);
}

int api_unexpected(const struct api *api, struct err *err)
{
    return err_set(err, -E_BUSY, "%s does not answer as a reportd does; is it one?",
                   http_server(api->http));
}

/* Read the answer's JSON; a refusal in a plain envelope is a refusal, too. */
static int open_envelope(struct api *api, json_t **ret_envelope, struct err *err)
{
    json_t *envelope =
        json_loadb(buf_str(&api->answer.body), api->answer.body.len, JSON_REJECT_DUPLICATES, NULL);
    const char *message = message_of(envelope);

    if (!json_is_boolean(json_object_get(envelope, "result"))) {
        json_decref(envelope);
        return api_unexpected(api, err);
    }
    /* A report's status is a string, whatever `result` is. */
    if (json_is_false(json_object_get(envelope, "result")) &&
        !json_is_string(json_object_get(envelope, "data"))) {
        err_set(err, -E_SOURCE, "%s", message != NULL ? message : "refused without message");
        api->refusal = envelope;
        return -E_SOURCE;
    }
    *ret_envelope = envelope;
    return 0;
}

int api_call(struct api *api, struct http_request *request, json_t **ret_envelope, struct err *err)
{
    int rc;

    json_decref(api->refusal);
    api->refusal = NULL;
    rc = send_with_token(api, request, err);
    if (rc == 0 && api->answer.status == 401 && can_renew(api)) {
        rc = renew(api, err) ?: send_with_token(api, request, err);
    }
    if (rc != 0)
        return rc;
    if (api->answer.status < 200 || api->answer.status > 299)
        rc = read_refusal(api->http, &api->answer, &api->refusal, err);
    else if (ret_envelope != NULL)
        rc = open_envelope(api, ret_envelope, err);
    if (api->refusal != NULL && api->json)
        api_print(api);
    return rc;
}

int api_envelope(struct api *api, json_t **ret_envelope, struct err *err)
{
    int rc = open_envelope(api, ret_envelope, err);

    if (api->refusal != NULL && api->json)
        api_print(api);
    return rc;
}

const struct buf *api_body(const struct api *api)
{
    return &api->answer.body;
}

void api_print(const struct api *api)
{
    printf("%s\n", buf_str(&api->answer.body));
    has_printed = true;
}

void api_mute(struct api *api)
{
    api->json = false;
}

void api_set_printed(void)
{
    has_printed = true;
}

bool api_has_printed(void)
{
    return has_printed;
}

const json_t *api_refusal(const struct api *api)
{
    return api->refusal;
}

int api_tries(const struct api *api)
{
    return api->answer.tries;
}

struct http *api_http(struct api *api)
{
    return api->http;
}

int api_reference_path(const char *resource, const char *reference, char path[API_PATH_MAX],
                       struct err *err)
{
    struct guid id;
    char text[GUID_TEXT];

    if (!guid_parse(reference, &id))
        return err_set(err, -E_INVALID,
                       "'%s' is not a reference; submit prints one and list shows yours",
                       reference);
    guid_format(&id, text);
    snprintf(path, API_PATH_MAX, "/%s?reference=%s", resource, text);
    return 0;
}

int api_add_query(struct buf *path, const char *name, const char *value, struct err *err)
{
    char *escaped;

    if (value == NULL)
        return 0;
    escaped = curl_easy_escape(NULL, value, 0);
    if (escaped == NULL)
        return err_set(err, -E_NOMEM, "out of memory");
    buf_add_format(path, "%s%s=%s", path->data[path->len - 1] == '?' ? "" : "&", name, escaped);
    curl_free(escaped);
    return buf_failed(path) ? err_set(err, -E_INVALID, "the filters are too long") : 0;
}
