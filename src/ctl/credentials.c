/* src/ctl/credentials.c -- the credentials file. */
#include "ctl/credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"

enum { PATH_BYTES_MAX = 4096 };

void credentials_done(struct credentials *credentials)
{
    free(credentials->server);
    free(credentials->user);
    free(credentials->access_token);
    free(credentials->refresh_token);
    free(credentials->key_file);
    free(credentials->token_command);
    free(credentials->cacert);
    *credentials = (struct credentials){.server = NULL};
}

/* Append the path of `name` in our folder; the folder is made if `make` is set. */
static int add_path(struct buf *path, const char *name, bool make, struct err *err)
{
    const char *config = getenv("XDG_CONFIG_HOME");
    const char *home = getenv("HOME");
    int rc = 0;

    /* A relative path has to be ignored (XDG Base Directory Specification). */
    if (config != NULL && config[0] == '/')
        buf_add_str(path, config);
    else if (home != NULL && home[0] == '/')
        buf_add_format(path, "%s/.config", home);
    else
        return err_set(err, -E_IO,
                       "neither XDG_CONFIG_HOME nor HOME is set, so tokens cannot be kept");
    if (make)
        rc = file_make_folder(buf_str(path), err);
    buf_add_str(path, "/reportctl");
    if (rc == 0 && make)
        rc = file_make_folder(buf_str(path), err);
    buf_add_format(path, "/%s", name);
    if (rc == 0 && buf_failed(path))
        rc = err_set(err, -E_IO, "the path of the credentials is too long");
    return rc;
}

/* A copy of the member that is yours; NULL if it is not a string. */
static char *copy_member(const json_t *object, const char *member)
{
    const char *text = json_string_value(json_object_get(object, member));

    return text != NULL ? strdup(text) : NULL;
}

static int read_credentials(const char *path, json_t **ret, struct err *err)
{
    struct stat st;
    json_t *object;
    FILE *file = fopen(path, "re");

    if (file == NULL && errno == ENOENT)
        return err_set(err, -E_AUTH, "not logged in; run: reportctl login --server URL -u USER");
    if (file == NULL || fstat(fileno(file), &st) != 0) {
        err_errno(err, -E_IO, "cannot read %s", path);
        if (file != NULL)
            fclose(file);
        return -E_IO;
    }
    if ((st.st_mode & 077) != 0) {
        fclose(file);
        return err_set(err, -E_IO, "%s is open to other users; run: chmod 600 %s", path, path);
    }
    object = json_loadf(file, JSON_REJECT_DUPLICATES, NULL);
    fclose(file);
    if (object == NULL)
        return err_set(err, -E_IO, "%s is damaged; run: reportctl login", path);
    *ret = object;
    return 0;
}

static bool are_whole(const struct credentials *found)
{
    bool has_pair = found->access_token != NULL && found->refresh_token != NULL;

    return found->server != NULL && found->user != NULL &&
           (has_pair || found->key_file != NULL || found->token_command != NULL);
}

int credentials_load(struct credentials *ret, struct err *err)
{
    struct credentials found;
    struct buf path;
    json_t *object = NULL;
    int rc;

    buf_init(&path, PATH_BYTES_MAX);
    rc = add_path(&path, "credentials.json", false, err)
             ?: read_credentials(buf_str(&path), &object, err);
    if (rc == 0) {
        found = (struct credentials){.server = copy_member(object, "server"),
                                     .user = copy_member(object, "user"),
                                     .access_token = copy_member(object, "accessToken"),
                                     .refresh_token = copy_member(object, "refreshToken"),
                                     .key_file = copy_member(object, "keyFile"),
                                     .token_command = copy_member(object, "tokenCommand"),
                                     .cacert = copy_member(object, "cacert")};
        if (are_whole(&found)) {
            *ret = found;
        } else {
            credentials_done(&found);
            rc = err_set(err, -E_IO, "%s is damaged; run: reportctl login", buf_str(&path));
        }
        json_decref(object);
    }
    buf_done(&path);
    return rc;
}

/* Write `text` to a new file at `path` and make it durable. */
static int write_credentials(const char *path, const char *text, struct err *err)
{
    size_t len = strlen(text);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool good;

    if (fd < 0)
        return err_errno(err, -E_IO, "cannot create %s", path);
    good = fchmod(fd, 0600) == 0 && write(fd, text, len) == (ssize_t)len && fsync(fd) == 0;
    if (!good)
        err_errno(err, -E_IO, "cannot write %s", path);
    close(fd);
    return good ? 0 : -E_IO;
}

int credentials_save(const struct credentials *credentials, struct err *err)
{
    json_t *object =
        json_pack("{ss ss ss* ss* ss* ss* ss*}", "server", credentials->server, "user",
                  credentials->user, "accessToken", credentials->access_token, "refreshToken",
                  credentials->refresh_token, "keyFile", credentials->key_file, "tokenCommand",
                  credentials->token_command, "cacert", credentials->cacert);
    char *text = object != NULL ? json_dumps(object, JSON_INDENT(2)) : NULL;
    struct buf path, part;
    int rc;

    buf_init(&path, PATH_BYTES_MAX);
    buf_init(&part, PATH_BYTES_MAX);
    rc = (text != NULL ? 0 : err_set(err, -E_NOMEM, "out of memory"))
             ?: add_path(&path, "credentials.json", true, err);
    if (rc == 0) {
        buf_add_format(&part, "%s.%ld", buf_str(&path), (long)getpid());
        rc = write_credentials(buf_str(&part), text, err);
        if (rc == 0 && rename(buf_str(&part), buf_str(&path)) != 0)
            rc = err_errno(err, -E_IO, "cannot replace %s", buf_str(&path));
        if (rc != 0)
            unlink(buf_str(&part));
    }
    buf_done(&path);
    buf_done(&part);
    free(text);
    json_decref(object);
    return rc;
}

int credentials_remove(struct err *err)
{
    struct buf path;
    int rc;

    buf_init(&path, PATH_BYTES_MAX);
    rc = add_path(&path, "credentials.json", false, err);
    if (rc == 0 && unlink(buf_str(&path)) != 0 && errno != ENOENT)
        rc = err_errno(err, -E_IO, "cannot remove %s", buf_str(&path));
    buf_done(&path);
    return rc;
}

int credentials_lock(int *ret_fd, struct err *err)
{
    struct buf path;
    int fd = -1, rc;

    buf_init(&path, PATH_BYTES_MAX);
    /* A separate file: the one with the tokens is replaced, and its lock would be lost. */
    rc = add_path(&path, "lock", true, err);
    if (rc == 0) {
        fd = open(buf_str(&path), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0 || flock(fd, LOCK_EX) != 0) {
            rc = errno == EINTR ? err_set(err, -E_CANCELLED, "interrupted")
                                : err_errno(err, -E_IO, "cannot lock %s", buf_str(&path));
            if (fd >= 0)
                close(fd);
        }
    }
    if (rc == 0)
        *ret_fd = fd;
    buf_done(&path);
    return rc;
}
