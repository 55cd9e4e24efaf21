/* src/core/user.c -- what a user may run, and from where. */
#include "core/user.h"

#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "base/str.h"

static void key_free(struct user_key *key)
{
    if (key == NULL)
        return;
    free(key->name);
    free(key->allow);
    free(key->grants);
    free(key);
}

bool user_set_key(struct user *user, char *name, char *allow, char *grants)
{
    const struct user_key given = {name, allow, grants};
    struct user_key *key = malloc(sizeof(*key));

    if (key != NULL)
        *key = given;
    if (key == NULL || name == NULL || allow == NULL || grants == NULL) {
        free(name);
        free(allow);
        free(grants);
        free(key);
        return false;
    }
    user->key = key;
    return true;
}

static void identity_done(const struct user_identity *identity)
{
    free(identity->issuer);
    free(identity->subject);
    free(identity->groups);
    free(identity->grants);
}

void user_set_identity(struct user *user, const struct user_identity *identity)
{
    user->identity = malloc(sizeof(*user->identity));
    if (user->identity != NULL)
        *user->identity = *identity;
    else
        identity_done(identity);
}

void user_done(struct user *user)
{
    if (user == NULL)
        return;
    free(user->name);
    free(user->password_hash);
    free(user->allow);
    free(user->grants);
    key_free(user->key);
    if (user->identity != NULL)
        identity_done(user->identity);
    free(user->identity);
    *user = (struct user){0};
}

static bool has_grant(const char *grants, const char *report)
{
    return str_has_line(grants, "*") || str_has_line(grants, report);
}

bool user_may_run(const struct user *user, const char *report)
{
    const struct user_key *key = user->key;
    const struct user_identity *identity = user->identity;

    return !user->disabled &&
           (has_grant(user->grants, report) ||
            (identity != NULL && has_grant(identity->grants, report))) &&
           (key == NULL || key->grants[0] == '\0' || has_grant(key->grants, report));
}

bool user_is_locked(const struct user *user, int64_t now_ms)
{
    return user->locked_until_ms > now_ms;
}

static bool allows(const char *allow, const struct address *address)
{
    return allow == NULL || allow[strspn(allow, " ")] == '\0' || network_list_has(allow, address);
}

bool user_may_come_from(const struct user *user, const struct address *address)
{
    return allows(user->allow, address) && (user->key == NULL || allows(user->key->allow, address));
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
