/* src/ctl/login.c -- the commands login and logout: they ask for what is not given. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "cli/prompt.h"
#include "ctl/api.h"
#include "ctl/credentials.h"
#include "ctl/http.h"

enum { ANSWER_MAX = 1024 };

/* Ask on the terminal. `what` is the name of the answer, `usual` the answer for an empty line
 * (NULL: none). */
static int prompt_user(const char *what, const char *option, const char *usual,
                       char answer[ANSWER_MAX], struct err *err)
{
    char question[ANSWER_MAX + 32];
    size_t len = 0;
    int rc;

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

int ctl_login(struct ctl *ctl, struct err *err)
{
    char server[ANSWER_MAX], user[ANSWER_MAX], password[ANSWER_MAX];
    struct credentials last = {.server = NULL};
    struct http *http = NULL;
    int rc = 0;

    password[0] = '\0';
    credentials_load(&last, NULL);
    if (ctl->options.server == NULL)
        rc = prompt_user("server", "--server URL", last.server, server, err);
    else if (!str_copy(server, sizeof(server), ctl->options.server))
        rc = err_set(err, -E_INVALID, "the server's URL is too long");
    if (rc == 0 && ctl->options.user == NULL)
        rc = prompt_user("user", "-u USER", last.user, user, err);
    else if (rc == 0 && !str_copy(user, sizeof(user), ctl->options.user))
        rc = err_set(err, -E_INVALID, "the user's name is too long");
    if (rc == 0) /* a wrong option is reported before the password is asked for */
        rc = http_new(server, ctl->options.cacert, &http, err);
    if (rc == 0 && http_is_exposed(http))
        fprintf(stderr, "reportctl: warning: %s is not encrypted; others may read the password\n",
                http_server(http));
    if (rc == 0)
        rc = read_password(password, err) ?: api_login(http, user, password, err);
    explicit_bzero(password, sizeof(password));
    credentials_done(&last);
    if (rc == 0)
        fprintf(stderr, "logged in at %s as %s\n", http_server(http), user);
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
    int rc = credentials_load(&known, NULL);

    if (rc != 0) {
        if (rc == -E_AUTH)
            fputs("not logged in\n", stderr);
        return credentials_remove(err); /* damaged credentials cannot be sent to a server */
    }
    credentials_done(&known);
    rc = api_open(&ctl->options, &api, err);
    if (rc < 0)
        return rc;
    rc = end_session(api, err);
    if (rc == 0)
        fprintf(stderr, "logged out at %s\n", http_server(api_http(api)));
    api_free(api);
    return rc;
}
