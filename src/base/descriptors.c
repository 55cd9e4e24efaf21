/* src/base/descriptors.c -- take the closed ones of descriptors 0, 1 and 2. */
#include "base/descriptors.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void descriptors_fill_standard(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        /* All below are taken, so open() gives this one. */
        if (fcntl(fd, F_GETFD) < 0 &&
            open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd) {
            dprintf(STDERR_FILENO, "A standard stream is closed and /dev/null, which takes its "
                                   "place, cannot be opened. Open the streams, or mount /dev.\n");
            _exit(EXIT_FAILURE);
        }
    }
}
