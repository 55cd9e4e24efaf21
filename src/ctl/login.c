/* src/ctl/login.c -- login and logout: asking for what is not given. */
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/str.h"
#include "ctl/api.h"
#include "ctl/credentials.h"
#include "ctl/http.h"
#include "ctl/signal.h"

enum { ANSWER_MAX = 1024 };

/* Read a line of standard input, without its end. False at the end, on a signal, if too long. */
static bool read_line(char line[ANSWER_MAX])
{
    char *end;

    if (fgets(line, ANSWER_MAX, stdin) == NULL || signal_came())
        return false;
    end = line + strcspn(line, "\r\n");
    if (*end == '\0' && !feof(stdin))
        return false;
    *end = '\0';
    return true;
}

/* Ask on the terminal. `what` is what it is, `usual` the answer for an empty line (NULL: none). */
static int prompt_user(const char *what, const char *option, const char *usual,
                       char answer[ANSWER_MAX], struct err *err)
{
    if (!isatty(STDIN_FILENO))
        return err_set(err, -E_INVALID, "give the %s: %s", what, option);
    fprintf(stderr, "%s%s%s%s: ", what, usual != NULL ? " [" : "", usual != NULL ? usual : "",
            usual != NULL ? "]" : "");
    if (!read_line(answer))
        return err_set(err, -E_CANCELLED, "interrupted");
    if (answer[0] == '\0' && usual != NULL)
        str_copy(answer, ANSWER_MAX, usual);
    return 0;
}

static int read_password(char password[ANSWER_MAX], struct err *err)
{
    struct termios usual, silent;
    bool terminal = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &usual) == 0;
    bool good;

    if (terminal) {
        silent = usual;
        silent.c_lflag &= ~(tcflag_t)ECHO;
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
        fputs("password: ", stderr);
    }
    good = read_line(password);
    if (terminal) {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &usual);
        fputc('\n', stderr);
    }
    if (signal_came())
        return err_set(err, -E_CANCELLED, "interrupted");
    if (!good || password[0] == '\0')
        return err_set(err, -E_INVALID, "no password; type one, or give it as one line of input");
    return 0;
}

int ctl_login(struct ctl *ctl, struct err *err)
{
    char server[ANSWER_MAX], user[ANSWER_MAX], password[ANSWER_MAX];
    struct credentials last = {.server = NULL};
    struct http *http = NULL;
    int rc = 0;

    credentials_load(&last, NULL);
    if (ctl->options.server == NULL)
        rc = prompt_user("server", "--server URL", last.server, server, err);
    else if (!str_copy(server, sizeof(server), ctl->options.server))
        rc = err_set(err, -E_INVALID, "the server's URL is too long");
    if (rc == 0 && ctl->options.user == NULL)
        rc = prompt_user("user", "-u USER", last.user, user, err);
    else if (rc == 0 && !str_copy(user, sizeof(user), ctl->options.user))
        rc = err_set(err, -E_INVALID, "the user's name is too long");
    if (rc == 0)
        rc = http_new(server, &http, err); /* reports a wrong option before the password */
    http_free(http);
    if (rc == 0)
        rc = read_password(password, err) ?: api_login(server, user, password, err);
    explicit_bzero(password, sizeof(password));
    credentials_done(&last);
    if (rc == 0)
        fprintf(stderr, "logged in at %s as %s\n", server, user);
    return rc;
}

/* End the session on the server; one that is over already, or that no server answers for, too: the
 * tokens are forgotten in any case. */
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
    int rc;

    if (credentials_load(&known, NULL) != 0)
        return credentials_remove(err); /* of what is damaged no server can be told */
    credentials_done(&known);
    rc = api_open(&ctl->options, &api, err);
    if (rc < 0)
        return rc;
    rc = end_session(api, err);
    api_free(api);
    return rc;
}
