/* bench/claims.c -- what a claim costs, asked of the store itself: each is timed to its commit, and
 * then put back into the queue, which so keeps its length.
 * usage: claims fill URL KEY USERS REPORTS   that many users have that many reports queued in all
 *        claims time URL KEY NODE SECONDS    prints the median in us and claims a second */
#include <inttypes.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "store/store.h"

enum { AT_ONCE = 4096, CLAIMS_MAX = 1 << 20 };

static struct store *open_store(char **argv)
{
    struct store_spec spec = {.url = argv[2], .create = true, .erase_key = argv[3]};
    struct store *store;
    struct err err;

    if (store_open(&spec, &store, &err) < 0) {
        fprintf(stderr, "claims: %s (%s)\n", err.text, err.detail);
        exit(1);
    }
    return store;
}

static void must(const struct store_op *op)
{
    if (op->rc == 0)
        return;
    fprintf(stderr, "claims: %s (%s)\n", op->err.text, op->err.detail);
    exit(1);
}

/* ---- fill ---- */

static sem_t room;

static void on_done(struct store_op *op)
{
    must(op);
    free(op);
    sem_post(&room);
}

static void submit(struct store *store, int64_t user_id)
{
    struct store_op *op = calloc(1, sizeof(*op));

    *op = (struct store_op){.verb = STORE_SUBMIT, .done = on_done};
    op->submit = (struct store_submit){.id = guid_new(),
                                       .user_id = user_id,
                                       .name = "Balance",
                                       .parameters = "{\"ProductID\":\"1\"}",
                                       .now_ms = clock_now_ms(),
                                       .key_expires_ms = INT64_MAX,
                                       .active_limit = INT32_MAX};
    sem_wait(&room);
    store_post(store, op);
}

static void fill(struct store *store, int users, int reports)
{
    int64_t *ids = calloc((size_t)users, sizeof(*ids));

    for (int i = 0; i < users; i++) {
        struct store_op op = {.verb = STORE_USER_ADD};
        char name[32];

        snprintf(name, sizeof(name), "u%d", i);
        op.user_add =
            (struct store_user_add){.name = name, .password_hash = "", .allow = "", .grants = "*"};
        store_run(store, &op);
        must(&op);
        ids[i] = op.user_add.id;
    }
    sem_init(&room, 0, AT_ONCE);
    for (int i = 0; i < reports; i++)
        submit(store, ids[i % users]);
    for (int i = 0; i < AT_ONCE; i++)
        sem_wait(&room);
    free(ids);
}

/* ---- time ---- */

/* Microseconds of one claim. */
static int64_t claim_once(struct store *store, const char *node)
{
    struct store_op op = {.verb = STORE_CLAIM}, back = {.verb = STORE_REQUEUE};
    int64_t began = clock_mono_us(), took;

    op.claim = (struct store_claim){.node = node,
                                    .offer = "Accounts\nBalance\nHoldings\n",
                                    .sources = "shop\nshop\nshop\n",
                                    .token = guid_new(),
                                    .now_ms = clock_now_ms()};
    store_run(store, &op);
    took = clock_mono_us() - began;
    must(&op);
    if (!op.claim.found) {
        fprintf(stderr, "claims: nothing is queued\n");
        exit(1);
    }
    back.requeue =
        (struct store_requeue){.id = op.claim.report.id, .attempt = op.claim.report.attempt};
    store_op_done(&op);
    store_run(store, &back);
    must(&back);
    return took;
}

static int compare(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;

    return (a > b) - (a < b);
}

static void time_claims(struct store *store, const char *node, double seconds)
{
    int64_t *took = calloc(CLAIMS_MAX, sizeof(*took));
    int64_t began = clock_mono_us(), until = began + (int64_t)(1e6 * seconds);
    int count = 0;

    while (count < CLAIMS_MAX && clock_mono_us() < until)
        took[count++] = claim_once(store, node);
    seconds = (double)(clock_mono_us() - began) / 1e6;
    qsort(took, (size_t)count, sizeof(*took), compare);
    printf("%" PRId64 " %.1f\n", took[count / 2], count / seconds);
    free(took);
}

int main(int argc, char **argv)
{
    struct store *store;

    if (argc != 6) {
        fprintf(stderr, "usage: claims fill|time URL KEY …\n");
        return 2;
    }
    store = open_store(argv);
    if (strcmp(argv[1], "fill") == 0)
        fill(store, atoi(argv[4]), atoi(argv[5]));
    else
        time_claims(store, argv[4], atof(argv[5]));
    store_free(store);
    return 0;
}
