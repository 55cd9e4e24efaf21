/* tests/fuzz/replay.c -- a main for a fuzz target: runs every file of the folders in argv. */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

enum { INPUT_MAX = 4 << 20 };

static int run_file(const char *folder, const char *name, uint8_t *data)
{
    char path[4096];
    FILE *in;
    size_t len;

    if (snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int)sizeof(path))
        return -1;
    in = fopen(path, "rb");
    if (in == NULL) {
        perror(path);
        return -1;
    }
    len = fread(data, 1, INPUT_MAX, in);
    fclose(in);
    LLVMFuzzerTestOneInput(data, len);
    return 1;
}

/* The number of files that ran; -1: one could not be read. */
static int run_folder(const char *folder, uint8_t *data)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    int count = 0, rc = 0;

    if (dir == NULL) {
        perror(folder);
        return -1;
    }
    while (rc >= 0 && (entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        rc = run_file(folder, entry->d_name, data);
        count++;
    }
    closedir(dir);
    return rc < 0 ? -1 : count;
}

int main(int argc, char **argv)
{
    uint8_t *data = malloc(INPUT_MAX);
    int status = data != NULL && argc > 1 ? 0 : 1;

    for (int i = 1; i < argc && status == 0; i++) {
        int count = run_folder(argv[i], data);

        printf("%s: %d inputs\n", argv[i], count);
        status = count > 0 ? 0 : 1; /* an empty folder tests nothing */
    }
    free(data);
    return status;
}
