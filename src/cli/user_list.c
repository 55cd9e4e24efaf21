/* src/cli/user_list.c -- the users, as a table for people or as JSON. */
#include "cli/user_list.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/wrap.h"

void user_list_print_entries(const char *list, char between, const char *if_none)
{
    fputs(*list == '\0' ? if_none : "", stdout);
    for (; *list != '\0'; list++) {
        if (*list == between)
            fputs(", ", stdout);
        else
            putchar(*list);
    }
}

static const char *state_name(const struct user *user, int64_t now_ms)
{
    if (user->disabled)
        return user->removed ? "removing" : "disabled";
    return user_is_locked(user, now_ms) ? "locked" : "enabled";
}

static void print_table(const struct user *users, size_t count, int64_t now_ms)
{
    int width = (int)strlen("NAME");

    for (size_t i = 0; i < count; i++) {
        int name = wrap_width(users[i].name, strlen(users[i].name));

        width = name > width ? name : width;
    }
    printf("%-*s  ROLE      STATE     FROM                REPORTS\n", width, "NAME");
    for (size_t i = 0; i < count; i++) {
        const struct user *user = &users[i];
        int pad = width - wrap_width(user->name, strlen(user->name));

        printf("%s%*s  %-8s  %-8s  ", user->name, pad, "", user->is_operator ? "operator" : "user",
               state_name(user, now_ms));
        printf("%-18s  ", user->allow[0] != '\0' ? user->allow : "anywhere");
        user_list_print_entries(user->grants, '\n', "none");
        putchar('\n');
    }
}

void user_list_add_entries(struct buf *b, const char *key, const char *list, char between)
{
    json_add_key(b, key);
    buf_add_char(b, '[');
    while (*list != '\0') {
        size_t n = strcspn(list, (char[]){between, '\0'});

        if (buf_str(b)[b->len - 1] != '[')
            buf_add_char(b, ',');
        json_add_text(b, list, n);
        list += n + (list[n] == between);
    }
    buf_add_char(b, ']');
}

static void add_limit(struct buf *b, const char *key, int limit)
{
    json_add_key(b, key);
    if (limit == 0)
        buf_add_str(b, "null"); /* that of the configuration */
    else
        buf_add_format(b, "%d", limit);
}

static void add_user(struct buf *b, const struct user *user, int64_t now_ms)
{
    const struct user_identity *identity = user->identity;
    char until[CLOCK_TEXT];
    bool locked = user_is_locked(user, now_ms);

    clock_format(user->locked_until_ms, until);
    buf_add_char(b, '{');
    json_add_member(b, "name", user->name);
    json_add_bool(b, "operator", user->is_operator);
    add_limit(b, "activeLimit", user->active_limit);
    add_limit(b, "runningLimit", user->running_limit);
    json_add_bool(b, "disabled", user->disabled);
    json_add_member(b, "lockedUntil", locked ? until : NULL);
    user_list_add_entries(b, "allow", user->allow, ' ');
    user_list_add_entries(b, "grants", user->grants, '\n');
    json_add_member(b, "issuer", identity != NULL ? identity->issuer : NULL);
    json_add_member(b, "subject", identity != NULL ? identity->subject : NULL);
    user_list_add_entries(b, "groups", identity != NULL ? identity->groups : "", '\n');
    buf_add_char(b, '}');
}

int user_list_print_json(struct buf *b, struct err *err)
{
    int rc = 0;

    buf_add_str(b, "]\n");
    if (buf_failed(b))
        rc = err_no_memory(err);
    else
        fputs(buf_str(b), stdout);
    buf_done(b);
    return rc;
}

int user_list_flush(struct err *err)
{
    return fflush(stdout) != 0 ? err_errno(err, -E_IO, "cannot write the list") : 0;
}

static int print_users_json(const struct user *users, size_t count, int64_t now_ms, struct err *err)
{
    struct buf b;

    buf_init(&b, INT_MAX);
    buf_add_char(&b, '[');
    for (size_t i = 0; i < count; i++) {
        buf_add_str(&b, i > 0 ? ",\n" : "");
        add_user(&b, &users[i], now_ms);
    }
    return user_list_print_json(&b, err);
}

int user_list_print(const struct user *users, size_t count, bool json, int64_t now_ms,
                    struct err *err)
{
    int rc = 0;

    if (json)
        rc = print_users_json(users, count, now_ms, err);
    else
        print_table(users, count, now_ms);
    return rc ?: user_list_flush(err);
}
