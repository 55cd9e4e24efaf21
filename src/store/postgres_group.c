/* src/store/postgres_group.c -- groups, and users of identity providers, in PostgreSQL. */
#include "store/postgres_impl.h"

/* ---- groups ---- */

static bool ends_reports_of_members(const struct store_group_change *arg)
{
    return arg->what == GROUP_REMOVE || (arg->what == GROUP_SET && arg->grants != NULL);
}

/* Batches that submit are over, or have not begun: none is checked against what the group gave
 * before, unless its reports are among those that end here. A lock of each member would be too
 * many. */
void postgres_send_group_change(struct postgres_conn *c, struct store_group_change *arg)
{
    if (ends_reports_of_members(arg))
        call_run(c, PG_KEYS_HOLD_ALONE);
    if (arg->what == GROUP_ADD)
        call_run(c, PG_GROUP_ADD, value_text(arg->name),
                 value_text(arg->grants != NULL ? arg->grants : ""), value_bool(arg->operates > 0));
    else if (arg->what == GROUP_REMOVE)
        call_run(c, PG_GROUP_REMOVE, value_text(arg->name));
    else
        call_run(c, PG_GROUP_SET, value_text(arg->name), value_text(arg->grants),
                 arg->operates == 0 ? value_null() : value_bool(arg->operates > 0),
                 value_text(arg->old_grants));
    if (ends_reports_of_members(arg))
        call_run(c, PG_GROUP_REVOKE, value_text(arg->name), value_int(arg->now_ms),
                 value_int(arg->retention_ms), value_text(arg->retentions));
}

int postgres_read_group_change(struct postgres_conn *c, struct store_group_change *arg)
{
    bool done;

    if (ends_reports_of_members(arg) && !results_take(c))
        return -E_STORE;
    done = results_changed(c) > 0;
    arg->ended = 0;
    if (ends_reports_of_members(arg) && postgres_read_revoked(c, &arg->ended) < 0)
        return -E_STORE;
    if (done)
        return 0;
    return arg->what == GROUP_ADD
               ? err_set(&c->err, -E_EXISTS, "There is a group '%s' already.", arg->name)
               : err_set(&c->err, -E_NOT_FOUND, "There is no group '%s'.", arg->name);
}

POSTGRES_SENDS(group_list, PG_GROUP_LIST)

int postgres_read_group_list(struct postgres_conn *c, struct store_group_list *arg)
{
    arg->count = 0;
    arg->groups = results_array(c, sizeof(*arg->groups));
    if (arg->groups == NULL)
        return -E_STORE;
    while (results_next(c))
        arg->groups[arg->count++] = (struct store_group){.name = get_text(c, 0),
                                                         .grants = get_text(c, 1),
                                                         .is_operator = get_bool(c, 2),
                                                         .members = get_int(c, 3)};
    return 0;
}

/* ---- users of identity providers ---- */

/* Each statement sees what other nodes have committed by then. */
void postgres_send_enrol(struct postgres_conn *c, struct store_enrol *arg)
{
    static const uint8_t of_no_token[STORE_HASH_BYTES];
    const char *const names[] = {arg->name, arg->other_name};

    for (int i = 0; i < 2; i++)
        call_run(c, PG_ENROL_ADD, value_text(arg->issuer), value_text(arg->subject),
                 value_text(names[i]));
    call_run(c, PG_ENROL_GROUPS, value_text(arg->issuer), value_text(arg->subject),
             value_text(arg->groups), value_int(arg->issued_s));
    call_run(c, PG_ENROL_REVOKE, value_text(arg->issuer), value_int(arg->now_ms),
             value_int(arg->retention_ms), value_text(arg->retentions), value_text(arg->subject));
    call_run(c, PG_ENROL_SESSION, value_text(arg->issuer), value_text(arg->subject),
             value_guid(&arg->session), value_int(arg->now_ms), value_int(arg->expires_ms),
             value_text(arg->address != NULL ? arg->address : ""),
             value_blob(of_no_token, sizeof(of_no_token)));
}

int postgres_read_enrol(struct postgres_conn *c, struct store_enrol *arg)
{
    int64_t ended;

    arg->created = results_changed(c) > 0 ? arg->name : NULL;
    if (!results_take(c))
        return -E_STORE;
    if (results_changed(c) > 0)
        arg->created = arg->other_name;
    if (!results_take(c))
        return -E_STORE;
    arg->regrouped = results_changed(c) > 0;
    if (postgres_read_revoked(c, &ended) < 0 || !results_take(c))
        return -E_STORE;
    arg->opened = results_next(c) && get_bool(c, 0);
    return 0;
}
