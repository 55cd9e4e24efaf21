/* src/store/store_rights.h -- the verbs of groups, users of identity providers and API keys; see
 * store.h, which includes this. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/guid.h"
#include "core/api_key.h"

/* A group: users whose identity provider says that they are in it (ENROL) have its grants, whether
 * the group was there before them or not. -E_EXISTS, -E_NOT_FOUND. What a change takes from members
 * ends their reports as USER_CHANGE does. */
struct store_group_change {
    const char *name; /* ISSUER:GROUP; case matters */
    enum { GROUP_ADD, GROUP_SET, GROUP_REMOVE } what;
    const char *grants;     /* NULL: as they were */
    const char *old_grants; /* if its grants are others than these, -E_NOT_FOUND; NULL: whatever */
    int operates;           /* as of USER_CHANGE */
    int64_t now_ms, retention_ms;
    const char *retentions;
    int64_t ended; /* out: how many reports */
};

struct store_group_list {
    struct store_group {
        char *name, *grants;
        bool is_operator;
        int64_t members; /* whose latest token says so */
    } * groups;          /* out, by name */
    size_t count;
};

/* A token of an identity provider is used for the first time. Its user is `subject` of `issuer`,
 * and is added unless there is one; its groups are those of the token that was issued last, and
 * what they take from it ends its reports as USER_CHANGE does. The token is a session from then on,
 * which STORE_SESSION finds; not if its user is disabled. */
struct store_enrol {
    const char *issuer, *subject;
    const char *name, *other_name; /* of a new user: the other one if the first is taken */
    const char *groups;            /* lines of ISSUER:GROUP */
    int64_t issued_s;              /* of the token; 0, unknown: before all others */
    struct guid session;
    int64_t now_ms, expires_ms;
    int64_t retention_ms; /* of reports that end, as of USER_CHANGE */
    const char *retentions;
    const char *address;    /* as of LOGIN */
    const char *created;    /* out: the name of the user that was added; NULL: none was */
    bool regrouped, opened; /* out: its groups are others now; the session is there */
};

/* A new API key of a user. -E_NOT_FOUND: there is no such user; -E_EXISTS: the name is taken. */
struct store_api_key_add {
    const char *name, *user;
    struct guid id;
    uint8_t hash[API_KEY_HASH_BYTES];
    const char *grants, *allow; /* like those of a user; grants "": all those of the user */
    bool is_operator;           /* if the user is an operator */
    int64_t now_ms, expires_ms; /* 0: never */
};

/* -E_NOT_FOUND: there is no such key. Everything that was opened with it ends. */
struct store_api_key_remove {
    const char *name;
};

/* Make it valid again: see SESSIONS_END. -E_NOT_FOUND. */
struct store_api_key_enable {
    const char *name;
};

/* Record its last use. */
struct store_api_key_used {
    struct guid id;
    int64_t now_ms;
};

/* The API keys, by name. */
struct store_api_key {
    char *name, *user, *grants, *allow;
    bool is_operator, suspended, disabled;   /* `disabled`: its user is disabled */
    int64_t created_ms, expires_ms, used_ms; /* 0: never */
};
struct store_api_key_list {
    const char *user;           /* NULL: of all users */
    struct store_api_key *keys; /* out */
    size_t count;
};
