/* src/cli/worker.c -- reportd worker: what serve starts; it speaks only over its socket. */
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/log.h"
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
    return worker_main();
}
