/* src/cli/user_password.c -- read a new password: without echo from a terminal, or from a pipe. */
#include "cli/user_password.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "core/password.h"

enum { LINE_BYTES = USER_PASSWORD_MAX + 3 }; /* one too long to take, its CR or LF, the NUL */

static int check_line(const char *line, size_t len, bool ended, struct err *err)
{
    if (len == 0)
        return err_set(err, -E_INVALID, "no password; it takes %d characters or more",
                       PASSWORD_CHARS_MIN);
    if (len > USER_PASSWORD_MAX || !ended)
        return err_set(err, -E_INVALID, "the password is longer than %d bytes", USER_PASSWORD_MAX);
    if (memchr(line, '\0', len) != NULL)
        return err_set(err, -E_INVALID, "the password has a NUL in it");
    return 0;
}

/* The next byte, 1 or 0 (the end) or -1. `interrupts`: the signal mask to wait with; so that a
 * signal that comes before the read() interrupts it too. NULL: do not wait, standard input is no
 * terminal. */
static ssize_t read_byte(char *ret, const sigset_t *interrupts)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};

    if (interrupts != NULL && ppoll(&input, 1, NULL, interrupts) < 0)
        return -1;
    return read(STDIN_FILENO, ret, 1);
}

/* One line of standard input, byte by byte, so that no buffer keeps it. */
static int read_line(char ret_password[USER_PASSWORD_TEXT], const sigset_t *interrupts,
                     struct err *err)
{
    char line[LINE_BYTES];
    size_t len = 0;
    ssize_t n = 0;
    bool ended = false;
    int rc;

    while (!ended && len < sizeof(line) && (n = read_byte(line + len, interrupts)) == 1) {
        ended = line[len] == '\n';
        len += !ended;
    }
    if (n < 0 && errno == EINTR)
        return err_set(err, -E_CANCELLED, "no password was read: interrupted");
    if (n < 0)
        return err_errno(err, -E_IO, "no password was read from standard input");
    ended = ended || n == 0;
    if (ended && len > 0 && line[len - 1] == '\r')
        len--;
    rc = check_line(line, len, ended, err);
    if (rc == 0) {
        memcpy(ret_password, line, len);
        ret_password[len] = '\0';
    }
    explicit_bzero(line, sizeof(line));
    return rc;
}

static void only_interrupt(int number)
{
    (void)number;
}

enum { QUIET_SIGNALS = 5 };

struct quiet {
    struct sigaction actions[QUIET_SIGNALS];
    sigset_t mask; /* as it was: what reading waits with */
};

static const int quiet_signals[QUIET_SIGNALS] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};

/* While nothing is echoed a signal must not end or stop the program: it is held back until input is
 * waited for, ends that wait, and the terminal is put right first. */
static void quiet_begin(struct quiet *before)
{
    struct sigaction interrupt = {.sa_handler = only_interrupt};
    sigset_t held;

    sigemptyset(&interrupt.sa_mask);
    sigemptyset(&held);
    for (int i = 0; i < QUIET_SIGNALS; i++)
        sigaddset(&held, quiet_signals[i]);
    sigprocmask(SIG_BLOCK, &held, &before->mask);
    for (int i = 0; i < QUIET_SIGNALS; i++)
        sigaction(quiet_signals[i], &interrupt, &before->actions[i]);
}

static void quiet_end(const struct quiet *before)
{
    for (int i = 0; i < QUIET_SIGNALS; i++)
        sigaction(quiet_signals[i], &before->actions[i], NULL);
    sigprocmask(SIG_SETMASK, &before->mask, NULL);
}

static int ask_password(const char *prompt, char ret_password[USER_PASSWORD_TEXT], struct err *err)
{
    struct termios usual, silent;
    struct quiet before;
    int rc;

    if (tcgetattr(STDIN_FILENO, &usual) < 0)
        return err_errno(err, -E_IO, "cannot turn the terminal's echo off");
    silent = usual;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    quiet_begin(&before);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
    fputs(prompt, stderr);
    rc = read_line(ret_password, &before.mask, err);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &usual);
    fputc('\n', stderr);
    quiet_end(&before);
    return rc;
}

/* One that cannot be is refused before it is typed again. */
static int ask_twice(const char *name, char ret_password[USER_PASSWORD_TEXT], struct err *err)
{
    char again[USER_PASSWORD_TEXT];
    int rc = ask_password("new password: ", ret_password, err)
                 ?: password_check(ret_password, name, err)
                 ?: ask_password("once more: ", again, err);

    if (rc == 0 && strcmp(ret_password, again) != 0)
        rc = err_set(err, -E_INVALID, "the two passwords differ; nothing was changed");
    explicit_bzero(again, sizeof(again));
    return rc;
}

int user_password_read(const char *name, char ret_password[USER_PASSWORD_TEXT], struct err *err)
{
    bool asks = isatty(STDIN_FILENO);

    return (asks ? ask_twice(name, ret_password, err) : read_line(ret_password, NULL, err))
               ?: password_check(ret_password, name, err);
}
