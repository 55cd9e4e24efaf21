/* src/core/user.c -- what a user may run, and from where. */
#include "core/user.h"

#include <stdlib.h>
#include <string.h>

#include "base/address.h"
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
    return !user->disabled &&
           (str_has_line(user->grants, "*") || str_has_line(user->grants, report));
}

bool user_is_locked(const struct user *user, int64_t now_ms)
{
    return user->locked_until_ms > now_ms;
}

bool user_may_come_from(const struct user *user, const char *address)
{
    const char *allow = user->allow;
    struct address from;

    if (allow == NULL || allow[strspn(allow, " ")] == '\0')
        return true;
    return address_read(address, &from) && network_list_has(allow, &from);
}

enum user_allow user_allow_check(const char *entry, char network[USER_NETWORK_TEXT])
{
    struct network block;

    if (!network_read(entry, &block))
        return USER_ALLOW_NONE;
    if (!network_clear_host_bits(&block))
        return USER_ALLOW_GOOD;
    network_format(&block, network);
    return USER_ALLOW_HOST_BITS;
}
