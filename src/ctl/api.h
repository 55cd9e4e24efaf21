/* src/ctl/api.h -- calls of the API as the user who is logged in: tokens, errors. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "ctl/ctl.h"
#include "ctl/http.h"

struct api;

/* Log in at the server and save the tokens, with its certificates. -E_AUTH if it refuses, with its
 * message. */
int api_login(struct http *http, const char *user, const char *password, struct err *err);

/* With an API key from a file, or the output of a command: check that the server accepts it, and
 * save which of them is used; the other one is NULL. As api_login(); *ret_user, the user's name, is
 * yours to free(). */
int api_login_without(struct http *http, const char *key_file, const char *token_command,
                      char **ret_user, struct err *err);

/* Open the server that login saved; -E_AUTH if there is none, or if --server names another one: a
 * token is sent only to its own server. One in REPORTCTL_TOKEN is sent to that of --server, which
 * must be given then (-E_INVALID). *ret is yours: api_free(). */
int api_open(const struct ctl_options *options, struct api **ret, struct err *err);
void api_free(struct api *api); /* NULL is fine */

/* Send it with the access token, which is replaced once if the server does not accept it. 0: the
 * server did it, and *ret_envelope (if not NULL) is the answer's JSON, yours to json_decref().
 * Else -E_*, with the server's message and what to do: -E_AUTH, -E_LIMIT, -E_UNKNOWN_REFERENCE
 * (also for an unknown report name), -E_BUSY (no server), -E_CANCELLED, -E_IO, and others for a
 * refusal. With --json a refusal is printed as it came. */
int api_call(struct api *api, struct http_request *request, json_t **ret_envelope, struct err *err);

/* Instead of the envelope of an api_call() without one: as that. */
int api_envelope(struct api *api, json_t **ret_envelope, struct err *err);

/* The last answer's body, borrowed until the next call. */
const struct buf *api_body(const struct api *api);
/* Print it as it came: for --json. */
void api_print(const struct api *api);
/* From now on a refusal is not printed. */
void api_mute(struct api *api);
/* Standard output already has something, from api_print() or elsewhere: --json has nothing to
 * add. */
void api_set_printed(void);
bool api_has_printed(void);

/* The last answer is a success, but not one that a reportd gives: -E_BUSY, with a message. */
int api_unexpected(const struct api *api, struct err *err);

/* The last answer: JSON of a refusal, or NULL (borrowed until the next call), and how often it took
 * to send it. */
const json_t *api_refusal(const struct api *api);
int api_tries(const struct api *api);

struct http *api_http(struct api *api); /* for the answer's headers; borrowed */

/* "/Report?reference=…" for a reference typed by the user, in lower case, into `path`; -E_INVALID
 * if it is not one. `resource` is "Report" or "Report/Status". */
enum { API_PATH_MAX = 128 };
int api_reference_path(const char *resource, const char *reference, char path[API_PATH_MAX],
                       struct err *err);
enum { API_QUERY_MAX = 1024 };
/* Append name=value, percent-encoded, to a path that has a '?'; NULL: nothing. -E_INVALID: too long
 * for the buffer. */
int api_add_query(struct buf *path, const char *name, const char *value, struct err *err);
