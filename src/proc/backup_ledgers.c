/* src/proc/backup_ledgers.c -- have the deletion ledgers at hand every deletion since a backup? */
#include <stdlib.h>

#include "base/clock.h"
#include "proc/backup_impl.h"
#include "proc/recovery.h"

void backup_state_done(struct backup_state *state)
{
    if (state == NULL)
        return;
    free(state->ledgers);
    *state = (struct backup_state){0};
}

/* A store that no server has opened since its schema was brought up to date knows of no ledger. */
int backup_state_of(struct store *store, struct backup_state *ret, struct err *err)
{
    struct store_op op = {.verb = STORE_LEDGERS};
    int rc = recovery_identity(store, &ret->store, err);

    if (rc < 0)
        return rc;
    if (store_run(store, &op) < 0) {
        *err = op.err;
        return err->code;
    }
    ret->ledgers = op.ledgers.items;
    ret->count = op.ledgers.count;
    ret->known = ret->count > 0;
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

/* Of a backup that does not say which ledgers it needs: it needs all, and from then on. */
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
                       "the backup is of %s, but a deletion ledger only knows what was deleted "
                       "since %s: what was deleted before then would come back; accept that with "
                       "--resurrect",
                       made, since);
    }
    return 0;
}

int ledgers_check(const struct ledgers *ledgers, const struct backup_state *state, struct err *err)
{
    int rc = 0;

    if (!state->known)
        return check_times(ledgers, state->made_ms, err);
    for (size_t i = 0; i < ledgers->count; i++) {
        if (!ledger_copy_is_of(ledgers->items[i], &state->store))
            return err_set(err, -E_LEDGER,
                           "a deletion ledger is of another store than the backup: name the one "
                           "of this store with --ledger, or go on without with --resurrect");
    }
    for (size_t i = 0; i < state->count && rc == 0; i++)
        rc = check_one(ledgers, &state->ledgers[i], err);
    return rc;
}
