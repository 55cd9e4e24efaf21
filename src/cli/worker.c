/* src/cli/worker.c -- `reportd worker` and `reportd fetch`: started by serve; they communicate only
 * over their socket. */
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/process.h"
#include "base/str.h"
#include "cli/options.h"
#include "cli/verbs.h"
#include "proc/fetch.h"
#include "proc/worker.h"

static int run_for_serve(int argc, char **argv, const char *what, int (*run)(void))
{
    struct stat st;

    if (argc == 2 && (str_eq(argv[1], "--help") || str_eq(argv[1], "-h"))) {
        printf("usage: reportd %s\n\n%s. reportd serve starts it; it is of no use by hand.\n",
               argv[0], what);
        return EXIT_GOOD;
    }
    if (argc != 2 || !log_init_by_word(argv[1]) || fstat(WORKER_SOCKET, &st) < 0 ||
        !S_ISSOCK(st.st_mode))
        return options_wrong(argv[0], "it is started by reportd serve, not by hand");
    /* Signals may be meant for the server, and be sent to all processes of its name. */
    signals_ignore();
    signal(SIGHUP, SIG_IGN);
    return run();
}

int verb_worker(int argc, char **argv)
{
    return run_for_serve(argc, argv, "Run one worker", worker_main);
}

int verb_fetch(int argc, char **argv)
{
    return run_for_serve(argc, argv, "Fetch keys over https", fetch_main);
}
