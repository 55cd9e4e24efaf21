/* src/spool/probe.c -- removes a row, and writes a file. */
#include "spool/probe.h"

#include <fcntl.h>

int probe_remove(int fd)
{
    SEAM_STEP("probe", "row", "gone");
    return fd;
}

int probe_make(const char *name)
{
    return open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
}
