/* src/store/postgres_keys.c -- the keys of erase.key, compared with the database: a node takes the
 * next key from there, and forgets a retired one. */
#include <sodium.h>

#include "base/clock.h"
#include "base/seam.h"
#include "store/postgres_impl.h"

enum { ANSWER_MS = 10000 };

/* ---- the chain ---- */

/* A walk from the oldest key that we have to the newest in the database. */
struct walk {
    struct erase_keys ours, found; /* `found`: the keys to keep from now on */
    struct erase_key at;           /* the key of the last row; number 0: unknown */
    int64_t newest;
    int in_use; /* keys that are not retired, including the newest */
};

static bool has_print(const struct erase_key *key, const uint8_t print[KEYRING_PRINT_BYTES])
{
    uint8_t own[KEYRING_PRINT_BYTES];

    keyring_print(key->bytes, ERASE_KEY_BYTES, own);
    return sodium_memcmp(own, print, sizeof(own)) == 0;
}

/* Put the key of this row into walk->at: one that we have, or the one after the previous row's. */
static void find_erase_key(struct postgres_conn *c, struct walk *walk, int64_t number)
{
    struct erase_key before = walk->at;
    uint8_t print[KEYRING_PRINT_BYTES], wrapped[KEYRING_WRAPPED_BYTES];

    get_blob(c, 2, print, sizeof(print));
    get_blob(c, 1, wrapped, sizeof(wrapped));
    walk->at = (struct erase_key){0};
    for (int i = 0; i < ERASE_KEYS_MAX; i++) {
        if (walk->ours.key[i].number == number && has_print(&walk->ours.key[i], print))
            walk->at = walk->ours.key[i];
    }
    if (walk->at.number == 0 && before.number != 0 && before.number + 1 == number &&
        (!keyring_unwrap_next(&before, wrapped, &walk->at) || !has_print(&walk->at, print)))
        walk->at = (struct erase_key){0};
    sodium_memzero(&before, sizeof(before));
}

static void walk_row(struct postgres_conn *c, struct walk *walk)
{
    bool retired = get_bool(c, 3);
    struct erase_keys *found = &walk->found;

    walk->newest = get_int(c, 0);
    find_erase_key(c, walk, walk->newest);
    walk->in_use += !retired;
    if (retired || walk->at.number == 0)
        return;
    found->key[1] = found->key[0];
    found->key[0] = walk->at;
}

static int does_not_fit(const struct postgres_conn *c, const struct walk *walk, struct err *err)
{
    const char *path = keyring_path(c->shared->ring);

    if (walk->newest < walk->ours.key[0].number)
        return err_set(err, -E_CONFIG,
                       "The database is older than the erase key '%s' (key %lld, the database has "
                       "%lld): what is in it cannot be opened. A restored database needs the "
                       "erase.key that was saved with it, on every node.",
                       path, (long long)walk->ours.key[0].number, (long long)walk->newest);
    return err_set(
        err, -E_CONFIG,
        "The erase key '%s' is not the one of the nodes that share this store: copy "
        "erase.key from one of them (by default it is in the folder of the configuration) to '%s'",
        path, path);
}

static bool same_keys(const struct erase_keys *a, const struct erase_keys *b)
{
    return sodium_memcmp(a->key, b->key, sizeof(a->key)) == 0;
}

/* Read what the database says about our keys and later ones. */
static int read_chain(struct postgres_conn *c, struct walk *walk, struct err *err)
{
    int64_t first = walk->ours.key[1].number;

    c->trouble = PG_GOOD;
    c->deadline_ms = clock_mono_ms() + ANSWER_MS;
    call_run(c, PG_KEYS, value_int(first != 0 ? first : walk->ours.key[0].number));
    call_sync(c);
    if (results_take(c)) {
        while (results_next(c))
            walk_row(c, walk);
    }
    results_drain(c);
    return c->trouble == PG_GOOD ? 0 : results_trouble(c, err);
}

