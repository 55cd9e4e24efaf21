/* src/ctl/token_source.c -- tokens from a file, a command or the environment. */
#include "ctl/token_source.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/str.h"
#include "ctl/signal.h"

enum {
    TOKEN_MAX = 8192,     /* bytes of a header that every server accepts */
    KEY_RANDOM_TEXT = 43, /* characters of an API key after its prefix */
};

static const char key_prefix[] = "rdk_";
static const char base64url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

bool token_is_sendable(const char *text)
{
    size_t len = strlen(text);

    for (size_t i = 0; i < len; i++) {
        if (text[i] <= ' ' || text[i] > '~')
            return false;
    }
    return len > 0 && len <= TOKEN_MAX;
}

/* Read the first line, without surrounding blanks, or more of it than a token has; *ret is yours.
 */
static int read_first_line(FILE *file, const char *where, char **ret, struct err *err)
{
    char line[TOKEN_MAX + 2];
    const char *text = line;
    size_t len;

    errno = 0;
    if (fgets(line, sizeof(line), file) == NULL) {
        line[0] = '\0';
        if (ferror(file))
            return err_errno(err, -E_IO, "cannot read %s", where);
    }
    len = strcspn(line, "\r\n");
    str_trim(&text, &len);
    *ret = strndup(text, len);
    explicit_bzero(line, sizeof(line));
    return *ret != NULL ? 0 : err_no_memory(err);
}

/* How many characters follow the prefix that a key may have there; 0: there is no prefix. */
static size_t count_random(const char *text)
{
    return str_starts(text, key_prefix) ? strspn(text + sizeof(key_prefix) - 1, base64url) : 0;
}

static bool is_api_key(const char *text)
{
    return count_random(text) == KEY_RANDOM_TEXT &&
           strlen(text) == sizeof(key_prefix) - 1 + KEY_RANDOM_TEXT;
}

/* As in ssh, the mode of another user's file is not checked, since the caller cannot change it. */
static int check_is_private(FILE *file, const char *path, struct err *err)
{
    struct stat st;

    if (fstat(fileno(file), &st) != 0)
        return err_errno(err, -E_IO, "cannot read %s", path);
    if (st.st_uid == getuid() && (st.st_mode & 077) != 0)
        return err_set(err, -E_IO, "%s is open to other users; run: chmod 600 %s", path, path);
    return 0;
}

int token_from_file(const char *path, char **ret, struct err *err)
{
    FILE *file = fopen(path, "re");
    char *text = NULL;
    int rc;

    if (file == NULL)
        return err_errno(err, -E_IO, "cannot read %s", path);
    rc = check_is_private(file, path, err) ?: read_first_line(file, path, &text, err);
    fclose(file);
    if (rc == 0 && !is_api_key(text)) {
        free(text);
        return err_set(err, -E_INVALID,
                       "%s has no API key in its first line; it is what reportd key add prints: "
                       "rdk_ and %d characters",
                       path, KEY_RANDOM_TEXT);
    }
    if (rc == 0)
        *ret = text;
    return rc;
}

/* popen() without its wait. With SIGPIPE as everywhere else, which a child inherits. */
static int start_command(const char *command, pid_t *ret_pid, FILE **ret, struct err *err)
{
    const char *words[] = {"sh", "-c", "--", command, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t defaults;
    int ends[2], rc;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_errno(err, -E_IO, "cannot run the token command");
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    rc = posix_spawn(ret_pid, "/bin/sh", &actions, &attributes, (char *const *)words, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    close(ends[1]);
    *ret = rc == 0 ? fdopen(ends[0], "r") : NULL;
    if (*ret != NULL)
        return 0;
    close(ends[0]);
    errno = rc != 0 ? rc : errno;
    return err_errno(err, -E_IO, "cannot run the token command");
}

/* It prints more than its first line: as with `head -1`, that is no failure. */
static bool ended_by_our_close(int status)
{
    return WIFSIGNALED(status) ? WTERMSIG(status) == SIGPIPE : WEXITSTATUS(status) == 128 + SIGPIPE;
}

/* A signal, which only this program may have got, ends the command, too; it is not waited for. */
static int end_command(pid_t pid, FILE *file, struct err *err)
{
    int status = 0;
    pid_t ended = 0;

    fclose(file);
    while (!signal_came() && (ended = waitpid(pid, &status, 0)) < 0 && errno == EINTR)
        continue;
    if (signal_came()) {
        if (ended != pid)
            kill(pid, SIGTERM);
        return err_set(err, -E_CANCELLED, "interrupted");
    }
    if (ended < 0)
        return err_errno(err, -E_IO, "cannot run the token command");
    if (ended_by_our_close(status))
        return 0;
    if (WIFSIGNALED(status))
        return err_set(err, -E_AUTH, "the token command was ended by signal %d", WTERMSIG(status));
    if (WEXITSTATUS(status) != 0)
        return err_set(err, -E_AUTH, "the token command failed with exit status %d",
                       WEXITSTATUS(status));
    return 0;
}

int token_from_command(const char *command, char **ret, struct err *err)
{
    FILE *file;
    char *text = NULL;
    struct err why;
    pid_t pid;
    int end, rc = start_command(command, &pid, &file, err);

    if (rc < 0)
        return rc;
    rc = read_first_line(file, "the output of the token command", &text, err);
    end = end_command(pid, file, &why);
    if (end < 0) { /* the reason why there is no token */
        *err = why;
        rc = end;
    }
    if (rc == 0 && !token_is_sendable(text))
        rc = err_set(err, -E_AUTH, "the output of the token command is not a token");
    if (rc == 0)
        *ret = text;
    else
        free(text);
    return rc;
}

int token_from_environment(const char **ret, struct err *err)
{
    const char *text = getenv(TOKEN_VARIABLE);

    *ret = NULL;
    if (text == NULL || *text == '\0')
        return 0;
    if (!token_is_sendable(text))
        return err_set(err, -E_INVALID, TOKEN_VARIABLE " is not a token");
    *ret = text;
    return 0;
}

static bool has_key(const char *text)
{
    while ((text = strstr(text, key_prefix)) != NULL) {
        if (count_random(text) >= KEY_RANDOM_TEXT)
            return true;
        text += sizeof(key_prefix) - 1;
    }
    return false;
}

/* A JWT: the header of JSON, the payload, the signature, each as base64url. */
static bool has_jwt(const char *text)
{
    static const char begin[] = "eyJ";

    while ((text = strstr(text, begin)) != NULL) {
        size_t header = strspn(text, base64url);
        size_t payload = text[header] == '.' ? strspn(text + header + 1, base64url) : 0;

        if (payload > 0 && text[header + 1 + payload] == '.')
            return true;
        text += sizeof(begin) - 1;
    }
    return false;
}

bool token_is_in(const char *text)
{
    return has_key(text) || has_jwt(text);
}
