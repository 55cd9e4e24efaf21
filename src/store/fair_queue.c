/* src/store/fair_queue.c -- decides, in memory, whose report starts next.
 *
 * A user has one entry per type of report that is queued. The entries of a type are ranked by whose
 * turn it is, so that the choice among the types that may start looks only at the first of each.
 *
 * For positions, all waiting users are ranked, too, and `rounds` counts queued reports by the round
 * in which they start: with R reports running, a user's next report is of round R + 1, the one
 * after it of R + 2. A report of an earlier round starts earlier; within a round, users follow each
 * other by turn. */
#include "store/fair_queue.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/ranking.h"
#include "base/thread.h"

enum { ROUNDS = 1024 }; /* the last one also counts all later rounds */

struct fair_name {
    struct fair_name *next;
    struct ranking entries;
    char text[];
};

struct fair_entry {
    struct rank_node node; /* in its type's ranking while it has any reports */
    struct fair_user *user;
    struct fair_name *name;
    int64_t *seqs; /* ascending, beginning at `first` */
    size_t first, count, cap;
};

struct fair_user {
    struct rank_node node; /* in `waiting` while anything is queued */
    int64_t id, turn;
    int64_t oldest; /* seq of the oldest queued report; valid only in `waiting` */
    int running, running_limit;
    size_t queued;
    struct fair_entry **entries;
    size_t entry_count, entry_cap;
};

struct fair_queue {
    void *users; /* by id: a tree of tsearch() */
    struct fair_name *names;
    struct ranking waiting;
    int64_t rounds[ROUNDS];
    int64_t turn; /* the last one given out */
};

static struct fair_user *user_of(const struct rank_node *node)
{
    return container_of((struct rank_node *)node, struct fair_user, node);
}

static struct fair_entry *entry_of(const struct rank_node *node)
{
    return container_of((struct rank_node *)node, struct fair_entry, node);
}

/* ---- the order ---- */

/* The seq of the oldest report; only for an entry that has any. */
static int64_t oldest_of(const struct fair_entry *entry)
{
    return entry->seqs[entry->first];
}

/* Two users are never equal, not even with the same `seq`: a program that is not reportd's may have
 * removed rows, whose numbers SQLite then gives out again. */
static int compare_turns(const struct fair_user *a, int64_t a_seq, const struct fair_user *b,
                         int64_t b_seq)
{
    int order = (a->running > b->running) - (a->running < b->running);

    if (order == 0)
        order = (a->turn > b->turn) - (a->turn < b->turn);
    if (order == 0)
        order = (a_seq > b_seq) - (a_seq < b_seq);
    return order != 0 ? order : (a->id > b->id) - (a->id < b->id);
}

static int compare_entries(const struct rank_node *left, const struct rank_node *right)
{
    const struct fair_entry *a = entry_of(left), *b = entry_of(right);

    return compare_turns(a->user, oldest_of(a), b->user, oldest_of(b));
}

static int compare_users(const struct rank_node *left, const struct rank_node *right)
{
    const struct fair_user *a = user_of(left), *b = user_of(right);

    return compare_turns(a, a->oldest, b, b->oldest);
}

/* ---- users and types ---- */

static int compare_ids(const void *left, const void *right)
{
    const struct fair_user *a = left, *b = right;

    return (a->id > b->id) - (a->id < b->id);
}

static struct fair_user *find_fair_user(const struct fair_queue *queue, int64_t id)
{
    const struct fair_user wanted = {.id = id};
    struct fair_user **found = tfind(&wanted, &queue->users, compare_ids);

    return found != NULL ? *found : NULL;
}

static struct fair_user *make_user(struct fair_queue *queue, int64_t id)
{
    struct fair_user *user = find_fair_user(queue, id);

    if (user != NULL)
        return user;
    user = calloc(1, sizeof(*user));
    if (user == NULL)
        return NULL;
    user->id = id;
    if (tsearch(user, &queue->users, compare_ids) == NULL) {
        free(user);
        return NULL;
    }
    return user;
}

static void user_free(void *node)
{
    struct fair_user *user = node;

    for (size_t i = 0; i < user->entry_count; i++) {
        free(user->entries[i]->seqs);
        free(user->entries[i]);
    }
    free(user->entries);
    free(user);
}

static struct fair_name *make_name(struct fair_queue *queue, const char *text)
{
    struct fair_name *name = queue->names;

    while (name != NULL && strcmp(name->text, text) != 0)
        name = name->next;
    if (name != NULL)
        return name;
    name = calloc(1, sizeof(*name) + strlen(text) + 1);
    if (name == NULL)
        return NULL;
    memcpy(name->text, text, strlen(text) + 1);
    ranking_init(&name->entries, compare_entries);
    name->next = queue->names;
    return queue->names = name;
}

