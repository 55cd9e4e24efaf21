/* src/spool/mark.c -- the file that names the store that a folder's results belong to, so that no
 * other store sweeps them away as its own. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/seam.h"
#include "spool/spool_impl.h"

static const char NEXT[] = SPOOL_MARK ".new"; /* until it is complete */

int spool_mark_read(int dir, const char *path, const struct guid *store, struct err *err)
{
    int fd = openat(dir, SPOOL_MARK, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    char text[GUID_TEXT] = "";
    struct guid found;
    ssize_t n;

    if (fd < 0 && errno == ENOENT)
        return 0;
    n = fd >= 0 ? file_read_all(fd, text, GUID_TEXT - 1, 0) : -1;
    if (n < 0)
        err_errno(err, -E_SPOOL, "read '" SPOOL_MARK "' in the folder '%s'", path);
    if (fd >= 0)
        close(fd);
    if (n < 0)
        return -E_SPOOL;
    if (guid_parse(text, &found) && guid_eq(&found, store))
        return 1;
    return err_set(err, -E_SPOOL,
                   "the folder '%s' is the spool of another store, as its file '" SPOOL_MARK
                   "' says: name the folder of this one. Only if nothing else uses it, remove that "
                   "file; better, name an empty folder",
                   path);
}

/* The name is given to a complete file. link() does not replace a mark that another process has
 * made, which may have removed NEXT after making it. */
static int publish_mark(int dir, int fd, const struct guid *store, bool replace)
{
    char text[GUID_TEXT + 1];

    guid_format(store, text);
    memcpy(text + GUID_TEXT - 1, "\n", 2);
    if (SEAM_FAILS("spool.mark") || file_write_all(fd, text, strlen(text), 0) < 0 || fsync(fd) < 0)
        return -1;
    SEAM_STEP("spool", "mark", "written");
    if (replace)
        return renameat(dir, NEXT, dir, SPOOL_MARK);
    return linkat(dir, NEXT, dir, SPOOL_MARK, 0) == 0 || errno == EEXIST || errno == ENOENT ? 0
                                                                                            : -1;
}

int spool_mark_write(int dir, const char *path, const struct guid *store, bool replace,
                     struct err *err)
{
    int fd = openat(dir, NEXT, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600), rc = 0;

    if (fd < 0 || publish_mark(dir, fd, store, replace) < 0)
        rc = err_errno(err, errno == ENOSPC || errno == EDQUOT ? -E_FULL : -E_SPOOL,
                       "make '" SPOOL_MARK "' in the folder '%s'", path);
    SEAM_STEP("spool", "mark", "named");
    if (fd >= 0)
        close(fd);
    unlinkat(dir, NEXT, 0);
    if (rc == 0 && fsync(dir) < 0)
        rc = err_errno(err, -E_SPOOL, "fsync the folder '%s'", path);
    return rc;
}

void spool_mark_tidy(int dir)
{
    if (faccessat(dir, SPOOL_MARK, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        unlinkat(dir, NEXT, 0);
}
