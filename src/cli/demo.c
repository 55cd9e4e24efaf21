/* src/cli/demo.c -- `reportd demo`: runs reportd-demo, which is in the same folder as reportd. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/verbs.h"

int verb_demo(int argc, char **argv)
{
    static const char name[] = "/reportd-demo";
    char path[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - sizeof(name));

    (void)argc;
    if (len < 0) {
        fprintf(stderr, "reportd demo: cannot find where reportd is: %s\n", strerror(errno));
        return EXIT_FAILED;
    }
    path[len] = '\0';
    memcpy(strrchr(path, '/'), name, sizeof(name));
    execv(path, argv);
    fprintf(stderr, "reportd demo: cannot run %s: %s\n", path, strerror(errno));
    return EXIT_FAILED;
}
