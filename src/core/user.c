/* src/core/user.c -- what a user may run, and from where. */
#include "core/user.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

void user_done(struct user *user)
{
    if (user == NULL)
        return;
    free(user->name);
    free(user->password_hash);
    free(user->allow);
    free(user->grants);
    *user = (struct user){0};
}

bool user_may_run(const struct user *user, const char *report)
{
    size_t len = strlen(report);
    const char *line = user->grants;

    while (line != NULL && *line != '\0') {
        size_t n = strcspn(line, "\n");

        if ((n == 1 && *line == '*') || (n == len && n > 0 && strncmp(line, report, n) == 0))
            return true;
        line += n + (line[n] == '\n');
    }
    return false;
}

bool user_is_locked(const struct user *user, int64_t now_ms)
{
    return user->locked_until_ms > now_ms;
}

struct address {
    unsigned char bytes[16]; /* IPv4 as ::ffff:a.b.c.d */
    int bits;                /* of the prefix, counted over all 128 */
};

/* Read an address with an optional /bits. */
static bool read_address(const char *text, struct address *ret)
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    char host[64];
    const char *slash = strchr(text, '/');
    size_t len = slash != NULL ? (size_t)(slash - text) : strlen(text);
    int64_t bits = 128;
    int64_t base = 0;

    if (len >= sizeof(host))
        return false;
    memcpy(host, text, len);
    host[len] = '\0';
    if (inet_pton(AF_INET, host, ret->bytes + 12) == 1) {
        memcpy(ret->bytes, mapped, sizeof(mapped));
        base = 96;
        bits = 32;
    } else if (inet_pton(AF_INET6, host, ret->bytes) != 1) {
        return false;
    }
    if (slash != NULL) {
        int64_t given;

        if (!str_to_int64(slash + 1, &given) || given < 0 || given > bits)
            return false;
        bits = given;
    }
    ret->bits = (int)(base + bits);
    return true;
}

static bool address_in(const struct address *address, const struct address *net)
{
    int whole = net->bits / 8, rest = net->bits % 8;

    if (memcmp(address->bytes, net->bytes, (size_t)whole) != 0)
        return false;
    return rest == 0 || ((address->bytes[whole] ^ net->bytes[whole]) >> (8 - rest)) == 0;
}

/* Walk the list; `address` NULL only checks that every entry can be read. */
static bool walk_allow(const char *allow, const struct address *address)
{
    bool all_read = true, inside = false;

    while (allow != NULL && *allow != '\0') {
        size_t n = strcspn(allow, " ");
        char entry[80];
        struct address net;

        if (n > 0) {
            bool read = n < sizeof(entry);

            if (read) {
                memcpy(entry, allow, n);
                entry[n] = '\0';
                read = read_address(entry, &net);
            }
            all_read = all_read && read;
            inside = inside || (read && address != NULL && address_in(address, &net));
        }
        allow += n + (allow[n] == ' ');
    }
    return address != NULL ? inside : all_read;
}

bool user_may_come_from(const struct user *user, const char *address)
{
    struct address from;

    if (user->allow == NULL || user->allow[strspn(user->allow, " ")] == '\0')
        return true;
    return read_address(address, &from) && walk_allow(user->allow, &from);
}

bool user_allow_is_valid(const char *allow)
{
    return walk_allow(allow, NULL);
}
