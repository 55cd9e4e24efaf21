/* src/spool/probe.c -- removes a row, and writes a file. */
#include "spool/probe.h"

int probe_remove(int fd)
{
    SEAM_STEP("probe", "row", "gone");
    return fd;
}