static struct fair_entry *make_entry(struct fair_queue *queue, struct fair_user *user,
                                     const char *text)
{
    struct fair_name *name = make_name(queue, text);
    struct fair_entry *entry;

    for (size_t i = 0; i < user->entry_count; i++) {
        if (user->entries[i]->name == name)
            return user->entries[i];
    }
    if (name == NULL ||
        !array_grow(&user->entries, user->entry_count, &user->entry_cap, sizeof(void *)))
        return NULL;
    entry = calloc(1, sizeof(*entry));
    if (entry == NULL)
        return NULL;
    entry->user = user;
    entry->name = name;
    return user->entries[user->entry_count++] = entry;
}

/* ---- taking users out of the rankings while the order changes ---- */

static void take_out(struct fair_queue *queue, struct fair_user *user)
{
    for (size_t i = 0; i < user->entry_count; i++) {
        struct fair_entry *entry = user->entries[i];

        if (entry->node.size > 0)
            ranking_remove(&entry->name->entries, &entry->node);
    }
    if (user->node.size > 0)
        ranking_remove(&queue->waiting, &user->node);
}

static void put_in(struct fair_queue *queue, struct fair_user *user)
{
    user->oldest = INT64_MAX;
    for (size_t i = 0; i < user->entry_count; i++) {
        struct fair_entry *entry = user->entries[i];

        if (entry->count == 0)
            continue;
        ranking_insert(&entry->name->entries, &entry->node);
        if (oldest_of(entry) < user->oldest)
            user->oldest = oldest_of(entry);
    }
    if (user->queued > 0)
        ranking_insert(&queue->waiting, &user->node);
}

static int64_t *round_at(struct fair_queue *queue, size_t round)
{
    return &queue->rounds[round < ROUNDS ? round : ROUNDS - 1];
}

/* ---- changes ---- */

bool fair_queue_user(struct fair_queue *queue, int64_t user_id, int64_t turn, int running_limit)
{
    struct fair_user *user = make_user(queue, user_id);

    if (user == NULL)
        return false;
    take_out(queue, user);
    user->turn = turn;
    user->running_limit = running_limit;
    put_in(queue, user);
    if (turn > queue->turn)
        queue->turn = turn;
    return true;
}

