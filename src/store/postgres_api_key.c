/* src/store/postgres_api_key.c -- API keys in PostgreSQL. */
#include "store/postgres_impl.h"

void postgres_send_api_key_add(struct postgres_conn *c, struct store_api_key_add *arg)
{
    call_run(c, PG_API_KEY_ADD, value_guid(&arg->id), value_text(arg->user), value_text(arg->name),
             value_blob(arg->hash, API_KEY_HASH_BYTES), value_text(arg->grants),
             value_text(arg->allow), value_bool(arg->is_operator), value_int(arg->now_ms),
             value_int(arg->expires_ms));
}

int postgres_read_api_key_add(struct postgres_conn *c, struct store_api_key_add *arg)
{
    if (!results_next(c) || !get_bool(c, 0))
        return err_set(&c->err, -E_NOT_FOUND, "There is no user '%s'.", arg->user);
    return get_bool(c, 1) ? 0
                          : err_set(&c->err, -E_EXISTS, "There is a key '%s' already.", arg->name);
}

static int no_such_key(struct postgres_conn *c, const char *name)
{
    return err_set(&c->err, -E_NOT_FOUND, "There is no key '%s'.", name);
}

void postgres_send_api_key_remove(struct postgres_conn *c, struct store_api_key_remove *arg)
{
    call_run(c, PG_API_KEY_REMOVE, value_text(arg->name));
}

int postgres_read_api_key_remove(struct postgres_conn *c, struct store_api_key_remove *arg)
{
    if (!results_next(c))
        return no_such_key(c, arg->name);
    store_sessions_ended(&c->base, get_int(c, 0));
    return 0;
}

void postgres_send_api_key_enable(struct postgres_conn *c, struct store_api_key_enable *arg)
{
    call_run(c, PG_API_KEY_ENABLE, value_text(arg->name));
}

int postgres_read_api_key_enable(struct postgres_conn *c, struct store_api_key_enable *arg)
{
    return results_changed(c) > 0 ? 0 : no_such_key(c, arg->name);
}

void postgres_send_api_key_used(struct postgres_conn *c, struct store_api_key_used *arg)
{
    call_run(c, PG_API_KEY_USED, value_guid(&arg->id), value_int(arg->now_ms));
}

POSTGRES_READS_NOTHING(api_key_used)

void postgres_send_api_key_list(struct postgres_conn *c, struct store_api_key_list *arg)
{
    call_run(c, PG_API_KEY_LIST, value_text(arg->user));
}

int postgres_read_api_key_list(struct postgres_conn *c, struct store_api_key_list *arg)
{
    arg->count = 0;
    arg->keys = results_array(c, sizeof(*arg->keys));
    if (arg->keys == NULL)
        return -E_STORE;
    while (results_next(c))
        arg->keys[arg->count++] = (struct store_api_key){.name = get_text(c, 0),
                                                         .user = get_text(c, 1),
                                                         .grants = get_text(c, 2),
                                                         .allow = get_text(c, 3),
                                                         .is_operator = get_bool(c, 4),
                                                         .suspended = get_bool(c, 5),
                                                         .disabled = get_bool(c, 6),
                                                         .created_ms = get_int(c, 7),
                                                         .expires_ms = get_int(c, 8),
                                                         .used_ms = get_int(c, 9)};
    return 0;
}