static int refresh_keys(struct postgres_conn *c, struct walk *walk, struct err *err)
{
    struct err ignored;
    int rc;

    lock_check_held(&c->shared->refreshing);
    rc = read_chain(c, walk, err);
    if (rc == 0 && (walk->newest == 0 || walk->found.key[0].number != walk->newest))
        return does_not_fit(c, walk, err);
    /* If the file cannot be written, requests are not refused: see postgres_keys_save(). */
    if (rc == 0 && !same_keys(&walk->found, &walk->ours))
        keyring_set(c->shared->ring, &walk->found, &ignored);
    if (rc == 0)
        SEAM_STEP("erase", "keys", "taken");
    return rc;
}

int postgres_keys_refresh(struct postgres_conn *c, bool *ret_pending, struct err *err)
{
    struct walk walk = {0};
    int rc;

    lock_take(&c->shared->refreshing);
    walk.ours = keyring_keys(c->shared->ring);
    rc = refresh_keys(c, &walk, err);
    lock_release(&c->shared->refreshing);
    if (rc == 0 && ret_pending != NULL)
        *ret_pending = walk.in_use > 1;
    sodium_memzero(&walk, sizeof(walk));
    return rc;
}

int postgres_keys_save(struct postgres_shared *shared, struct err *err)
{
    int rc;

    lock_take(&shared->refreshing);
    rc = keyring_save(shared->ring, err);
    lock_release(&shared->refreshing);
    return rc;
}

/* ---- fingerprints ---- */

/* Run one statement with a file's name and the fingerprints of its keys. */
static bool run_print(struct postgres_conn *c, enum postgres_statement which,
                      const struct store_key_file *file, const size_t *keys, int count)
{
    struct store_value values[4] = {value_text(file->name)};
    uint8_t prints[2][KEYRING_PRINT_BYTES];

    c->trouble = PG_GOOD;
    c->deadline_ms = clock_mono_ms() + ANSWER_MS;
    for (int i = 0; i < count; i++) {
        size_t len;
        const void *key = file->key(file->keys, keys[i], &len);

        keyring_print(key, len, prints[i]);
        values[1 + i] = value_blob(prints[i], KEYRING_PRINT_BYTES);
    }
    call_values(c, which, values);
    call_sync(c);
    return results_take(c);
}

static int check_print(struct postgres_conn *c, const struct store_key_file *file, struct err *err)
{
    size_t keys[2] = {0, 0}, len;
    bool good = run_print(c, PG_KEY_NOTE, file, keys, 1), same;

    results_drain(c);
    good = good && run_print(c, PG_KEY_SAME, file, keys, 1) && results_next(c);
    same = good && get_bool(c, 0);
    results_drain(c);
    while (good && !same && file->key(file->keys, ++keys[1], &len) != NULL) {
        good = run_print(c, PG_KEY_MOVE, file, keys, 2);
        same = good && results_changed(c) > 0;
        results_drain(c);
    }
    if (!good)
        return results_trouble(c, err);
    if (!same)
        return err_set(err, -E_CONFIG,
                       "The key '%s' is not the one of the nodes that share this store: copy %s "
                       "from one of them to '%s'",
                       file->path, file->name, file->path);
    return 0;
}

int postgres_check_key(struct store_conn *conn, const struct store_key_file *file, struct err *err)
{
    struct postgres_conn *c = postgres_conn_new(((struct postgres_conn *)conn)->shared);
    int rc = (c == NULL ? err_set(err, -E_NOMEM, "Out of memory.") : postgres_connect(c, err))
                 ?: check_print(c, file, err);

    if (c != NULL)
        postgres_close(&c->base);
    return rc;
}

static const void *secret_of(const void *keys, size_t i, size_t *ret_len)
{
    *ret_len = ERASE_KEY_BYTES;
    return i == 0 ? ((const struct erase_keys *)keys)->secret : NULL;
}

int postgres_keys_open(struct postgres_conn *c, struct err *err)
{
    struct erase_keys keys = keyring_keys(c->shared->ring);
    const struct store_key_file secret = {.name = "erase.key",
                                          .path = keyring_path(c->shared->ring),
                                          .key = secret_of,
                                          .keys = &keys};
    int rc = check_print(c, &secret, err);

    sodium_memzero(&keys, sizeof(keys));
    if (rc == 0)
        rc = postgres_keys_refresh(c, NULL, err);
    return rc == 0 ? postgres_keys_save(c->shared, err) : rc;
}
