/* tests/fuzz/config.c -- whatever a configuration says, it is read or refused with a reason, and so
 * is the next one: libconfuse has one scanner per process. */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "core/config.h"

static char path[] = "/dev/shm/reportd-fuzz-XXXXXX";

static void remove_file(void)
{
    unlink(path);
}

static void write_file(const void *data, size_t size)
{
    static int fd = -1;

    if (fd < 0) {
        fd = mkstemp(path);
        atexit(remove_file);
    }
    CHECK(ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char good[] = "workers = 3\nsource s { url = \"sqlite:s.db\" }\n";
    struct config *config = NULL;
    struct err err = {0};

    write_file(data, size);
    if (config_load(path, &config, &err) < 0)
        CHECK(config == NULL && err.code < 0 && err.text[0] != '\0');
    config_free(config);
    config = NULL;
    write_file(good, sizeof(good) - 1);
    CHECK(config_load(path, &config, &err) == 0 && config->workers.number == 3 &&
          config->source_count == 1);
    config_free(config);
    return 0;
}