/* How many reports of the entry come before `seq`. */
static size_t place_of(const struct fair_entry *entry, int64_t seq)
{
    size_t low = 0, high = entry->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (entry->seqs[entry->first + middle] < seq)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Make room for one more at the end. Room freed at the front is used again once it is half of the
 * array, so each element is moved once on average. */
static bool make_room(struct fair_entry *entry)
{
    if (entry->first + entry->count < entry->cap)
        return true;
    if (entry->first <= entry->count)
        return array_grow(&entry->seqs, entry->first + entry->count, &entry->cap,
                          sizeof(*entry->seqs));
    memmove(entry->seqs, &entry->seqs[entry->first], entry->count * sizeof(*entry->seqs));
    entry->first = 0;
    return true;
}

/* Most are added at the end; a requeued report is added at the front. */
static void insert_seq(struct fair_entry *entry, int64_t seq)
{
    size_t at = place_of(entry, seq);

    if (at == 0 && entry->first > 0) {
        entry->first--;
    } else {
        int64_t *place = &entry->seqs[entry->first + at];

        memmove(place + 1, place, (entry->count - at) * sizeof(seq));
    }
    entry->seqs[entry->first + at] = seq;
    entry->count++;
}

bool fair_queue_add(struct fair_queue *queue, int64_t user_id, const char *name, int64_t seq)
{
    struct fair_user *user = make_user(queue, user_id);
    struct fair_entry *entry = user != NULL ? make_entry(queue, user, name) : NULL;

    if (entry == NULL || !make_room(entry))
        return false;
    take_out(queue, user);
    insert_seq(entry, seq);
    user->queued++;
    ++*round_at(queue, (size_t)user->running + user->queued);
    put_in(queue, user);
    return true;
}

static bool remove_from(struct fair_entry *entry, int64_t seq)
{
    size_t at = place_of(entry, seq);
    int64_t *place;

    if (at == entry->count || entry->seqs[entry->first + at] != seq)
        return false;
    place = &entry->seqs[entry->first + at];
    entry->count--;
    if (at == 0)
        entry->first++;
    else
        memmove(place, place + 1, (entry->count - at) * sizeof(seq));
    return true;
}

void fair_queue_remove(struct fair_queue *queue, int64_t user_id, int64_t seq)
{
    struct fair_user *user = find_fair_user(queue, user_id);
    bool removed = false;

    if (user == NULL)
        return;
    take_out(queue, user);
    for (size_t i = 0; !removed && i < user->entry_count; i++)
        removed = remove_from(user->entries[i], seq);
    if (removed) {
        --*round_at(queue, (size_t)user->running + user->queued);
        user->queued--;
    }
    put_in(queue, user);
}

bool fair_queue_run(struct fair_queue *queue, int64_t user_id, int change)
{
    struct fair_user *user = make_user(queue, user_id);

    if (user == NULL)
        return false;
    take_out(queue, user);
    for (; change > 0; change--) {
        ++*round_at(queue, (size_t)++user->running + user->queued);
        --*round_at(queue, (size_t)user->running);
    }
    for (; change < 0; change++) {
        CHECK(user->running > 0);
        ++*round_at(queue, (size_t)user->running);
        --*round_at(queue, (size_t)user->running-- + user->queued);
    }
    put_in(queue, user);
    return true;
}

int64_t fair_queue_start(struct fair_queue *queue, int64_t user_id)
{
    struct fair_user *user = make_user(queue, user_id);

    if (user == NULL)
        return 0;
    take_out(queue, user);
    user->turn = ++queue->turn;
    put_in(queue, user);
    return user->turn;
}

/* ---- looking ---- */

/* The first entry that may start. Few before it may not: each of those users has a report
 * running. */
static const struct fair_entry *first_of(const struct fair_name *name, int running_limit)
{
    struct rank_node *node;

    for (size_t rank = 0; (node = ranking_at(&name->entries, rank)) != NULL; rank++) {
        const struct fair_user *user = entry_of(node)->user;
        int limit = user->running_limit != 0 ? user->running_limit : running_limit;

        if (limit == 0 || user->running < limit)
            return entry_of(node);
    }
    return NULL;
}

int64_t fair_queue_next(const struct fair_queue *queue, int running_limit, fair_open_fn *open,
                        void *context)
{
    const struct fair_entry *best = NULL;

    for (const struct fair_name *name = queue->names; name != NULL; name = name->next) {
        const struct fair_entry *entry;

        if (ranking_count(&name->entries) == 0 || (open != NULL && !open(context, name->text)))
            continue;
        entry = first_of(name, running_limit);
        if (entry != NULL && (best == NULL || compare_entries(&entry->node, &best->node) < 0))
            best = entry;
    }
    return best != NULL ? oldest_of(best) : 0;
}

/* The number of waiting users with at most `running` running: they are ranked first. */
static size_t count_up_to(const struct fair_queue *queue, int running)
{
    const struct fair_user end = {.running = running + 1, .turn = -1};

    return ranking_rank(&queue->waiting, &end.node);
}

int64_t fair_queue_position(const struct fair_queue *queue, int64_t user_id, int64_t seq)
{
    const struct fair_user *user = find_fair_user(queue, user_id);
    size_t before = 0, round, from, alike, rank;
    int64_t position = 1;

    if (user == NULL || user->queued == 0)
        return 1;
    for (size_t i = 0; i < user->entry_count; i++)
        before += place_of(user->entries[i], seq);
    round = (size_t)user->running + before + 1;
    round = round < ROUNDS ? round : ROUNDS - 1;
    for (size_t i = 1; i < round; i++)
        position += queue->rounds[i];
    from = user->running > 0 ? count_up_to(queue, user->running - 1) : 0;
    alike = count_up_to(queue, user->running) - from;
    rank = ranking_rank(&queue->waiting, &user->node) - from;
    if (round == ROUNDS - 1) /* mostly reports of one user */
        return position + (int64_t)(before + (size_t)user->running + 1 - round);
    return position + (int64_t)((double)queue->rounds[round] * (double)rank / (double)alike);
}

bool fair_queue_is_empty(const struct fair_queue *queue)
{
    return ranking_count(&queue->waiting) == 0;
}

/* ---- the whole queue ---- */

struct fair_queue *fair_queue_new(void)
{
    struct fair_queue *queue = calloc(1, sizeof(*queue));

    if (queue != NULL)
        ranking_init(&queue->waiting, compare_users);
    return queue;
}

void fair_queue_free(struct fair_queue *queue)
{
    if (queue == NULL)
        return;
    tdestroy(queue->users, user_free);
    while (queue->names != NULL) {
        struct fair_name *name = queue->names;

        queue->names = name->next;
        free(name);
    }
    free(queue);
}
