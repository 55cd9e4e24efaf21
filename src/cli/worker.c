/* src/cli/worker.c -- `reportd worker`: started by serve; it communicates only over its socket. */
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/process.h"
#include "base/str.h"
#include "cli/options.h"
#include "cli/verbs.h"
#include "proc/worker.h"

int verb_worker(int argc, char **argv)
{
    struct stat st;

    if (argc == 2 && (str_eq(argv[1], "--help") || str_eq(argv[1], "-h"))) {
        puts("usage: reportd worker\n\n"
             "Run one worker. reportd serve starts it; it is of no use by hand.");
        return EXIT_GOOD;
    }
    if (argc != 2 || !log_init_by_word(argv[1]) || fstat(WORKER_SOCKET, &st) < 0 ||
        !S_ISSOCK(st.st_mode))
        return options_wrong("worker", "it is started by reportd serve, not by hand");
    /* Signals may be meant for the server, and be sent to all processes of its name. */
    signals_ignore();
    signal(SIGHUP, SIG_IGN);
    return worker_main();
}
