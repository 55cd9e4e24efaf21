/* bench/claims.c -- what a claim costs, asked of the store itself. What was claimed is put back, so
 * the queue keeps its length.
 * usage: claims fill URL KEY USERS REPORTS   so many users have so many reports queued in all
 *        claims time URL KEY NODE            prints an empty line once the store is open. For each
 *            line "SECONDS PID …" of the input it claims for so long, and prints per claim: the
 *            processor time (us) of itself and of these processes, the median time to the commit
 *            (us), and the claims per second. */
#include <fcntl.h>
#include <inttypes.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/store.h"

enum {
    AT_ONCE = 4096,
    CLAIMS_MAX = 1 << 20,
    TOGETHER = 4, /* claims between two looks at the processor time */
    PIDS_MAX = 16,
    REST_US = 500, /* a process that waits has all its time written down */
};

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

/* One round. */
struct timing {
    const char *node;
    int count;
    int64_t took[CLAIMS_MAX]; /* us */
    int64_t cpu_ns;
    int pid_count, stat[PIDS_MAX]; /* files of the other processes whose time counts */
};

static void failed(const char *what)
{
    fprintf(stderr, "claims: %s\n", what);
    exit(1);
}

static int64_t cpu_ns(const struct timing *t)
{
    struct timespec own;
    int64_t sum;

    usleep(REST_US);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &own);
    sum = (int64_t)own.tv_sec * 1000000000 + own.tv_nsec;
    for (int i = 0; i < t->pid_count; i++) {
        char text[64] = "";

        if (pread(t->stat[i], text, sizeof(text) - 1, 0) <= 0)
            failed("a process has ended");
        sum += strtoll(text, NULL, 10);
    }
    return sum;
}

static struct store_requeue claim_once(struct store *store, struct timing *t)
{
    struct store_op op = {.verb = STORE_CLAIM};
    struct store_requeue back;
    int64_t began = clock_mono_us();

    op.claim = (struct store_claim){.node = t->node,
                                    .offer = "Accounts\nBalance\nHoldings\n",
                                    .sources = "shop\nshop\nshop\n",
                                    .token = guid_new(),
                                    .now_ms = clock_now_ms()};
    store_run(store, &op);
    t->took[t->count++] = clock_mono_us() - began;
    must(&op);
    if (!op.claim.found)
        failed("nothing is queued");
    back = (struct store_requeue){.id = op.claim.report.id, .attempt = op.claim.report.attempt};
    store_op_done(&op);
    return back;
}

static void claim_some(struct store *store, struct timing *t)
{
    struct store_requeue back[TOGETHER];
    int64_t began = cpu_ns(t);

    for (int i = 0; i < TOGETHER; i++)
        back[i] = claim_once(store, t);
    t->cpu_ns += cpu_ns(t) - began;
    for (int i = 0; i < TOGETHER; i++) {
        struct store_op op = {.verb = STORE_REQUEUE, .requeue = back[i]};

        store_run(store, &op);
        must(&op);
    }
}

static int compare(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;

    return (a > b) - (a < b);
}

/* "SECONDS PID …" */
static double read_round(char *line, struct timing *t)
{
    double seconds = strtod(line, &line);
    char *end;

    for (long pid; (pid = strtol(line, &end, 10)) > 0; line = end) {
        char path[64];

        snprintf(path, sizeof(path), "/proc/%ld/schedstat", pid);
        if (t->pid_count == PIDS_MAX || (t->stat[t->pid_count++] = open(path, O_RDONLY)) < 0)
            failed("cannot see the time of a process");
    }
    return seconds;
}

static void time_round(struct store *store, char *line, struct timing *t)
{
    double seconds = read_round(line, t);
    int64_t began = clock_mono_us(), until = began + (int64_t)(1e6 * seconds);

    while (t->count + TOGETHER <= CLAIMS_MAX && clock_mono_us() < until)
        claim_some(store, t);
    seconds = (double)(clock_mono_us() - began) / 1e6;
    qsort(t->took, (size_t)t->count, sizeof(*t->took), compare);
    printf("%.3f %" PRId64 " %.1f\n", (double)t->cpu_ns / 1e3 / t->count, t->took[t->count / 2],
           t->count / seconds);
    fflush(stdout);
    for (int i = 0; i < t->pid_count; i++)
        close(t->stat[i]);
}

static void time_claims(struct store *store, const char *node)
{
    struct timing *t = malloc(sizeof(*t));
    char line[256];

    puts("");
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin) != NULL) {
        t->node = node;
        t->count = t->pid_count = 0;
        t->cpu_ns = 0;
        time_round(store, line, t);
    }
    free(t);
}

int main(int argc, char **argv)
{
    struct store *store;

    if (argc < 5 || argc > 6) {
        fprintf(stderr, "usage: claims fill|time URL KEY …\n");
        return 2;
    }
    store = open_store(argv);
    if (argc == 6)
        fill(store, atoi(argv[4]), atoi(argv[5]));
    else
        time_claims(store, argv[4]);
    store_free(store);
    return 0;
}
