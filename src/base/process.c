/* src/base/process.c -- standard streams and signals of a process. */
#include "base/process.h"

#include <fcntl.h>
#include <signal.h>
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

void signals_ignore(void)
{
    static const int list[] = {SIGUSR1,  SIGUSR2,   SIGALRM, SIGQUIT, SIGPIPE,
                               SIGXFSZ,  SIGXCPU,   SIGPROF, SIGIO,   SIGPWR,
                               SIGWINCH, SIGVTALRM, SIGTTIN, SIGTTOU, SIGSTKFLT};

    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
        signal(list[i], SIG_IGN);
    for (int number = SIGRTMIN; number <= SIGRTMAX; number++)
        signal(number, SIG_IGN);
}
