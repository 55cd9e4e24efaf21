/* tests/fuzz/framing.c -- a head that is accepted can be read in one way only. The input is a
 * target, a newline, and header lines `name:value`. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/check.h"
#include "http/framing.h"

static void check_target(const char *text, const struct target *target)
{
    CHECK(target->len == strlen(text));
    if (target->fault != NULL)
        return;
    CHECK(target->path <= target->len && target->host + target->host_len <= target->len);
    CHECK(*text == '/' || target->asterisk || target->host_len > 0);
    CHECK(target->host == 0 || memchr(text + target->host, '@', target->host_len) == NULL);
    CHECK(strstr(text, "%00") == NULL && strpbrk(text, " \t\r\n#") == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = strndup((const char *)data, size), *rest = text, *line;
    struct head head = {.method = "GET"};
    struct target target;
    struct err err;
    int hosts = 0, lengths = 0, codings = 0;

    if (text == NULL)
        return 0;
    target_read(line = strsep(&rest, "\n"), &target);
    check_target(line, &target);
    while ((line = strsep(&rest, "\n")) != NULL) {
        char *value = strchr(line, ':');

        if (value == NULL)
            continue;
        *value++ = '\0';
        value += strspn(value, " \t");
        head_add(&head, line, value);
        hosts += strcasecmp(line, "Host") == 0;
        lengths += strcasecmp(line, "Content-Length") == 0;
        codings += strcasecmp(line, "Transfer-Encoding") == 0;
    }
    if (head_check(&head, &target, &err) == 0)
        CHECK(target.fault == NULL && hosts == 1 && lengths <= 1 && codings <= 1 &&
              lengths + codings <= 1);
    else
        CHECK(err.code < 0 && err.text[0] != '\0');
    free(text);
    return 0;
}
