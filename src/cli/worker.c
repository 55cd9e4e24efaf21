/* src/cli/worker.c -- reportd worker: what serve starts; it speaks only over its socket. */
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/signals.h"
#include "cli/verbs.h"
#include "proc/worker.h"

int verb_worker(int argc, char **argv)
{
    struct stat st;

    if (argc != 2 || !log_init_by_word(argv[1]) || fstat(WORKER_SOCKET, &st) < 0 ||
        !S_ISSOCK(st.st_mode)) {
        fprintf(stderr, "reportd worker is started by reportd serve, not by hand\n");
        return EXIT_USAGE;
    }
    /* They may be meant for the server, and be sent to all that has its name. */
    signals_ignore();
    signal(SIGHUP, SIG_IGN);
    return worker_main();
}
