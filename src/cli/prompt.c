/* src/cli/prompt.c -- reads a line from standard input, and handles signals meanwhile. */
#include "cli/prompt.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <termios.h>
#include <unistd.h>

enum { QUIET_SIGNALS = 5 };

struct quiet {
    struct sigaction actions[QUIET_SIGNALS];
    sigset_t mask; /* the previous mask, which is used while waiting for input */
};

static const int quiet_signals[QUIET_SIGNALS] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};

/* Static because a handler has no argument. */
static volatile sig_atomic_t stop_asked;

static void only_interrupt(int number)
{
    if (number == SIGTSTP)
        stop_asked = 1;
}

/* While there is no echo, a signal must not end or stop the program: it is blocked except while
 * input is awaited. It then ends that wait, and the terminal is restored first. Ignored signals
 * stay ignored, and the program's own handler still runs. */
static void quiet_begin(struct quiet *before)
{
    struct sigaction interrupt = {.sa_handler = only_interrupt};
    sigset_t held;

    stop_asked = 0;
    sigemptyset(&interrupt.sa_mask);
    sigemptyset(&held);
    for (int i = 0; i < QUIET_SIGNALS; i++)
        sigaddset(&held, quiet_signals[i]);
    sigprocmask(SIG_BLOCK, &held, &before->mask);
    for (int i = 0; i < QUIET_SIGNALS; i++) {
        sigaction(quiet_signals[i], NULL, &before->actions[i]);
        if (before->actions[i].sa_handler == SIG_DFL)
            sigaction(quiet_signals[i], &interrupt, NULL);
    }
}

static void quiet_end(const struct quiet *before)
{
    for (int i = 0; i < QUIET_SIGNALS; i++)
        sigaction(quiet_signals[i], &before->actions[i], NULL);
    sigprocmask(SIG_SETMASK, &before->mask, NULL);
}

/* Read the next byte: 1, 0 (the end) or -1. A signal cannot be missed before the read(), since it
 * can arrive only during ppoll(). */
static ssize_t read_byte(char *ret, const sigset_t *mask)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};

    if (ppoll(&input, 1, NULL, mask) < 0)
        return -1;
    return read(STDIN_FILENO, ret, 1);
}

static int read_line(char *line, size_t cap, size_t *ret_len, const sigset_t *mask, struct err *err)
{
    size_t len = 0;
    ssize_t n = 1;

    while (len < cap && (n = read_byte(line + len, mask)) == 1 && line[len] != '\n')
        len++;
    if (n < 0 && errno == EINTR)
        return err_set(err, -E_CANCELLED, "interrupted");
    if (n < 0)
        return err_errno(err, -E_IO, "cannot read standard input");
    if (len < cap && len > 0 && line[len - 1] == '\r')
        len--;
    line[len < cap ? len : cap - 1] = '\0';
    *ret_len = len;
    return 0;
}

/* -E_CANCELLED with `stop_asked`: the signal was SIGTSTP. */
static int ask_once(const char *question, bool echo, char *line, size_t cap, size_t *ret_len,
                    struct err *err)
{
    struct termios usual, silent;
    bool terminal = tcgetattr(STDIN_FILENO, &usual) == 0;
    struct quiet before;
    int rc;

    quiet_begin(&before);
    if (terminal && !echo) {
        silent = usual;
        silent.c_lflag &= ~(tcflag_t)ECHO;
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
    }
    if (terminal)
        fputs(question, stderr);
    rc = read_line(line, cap, ret_len, &before.mask, err);
    /* Half a password must not become input of the shell; what follows a complete one may. */
    if (terminal && !echo)
        tcsetattr(STDIN_FILENO, rc == 0 ? TCSADRAIN : TCSAFLUSH, &usual);
    if (terminal && (!echo || rc != 0))
        fputc('\n', stderr);
    quiet_end(&before);
    return rc;
}

int prompt_line(const char *question, bool echo, char *line, size_t cap, size_t *ret_len,
                struct err *err)
{
    int rc;

    while ((rc = ask_once(question, echo, line, cap, ret_len, err)) == -E_CANCELLED && stop_asked)
        raise(SIGTSTP);
    return rc;
}
