/* src/cli/key_list.c -- the API keys, as a table for people or as JSON. */
#include "cli/key_list.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/wrap.h"
#include "cli/user_list.h"

static const char *key_state(const struct store_api_key *key, int64_t now_ms)
{
    if (key->expires_ms != 0 && key->expires_ms <= now_ms)
        return "expired";
    if (key->suspended)
        return "suspended";
    return key->disabled ? "disabled" : "enabled";
}

static void print_time(int64_t ms)
{
    char text[CLOCK_TEXT] = "never";

    if (ms != 0)
        clock_format(ms, text);
    printf("%-20s  ", text);
}

static int widest_user(const struct store_api_key_list *list)
{
    int width = (int)strlen("USER");

    for (size_t i = 0; i < list->count; i++) {
        int user = wrap_width(list->keys[i].user, strlen(list->keys[i].user));

        width = user > width ? user : width;
    }
    return width;
}

static void print_key_table(const struct store_api_key_list *list, int64_t now_ms)
{
    int names = (int)strlen("NAME"), users = widest_user(list);

    for (size_t i = 0; i < list->count; i++)
        names = (int)strlen(list->keys[i].name) > names ? (int)strlen(list->keys[i].name) : names;
    printf("%-*s  %-*s  ROLE      STATE      EXPIRES               LAST USED             "
           "FROM                REPORTS\n",
           names, "NAME", users, "USER");
    for (size_t i = 0; i < list->count; i++) {
        const struct store_api_key *key = &list->keys[i];
        int pad = users - wrap_width(key->user, strlen(key->user));

        printf("%-*s  %s%*s  %-8s  %-9s  ", names, key->name, key->user, pad, "",
               key->is_operator ? "operator" : "user", key_state(key, now_ms));
        print_time(key->expires_ms);
        print_time(key->used_ms);
        printf("%-18s  ", key->allow[0] != '\0' ? key->allow : "anywhere");
        user_list_print_entries(key->grants, '\n', "as the user");
        putchar('\n');
    }
}

static void add_listed_key(struct buf *b, const struct store_api_key *key, int64_t now_ms)
{
    buf_add_char(b, '{');
    json_add_member(b, "name", key->name);
    json_add_member(b, "user", key->user);
    json_add_bool(b, "operator", key->is_operator);
    json_add_member(b, "state", key_state(key, now_ms));
    json_add_time(b, "createdAt", key->created_ms);
    json_add_time(b, "expiresAt", key->expires_ms);
    json_add_time(b, "lastUsedAt", key->used_ms);
    user_list_add_entries(b, "allow", key->allow, ' ');
    user_list_add_entries(b, "grants", key->grants, '\n');
    buf_add_char(b, '}');
}

static int print_keys_json(const struct store_api_key_list *list, int64_t now_ms, struct err *err)
{
    struct buf b;

    buf_init(&b, INT_MAX);
    buf_add_char(&b, '[');
    for (size_t i = 0; i < list->count; i++) {
        buf_add_str(&b, i > 0 ? ",\n" : "");
        add_listed_key(&b, &list->keys[i], now_ms);
    }
    return user_list_print_json(&b, err);
}

int key_list_print(const struct store_api_key_list *list, bool json, int64_t now_ms,
                   struct err *err)
{
    int rc = 0;

    if (json)
        rc = print_keys_json(list, now_ms, err);
    else
        print_key_table(list, now_ms);
    return rc ?: user_list_flush(err);
}
