/* src/core/rights.c -- the modes of the configuration, the store and the definitions. */
#include "core/rights.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* A file whose name is `path` and a suffix. */
struct judged {
    const char *what, *path, *suffix;
    bool secret; /* others may not read it, either */
};

static int judge(const struct judged *judged, struct err *err)
{
    mode_t no = S_IWGRP | S_IWOTH | (judged->secret ? S_IROTH : 0);
    char *path;
    struct stat st;
    int rc = 0;

    if (asprintf(&path, "%s%s", judged->path, judged->suffix) < 0)
        return err_set(err, -E_NOMEM, "out of memory");
    if (stat(path, &st) == 0 && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) &&
        (st.st_mode & no) != 0)
        rc = err_set(err, -E_CONFIG, "%s '%s' can be %s by others (mode %04o): chmod %s '%s'",
                     judged->what, path,
                     (st.st_mode & (S_IWGRP | S_IWOTH)) != 0 ? "written" : "read",
                     (unsigned)st.st_mode & 07777, judged->secret ? "g-w,o-rw" : "go-w", path);
    free(path);
    return rc;
}

int rights_check(const struct config *config, struct err *err)
{
    const char *store = config_store_path(config);
    const struct judged list[] = {
        {"the configuration", config->file, "", config->has_password},
        {"the folder of definitions", config->reports.text, "", false},
        {"the store", store, "", true},
        {"the store", store, "-wal", true},
        {"the store", store, "-shm", true},
    };

    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        int rc = list[i].path != NULL ? judge(&list[i], err) : 0;

        if (rc < 0)
            return rc;
    }
    return 0;
}
