/* src/base/signals.c -- one list of signals. */
#include "base/signals.h"

#include <signal.h>
#include <stddef.h>

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
