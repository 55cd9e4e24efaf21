/* src/core/user.c -- what a user may run, and from where. */
#include "core/user.h"

#include <arpa/inet.h>
#include <stdio.h>
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

enum { ADDRESS_BITS = 128, IPV4_BITS = 32, IPV4_AT = ADDRESS_BITS - IPV4_BITS };
enum { ADDRESS_BYTES = ADDRESS_BITS / 8, IPV4_BYTE = IPV4_AT / 8 };

static const unsigned char mapped[IPV4_BYTE] = {[10] = 0xff, [11] = 0xff};

struct address {
    unsigned char bytes[ADDRESS_BYTES]; /* IPv4 as ::ffff:a.b.c.d */
    int bits;                           /* of the prefix, counted over all 128 */
};

static bool is_ipv4(const struct address *address)
{
    return memcmp(address->bytes, mapped, sizeof(mapped)) == 0;
}

/* Read an address with an optional /bits. */
static bool read_address(const char *text, struct address *ret)
{
    char host[INET6_ADDRSTRLEN];
    const char *slash = strchr(text, '/');
    size_t len = slash != NULL ? (size_t)(slash - text) : strlen(text);
    int64_t bits = ADDRESS_BITS;
    int64_t base = 0;

    if (len >= sizeof(host))
        return false;
    memcpy(host, text, len);
    host[len] = '\0';
    if (inet_pton(AF_INET, host, ret->bytes + IPV4_BYTE) == 1) {
        memcpy(ret->bytes, mapped, sizeof(mapped));
        base = IPV4_AT;
        bits = IPV4_BITS;
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

    if (net->bits < IPV4_AT && is_ipv4(address))
        return false;
    if (memcmp(address->bytes, net->bytes, (size_t)whole) != 0)
        return false;
    return rest == 0 || ((address->bytes[whole] ^ net->bytes[whole]) >> (8 - rest)) == 0;
}

bool user_may_come_from(const struct user *user, const char *address)
{
    const char *allow = user->allow;
    struct address from, net;
    char entry[USER_NETWORK_TEXT];
    bool inside = false;

    if (allow == NULL || allow[strspn(allow, " ")] == '\0')
        return true;
    if (!read_address(address, &from))
        return false;
    while (*allow != '\0' && !inside) {
        size_t n = strcspn(allow, " ");

        if (n < sizeof(entry)) {
            memcpy(entry, allow, n);
            entry[n] = '\0';
            inside = read_address(entry, &net) && address_in(&from, &net);
        }
        allow += n + (allow[n] == ' ');
    }
    return inside;
}

/* Without what lies beyond the prefix; false: nothing did. */
static bool clear_host_bits(struct address *address)
{
    bool cleared = false;

    for (int bit = address->bits; bit < ADDRESS_BITS; bit++) {
        unsigned char mask = (unsigned char)(0x80 >> bit % 8);

        cleared = cleared || (address->bytes[bit / 8] & mask) != 0;
        address->bytes[bit / 8] &= (unsigned char)~mask;
    }
    return cleared;
}

enum user_allow user_allow_check(const char *entry, char network[USER_NETWORK_TEXT])
{
    char host[INET6_ADDRSTRLEN];
    struct address net;
    bool v4;

    if (!read_address(entry, &net))
        return USER_ALLOW_NONE;
    if (!clear_host_bits(&net))
        return USER_ALLOW_GOOD;
    v4 = net.bits >= IPV4_AT && is_ipv4(&net);
    inet_ntop(v4 ? AF_INET : AF_INET6, net.bytes + (v4 ? IPV4_BYTE : 0), host, sizeof(host));
    snprintf(network, USER_NETWORK_TEXT, "%s/%d", host, net.bits - (v4 ? IPV4_AT : 0));
    return USER_ALLOW_HOST_BITS;
}
