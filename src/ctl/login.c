/* src/ctl/login.c -- the commands login and logout: they ask for what is not given. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "cli/options.h"
#include "cli/prompt.h"
#include "ctl/api.h"
#include "ctl/credentials.h"
#include "ctl/http.h"
#include "ctl/token_source.h"

enum { ANSWER_MAX = 1024 };

/* The answer is what is given; if that is NULL, ask on the terminal. `what` is the name of the
 * answer, `usual` the answer for an empty line (NULL: none). */
static int choose(const char *what, const char *option, const char *given, const char *usual,
                  char answer[ANSWER_MAX], struct err *err)
{
    char question[ANSWER_MAX + 32];
    size_t len = 0;
    int rc;

    if (given != NULL)
        return str_copy(answer, ANSWER_MAX, given)
                   ? 0
                   : err_set(err, -E_INVALID, "the %s is too long", what);
    if (!isatty(STDIN_FILENO))
        return err_set(err, -E_INVALID, "give the %s: %s", what, option);
    snprintf(question, sizeof(question), "%s%s%s%s: ", what, usual != NULL ? " [" : "",
             usual != NULL ? usual : "", usual != NULL ? "]" : "");
    rc = prompt_line(question, true, answer, ANSWER_MAX, &len, err);
    if (rc == 0 && len >= ANSWER_MAX)
        rc = err_set(err, -E_INVALID, "the %s is too long", what);
    if (rc == 0 && len == 0 && usual != NULL)
        str_copy(answer, ANSWER_MAX, usual);
    return rc;
}

static int read_password(char password[ANSWER_MAX], struct err *err)
{
    size_t len = 0;
    int rc = prompt_line("password: ", false, password, ANSWER_MAX, &len, err);

    if (rc == 0 && len >= ANSWER_MAX)
        rc = err_set(err, -E_INVALID, "the password is too long");
    if (rc == 0 && len == 0)
        rc = err_set(err, -E_INVALID, "no password; type one, or give it as one line of input");
    return rc;
}

/* Reports a wrong option before the password. */
static int open_login_server(const struct ctl_options *options, const char *server,
                             const char *secret, struct http **ret, struct err *err)
{
    int rc = http_new(server, options->cacert, ret, err);

    if (rc == 0 && http_is_exposed(*ret))
        fprintf(stderr, "reportctl: warning: %s is not encrypted; others may read the %s\n",
                http_server(*ret), secret);
    return rc;
}

static int login_by_password(const struct ctl_options *options, const struct credentials *last,
                             const char *server, struct http **ret, struct err *err)
{
    char user[ANSWER_MAX], password[ANSWER_MAX];
    int rc = choose("user", "-u USER", options->user, last->user, user, err)
                 ?: open_login_server(options, server, "password", ret, err)
                 ?: read_password(password, err)
                 ?: api_login(*ret, user, password, err);

    explicit_bzero(password, sizeof(password));
    if (rc == 0)
        fprintf(stderr, "logged in at %s as %s\n", http_server(*ret), user);
    return rc;
}

static int login_without(const struct ctl_options *options, const char *server, struct http **ret,
                         struct err *err)
{
    const char *secret = options->key_file != NULL ? "key" : "token";
    char *user = NULL;
    int rc = open_login_server(options, server, secret, ret, err)
                 ?: api_login_without(*ret, options->key_file, options->token_command, &user, err);

    if (rc == 0)
        say_line(stderr, "requests to %s are sent as %s, with the %s of %s", http_server(*ret),
                 user, secret,
                 options->key_file != NULL ? options->key_file : options->token_command);
    free(user);
    return rc;
}

int ctl_login(struct ctl *ctl, struct err *err)
{
    const struct ctl_options *options = &ctl->options;
    bool without = options->key_file != NULL || options->token_command != NULL;
    struct credentials last = {.server = NULL};
    char server[ANSWER_MAX];
    struct http *http = NULL;
    int rc;

    if ((options->user != NULL) + (options->key_file != NULL) + (options->token_command != NULL) >
        1)
        return err_set(
            err, -E_INVALID,
            "give one of -u, --key-file and --token-command: a key and a token say whose "
            "they are");
    credentials_load(&last, NULL);
    rc = choose("server", "--server URL", options->server, last.server, server, err);
    if (rc == 0)
        rc = without ? login_without(options, server, &http, err)
                     : login_by_password(options, &last, server, &http, err);
    if (rc == 0 && getenv(TOKEN_VARIABLE) != NULL)
        fputs("reportctl: warning: " TOKEN_VARIABLE " is set, and is used in place of this\n",
              stderr);
    credentials_done(&last);
    http_free(http);
    return rc;
}

/* End the session on the server. It is no error if the session is over already or no server
 * answers: the tokens are removed in any case. */
static int end_session(struct api *api, struct err *err)
{
    struct http_request request = {.method = "POST", .path = "/User/Logout", .repeatable = true};
    struct err why;
    int rc = api_call(api, &request, NULL, &why), removed;

    if (rc == -E_CANCELLED)
        return err_set(err, rc, "%s", why.text);
    removed = credentials_remove(err);
    if (removed < 0 || rc == 0 || rc == -E_AUTH)
        return removed;
    return err_set(err, rc,
                   "the tokens are forgotten here, but the session may live on at the server: %s",
                   why.text);
}

int ctl_logout(struct ctl *ctl, struct err *err)
{
    struct credentials known;
    struct api *api;
    bool has_session;
    int rc = credentials_load(&known, NULL);

    if (rc != 0) {
        if (rc == -E_AUTH)
            fputs("not logged in\n", stderr);
        return credentials_remove(err); /* damaged credentials cannot be sent to a server */
    }
    has_session = known.refresh_token != NULL;
    credentials_done(&known);
    if (!has_session)
        return credentials_remove(err);
    unsetenv(TOKEN_VARIABLE); /* it does not belong to the login */
    rc = api_open(&ctl->options, &api, err);
    if (rc < 0)
        return rc;
    rc = end_session(api, err);
    if (rc == 0)
        fprintf(stderr, "logged out at %s\n", http_server(api_http(api)));
    api_free(api);
    return rc;
}
