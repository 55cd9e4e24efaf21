/* src/ctl/token_source.c -- tokens from a file, a command or the environment. */
#include "ctl/token_source.h"

#include <errno.h>
#include <signal.h>
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

/* Read the first line, without surrounding blanks; *ret is yours. */
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
    *ret = len <= TOKEN_MAX ? strndup(text, len) : NULL;
    explicit_bzero(line, sizeof(line));
    return *ret != NULL ? 0 : err_set(err, -E_IO, "%s has no token in its first line", where);
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

static int check_end(int status, struct err *err)
{
    if (signal_came())
        return err_set(err, -E_CANCELLED, "interrupted");
    if (status == -1)
        return err_errno(err, -E_IO, "cannot run the token command");
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
    int rc, end;

    signal(SIGPIPE, SIG_DFL); /* inherited by the command */
    file = popen(command, "re");
    signal(SIGPIPE, SIG_IGN);
    if (file == NULL)
        return err_errno(err, -E_IO, "cannot run the token command");
    rc = read_first_line(file, "the output of the token command", &text, err);
    end = check_end(pclose(file), &why);
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
