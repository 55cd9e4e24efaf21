/* src/base/process.c -- standard streams and signals of a process. */
#include "base/process.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

void descriptors_fill_standard(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        /* All lower descriptors are in use, so open() returns this one. */
        if (fcntl(fd, F_GETFD) < 0 &&
            open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd) {
            dprintf(STDERR_FILENO, "A standard stream is closed and /dev/null, which takes its "
                                   "place, cannot be opened. Open the streams, or mount /dev.\n");
            _exit(EXIT_FAILURE);
        }
    }
}

void process_hide(void)
{
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

void process_hide_variables(bool (*is_secret)(const char *variable))
{
    static char **all; /* never freed, since setenv() may replace it */
    size_t count = 0;

    while (environ[count] != NULL)
        count++;
    all = calloc(count + 1, sizeof(*all));
    for (size_t i = 0; all != NULL && i < count; i++) {
        char *copy = is_secret(environ[i]) ? strdup(environ[i]) : NULL;

        all[i] = copy != NULL ? copy : environ[i];
        if (copy != NULL)
            explicit_bzero(environ[i], strlen(environ[i]));
    }
    if (all != NULL)
        environ = all;
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
