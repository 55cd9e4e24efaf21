/* src/core/rights.c -- the file modes of the configuration, the store and the definitions. */
#include "core/rights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A file named `path` plus a suffix. */
struct guarded_file {
    const char *what, *path, *suffix;
    bool secret; /* others must not read it either */
};

/* `text` as one word of the shell: yours to free(); NULL: out of memory. */
static char *shell_word(const char *text)
{
    char *word = malloc(4 * strlen(text) + 3), *end = word;

    if (word == NULL)
        return NULL;
    *end++ = '\'';
    for (; *text != '\0'; text++) {
        if (*text == '\'') {
            memcpy(end, "'\\'", 3);
            end += 3;
        }
        *end++ = *text;
    }
    memcpy(end, "'", 2);
    return word;
}

static int refuse_mode(const struct guarded_file *guarded_file, const char *path, mode_t mode,
                       struct err *err)
{
    char *word = shell_word(path);

    if (word == NULL)
        return err_set(err, -E_NOMEM, "out of memory");
    err_set(err, -E_CONFIG, "%s '%s' can be %s by others (mode %04o): chmod %s %s",
            guarded_file->what, path, (mode & (S_IWGRP | S_IWOTH)) != 0 ? "written" : "read",
            (unsigned)mode & 07777, guarded_file->secret ? "g-w,o-rw" : "go-w", word);
    free(word);
    return -E_CONFIG;
}

static int check_mode(const struct guarded_file *guarded_file, struct err *err)
{
    mode_t no = S_IWGRP | S_IWOTH | (guarded_file->secret ? S_IROTH : 0);
    char *path;
    struct stat st;
    int rc = 0;

    if (asprintf(&path, "%s%s", guarded_file->path, guarded_file->suffix) < 0)
        return err_set(err, -E_NOMEM, "out of memory");
    if (stat(path, &st) == 0 && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) &&
        (st.st_mode & no) != 0)
        rc = refuse_mode(guarded_file, path, st.st_mode, err);
    free(path);
    return rc;
}

int rights_check_file(const char *what, const char *path, struct err *err)
{
    return check_mode(&(struct guarded_file){.what = what, .path = path, .suffix = ""}, err);
}

int rights_check(const struct config *config, struct err *err)
{
    const char *store = config_store_path(config);
    const struct guarded_file list[] = {
        {"the configuration", config->file, "", config->has_password},
        {"the folder of definitions", config->reports.text, "", false},
        {"the store", store, "", true},
        {"the store", store, "-wal", true},
        {"the store", store, "-shm", true},
    };

    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        int rc = list[i].path != NULL ? check_mode(&list[i], err) : 0;

        if (rc < 0)
            return rc;
    }
    return 0;
}
