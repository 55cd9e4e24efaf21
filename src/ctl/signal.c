/* src/ctl/signal.c -- Ctrl-C as a flag. */
#include "ctl/signal.h"

#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>

/* Static because a handler has no argument. */
static volatile sig_atomic_t came, last;
static bool reader_lost;

static void record_signal(int number)
{
    came = 1;
    last = number;
    alarm(1);
}

/* A call that began to block after the last look at the flag is interrupted, too. */
static void interrupt_again(int number)
{
    (void)number;
    if (came)
        alarm(1);
}

void signal_catch(void)
{
    /* No SA_RESTART: a signal has to interrupt the reading of a password. */
    struct sigaction action = {.sa_handler = record_signal};

    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    action.sa_handler = interrupt_again;
    sigaction(SIGALRM, &action, NULL);
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, NULL);
    sigaction(SIGXFSZ, &action, NULL);
}

bool signal_came(void)
{
    return came != 0;
}

int signal_last(void)
{
    return last;
}

void signal_clear(void)
{
    came = 0;
    alarm(0);
}

bool signal_reader_gone(void)
{
    struct pollfd output = {.fd = STDOUT_FILENO};

    return poll(&output, 1, 0) == 1 && (output.revents & POLLERR) != 0;
}

void signal_lose_reader(void)
{
    reader_lost = true;
}

bool signal_reader_lost(void)
{
    return reader_lost;
}

void signal_sleep(int64_t ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    if (!signal_came())
        nanosleep(&left, NULL);
}
