/* src/proc/backup_ledgers.c -- have the deletion ledgers at hand every deletion since a backup? */
#include <stdlib.h>

#include "base/clock.h"
#include "base/str.h"
#include "proc/backup.h"
#include "proc/recovery.h"

void backup_state_done(struct backup_state *state)
{
    if (state == NULL)
        return;
    free(state->ledgers);
    *state = (struct backup_state){0};
}

/* A store that no server has opened since its schema was brought up to date knows of no ledger. */
int backup_state_of(struct store *store, int64_t made_ms, struct backup_state *ret, struct err *err)
{
    struct store_op op = {.verb = STORE_LEDGERS};
    int rc = recovery_identity(store, &ret->store, err);

    if (rc < 0)
        return rc;
    if (store_ask(store, &op, err) < 0)
        return err->code;
    ret->ledgers = op.ledgers.items;
    ret->count = 0;
    for (size_t i = 0; i < op.ledgers.count; i++) {
        int64_t given_up_ms = ret->ledgers[i].given_up_ms;

        if (given_up_ms == 0 || (made_ms != 0 && given_up_ms >= made_ms))
            ret->ledgers[ret->count++] = ret->ledgers[i];
    }
    ret->known = op.ledgers.count > 0;
    ret->named = ret->known; /* perhaps its id was made by this very upgrade */
    return 0;
}

static const struct ledger_copy *find(const struct ledgers *ledgers, const struct guid *id)
{
    for (size_t i = 0; i < ledgers->count; i++) {
        struct guid found = ledger_copy_id(ledgers->items[i]);

        if (guid_eq(&found, id))
            return ledgers->items[i];
    }
    return NULL;
}

/* Its records are numbered: those from `wanted->records` on are of later deletions. */
static int check_one(const struct ledgers *ledgers, const struct store_ledger *wanted,
                     struct err *err)
{
    const struct ledger_copy *copy = find(ledgers, &wanted->id);
    char since[CLOCK_TEXT];

    if (copy == NULL)
        return err_set(err, -E_LEDGER,
                       "the deletion ledger that was '%s' is not among those at hand, and what it "
                       "knows as deleted would come back: name it with --ledger, or accept that "
                       "with --resurrect",
                       wanted->place);
    if (ledger_copy_records(copy) < wanted->records)
        return err_set(err, -E_LEDGER,
                       "the deletion ledger that was '%s' has lost its end: it has %lld records "
                       "and had at least %lld; what was deleted since would come back; accept "
                       "that with --resurrect",
                       wanted->place, (long long)ledger_copy_records(copy),
                       (long long)wanted->records);
    if (ledger_copy_first(copy) <= wanted->records)
        return 0;
    clock_format(ledger_copy_since_ms(copy), since);
    return err_set(err, -E_LEDGER,
                   "the deletion ledger that was '%s' only knows what was deleted since %s: what "
                   "was deleted between the backup and then would come back; accept that with "
                   "--resurrect",
                   wanted->place, since);
}

/* Of a backup that does not say which ledgers it needs: it needs all, and from then on. If one was
 * begun since, another was given up, and whether there were more in between nothing tells. */
static int check_times(const struct ledgers *ledgers, int64_t made_ms, struct err *err)
{
    char made[CLOCK_TEXT], since[CLOCK_TEXT];

    for (size_t i = 0; i < ledgers->count && made_ms != 0; i++) {
        int64_t since_ms = ledger_copy_since_ms(ledgers->items[i]);

        if (since_ms <= made_ms)
            continue;
        clock_format(made_ms, made);
        clock_format(since_ms, since);
        return err_set(err, -E_LEDGER,
                       "the backup is of %s and does not say which deletion ledgers it needs, and "
                       "'%s' only knows what was deleted since %s. Name each ledger that the store "
                       "has had since the backup, and accept with --resurrect that what none of "
                       "them knows comes back: what they know stays deleted",
                       made, ledger_copy_path(ledgers->items[i]), since);
    }
    return 0;
}

int ledgers_check(const struct ledgers *ledgers, const struct backup_state *state, struct err *err)
{
    int rc = 0;

    for (size_t i = 0; i < ledgers->count && state->named; i++) {
        if (!ledger_copy_is_of(ledgers->items[i], &state->store))
            return err_set(err, -E_LEDGER,
                           "a deletion ledger is of another store than the backup: name the one "
                           "of this store with --ledger, or go on without with --resurrect");
    }
    if (!state->known)
        return check_times(ledgers, state->made_ms, err);
    for (size_t i = 0; i < state->count && rc == 0; i++)
        rc = check_one(ledgers, &state->ledgers[i], err);
    return rc;
}

bool ledgers_store(const struct ledgers *ledgers, struct guid *ret)
{
    for (size_t i = 0; i < ledgers->count; i++) {
        if (ledger_copy_store(ledgers->items[i], ret))
            return true;
    }
    return false;
}

bool ledgers_lack(const struct ledgers *ledgers, const struct ledger_copy *copy)
{
    struct guid id = ledger_copy_id(copy), store, other;

    return find(ledgers, &id) == NULL && ledgers_store(ledgers, &store) &&
           ledger_copy_store(copy, &other) && guid_eq(&store, &other);
}

static int note_ledger(struct store *store, const struct store_ledger *ledger, struct err *err)
{
    struct store_op op = {.verb = STORE_LEDGER_NOTE, .ledger_note = {ledger, 0}};

    return store_ask(store, &op, err);
}

static int note_copy(struct store *store, const struct store_ledgers *known,
                     const struct ledger_copy *copy, struct err *err)
{
    struct store_ledger ledger = {.id = ledger_copy_id(copy), .records = ledger_copy_records(copy)};

    str_copy(ledger.place, sizeof(ledger.place), ledger_copy_path(copy));
    for (size_t i = 0; i < known->count; i++) {
        if (guid_eq(&known->items[i].id, &ledger.id))
            str_copy(ledger.place, sizeof(ledger.place), known->items[i].place);
    }
    return note_ledger(store, &ledger, err);
}

/* Those that are not at hand are given up; no number of records falls. */
static int note_known(const struct ledgers *ledgers, struct store *store,
                      const struct store_ledger *known, size_t count, struct err *err)
{
    int rc = 0;

    for (size_t i = 0; i < count && rc == 0; i++) {
        struct store_ledger ledger = known[i];

        if (find(ledgers, &ledger.id) != NULL)
            ledger.given_up_ms = 0;
        else if (ledger.given_up_ms == 0)
            ledger.given_up_ms = store_now_ms(store);
        rc = note_ledger(store, &ledger, err);
    }
    return rc;
}

static int note_all(const struct ledgers *ledgers, struct store *store,
                    const struct store_ledgers *known, struct err *err)
{
    struct guid id;
    int rc = recovery_identity(store, &id, err);

    for (size_t i = 0; i < ledgers->count && rc == 0; i++) {
        if (ledger_copy_is_of(ledgers->items[i], &id))
            rc = note_copy(store, known, ledgers->items[i], err);
    }
    return rc < 0 ? rc : note_known(ledgers, store, known->items, known->count, err);
}

int ledgers_note(const struct ledgers *ledgers, const struct backup_state *kept,
                 struct store *store, struct err *err)
{
    struct store_op op = {.verb = STORE_LEDGERS};
    int rc = store_ask(store, &op, err);

    if (rc >= 0)
        rc = note_all(ledgers, store, &op.ledgers, err);
    store_op_done(&op);
    if (rc == 0 && kept != NULL)
        rc = note_known(ledgers, store, kept->ledgers, kept->count, err);
    return rc;
}
