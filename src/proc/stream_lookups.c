/* src/proc/stream_lookups.c -- look-ups in the store; their answers are sent in the order of the
 * changes. */
#include <stdlib.h>

#include "proc/streams_impl.h"

void lookups_post(struct streams *streams)
{
    lock_check_held(&streams->lock);
    if (streams->posted || streams->quitting)
        return;
    streams->posted = true;
    loop_post(streams->loop, &streams->news);
}

static struct lookup *add_lookup(struct streams *streams, enum lookup_kind kind, int64_t user_id)
{
    struct lookup *lookup = calloc(1, sizeof(*lookup));

    lock_check_held(&streams->lock);
    if (lookup == NULL)
        return NULL;
    lookup->streams = streams;
    lookup->kind = kind;
    lookup->user_id = user_id;
    STAILQ_INSERT_TAIL(&streams->lookups, lookup, entry);
    streams->look_count++;
    lookups_post(streams);
    return lookup;
}

void lookups_remove_first(struct streams *streams)
{
    struct lookup *lookup = STAILQ_FIRST(&streams->lookups);

    STAILQ_REMOVE_HEAD(&streams->lookups, entry);
    streams->look_count--;
    free(lookup);
}

/* The store cannot be asked, or there is no memory for it; a stream that waits for its first events
 * starts again. */
static void miss_events(struct audience *audience, struct stream *stream)
{
    audience->missed = true;
    if (stream != NULL)
        stream_break(stream);
}

/* Queued reports first: a report that is claimed in between is then in both answers, not in
 * none. */
void lookups_for_active(struct streams *streams, struct audience *audience, struct stream *stream)
{
    static const enum report_state states[] = {REPORT_QUEUED, REPORT_PROCESSING};

    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        struct lookup *lookup = add_lookup(streams, LOOKUP_LIST, audience->user_id);

        if (lookup == NULL) {
            miss_events(audience, stream);
            return;
        }
        lookup->state = states[i];
        lookup->stream = stream;
        lookup->greets = stream != NULL;
    }
}

void lookups_add(struct streams *streams, enum lookup_kind kind, struct audience *audience,
                 const struct lookup *of, const struct guid *id)
{
    struct lookup *lookup = add_lookup(streams, kind, audience->user_id);
    struct stream *stream = of != NULL ? of->stream : NULL;

    if (lookup == NULL) {
        miss_events(audience, stream);
        return;
    }
    lookup->id = *id;
    lookup->stream = stream;
}

void lookups_for_missed(struct streams *streams, struct audience *audience)
{
    audience->missed = false;
    for (size_t i = 0; i < audience->known_count; i++)
        lookups_add(streams, LOOKUP_MISSED, audience, NULL, &audience->known[i].id);
    lookups_for_active(streams, audience, NULL);
}

static void miss_all(struct streams *streams)
{
    struct audience *audience;

    for (int i = 0; i < STREAMS_BUCKETS; i++) {
        LIST_FOREACH(audience, &streams->buckets[i], entry)
        audience->missed = true;
    }
    streams->missed = true;
    lookups_post(streams);
}

/* Share a look-up that the store has not been asked yet. False: there is none. */
static bool add_to_lookup(struct streams *streams, const struct store_change *change)
{
    struct lookup *lookup;

    if (streams->look_count > LOOKUP_NEAR_MAX)
        return false;
    STAILQ_FOREACH(lookup, &streams->lookups, entry)
    {
        if (lookup->kind == LOOKUP_CHANGE && !lookup->asked && !lookup->dropped &&
            lookup->later_count < LOOKUP_LATER_MAX && guid_eq(&lookup->id, &change->id)) {
            lookup->later[lookup->later_count++] = change->state;
            return true;
        }
    }
    return false;
}

static void record_change(struct streams *streams, struct audience *audience,
                          const struct store_change *change)
{
    struct lookup *lookup;

    if (change->state == REPORT_DELETING) {
        if (!change->released)
            audience_tell_deleted(streams, audience, &change->id);
        return;
    }
    streams->change_count++;
    if (add_to_lookup(streams, change))
        return;
    lookup = streams->stopped ? NULL : add_lookup(streams, LOOKUP_CHANGE, change->user_id);
    if (lookup == NULL) {
        audience->missed = true;
        return;
    }
    lookup->id = change->id;
    lookup->state = change->state;
}

static void doubt_audience(struct audience *audience)
{
    struct stream *stream;

    LIST_FOREACH(stream, &audience->streams, entry)
    stream_doubt(stream);
}

/* Of this user; 0: of all. */
static void doubt_sessions(struct streams *streams, int64_t user_id)
{
    struct audience *audience = audience_find(streams, user_id);

    if (audience != NULL)
        doubt_audience(audience);
    for (int i = 0; user_id == 0 && i < STREAMS_BUCKETS; i++) {
        LIST_FOREACH(audience, &streams->buckets[i], entry)
        doubt_audience(audience);
    }
    lookups_post(streams);
}

void streams_on_change(struct streams *streams, const struct store_change *change)
{
    struct audience *audience;

    if (atomic_load(&streams->audience_count) == 0)
        return;
    lock_take(&streams->lock);
    if (change == NULL)
        miss_all(streams);
    else if (change->sessions)
        doubt_sessions(streams, change->user_id);
    else if ((audience = audience_find(streams, change->user_id)) != NULL)
        record_change(streams, audience, change);
    lock_release(&streams->lock);
}

/* ---- answers, on the thread ---- */

static bool has_change_to_tell(const struct streams *streams, const struct guid *id)
{
    const struct lookup *lookup;

    STAILQ_FOREACH(lookup, &streams->lookups, entry)
    {
        if (lookup->kind == LOOKUP_CHANGE && guid_eq(&lookup->id, id))
            return true;
    }
    return false;
}

static void tell_state(struct lookup *lookup, struct audience *audience, enum report_state state)
{
    const struct store_find *find = &lookup->call.op.find;
    struct known *known = audience_known(audience, &lookup->id);

    if (known == NULL)
        known = audience_know(audience, &lookup->id);
    if (known != NULL)
        *known = (struct known){.id = lookup->id,
                                .state = state,
                                .told = true,
                                .number = audience->last_number + 1,
                                .attempt = find->report.attempt,
                                .rows = find->report.rows,
                                .bytes = find->report.bytes,
                                .position = find->position};
    audience_tell(
        lookup->streams, audience,
        &(struct news){
            .id = lookup->id, .state = state, .report = &find->report, .position = find->position});
}

/* Includes earlier moves whose notifications have not arrived yet; those will then be ignored. */
static void on_change_found(struct lookup *lookup, struct audience *audience)
{
    const struct known *known = audience_known(audience, &lookup->id);
    const enum report_state state = lookup->state;
    bool unknown = known == NULL, queued = known != NULL && known->state == REPORT_QUEUED;
    bool again = known != NULL && known->told && known->state == state;
    bool ran = lookup->call.op.find.report.attempt > 0; /* otherwise it was ended in the queue */

    if (!known_is_outdated(known, &lookup->call.op.find.report, state))
        return;
    if (state != REPORT_QUEUED && (unknown || again))
        tell_state(lookup, audience, REPORT_QUEUED);
    if (!report_is_active(state) && ran && (unknown || queued))
        tell_state(lookup, audience, REPORT_PROCESSING);
    tell_state(lookup, audience, state);
}

static void on_changes_found(struct lookup *lookup, struct audience *audience)
{
    on_change_found(lookup, audience);
    for (size_t i = 0; i < lookup->later_count; i++) {
        lookup->state = lookup->later[i];
        on_change_found(lookup, audience);
    }
}

static void on_greeting_found(struct lookup *lookup, struct audience *audience)
{
    const struct store_find *find = &lookup->call.op.find;
    struct known *known = audience_known(audience, &lookup->id);
    struct news news = {.id = lookup->id,
                        .state = find->report.state,
                        .report = &find->report,
                        .position = find->position};

    if (lookup->stream == NULL || !report_is_active(find->report.state) ||
        has_change_to_tell(lookup->streams, &lookup->id) ||
        stream_greeted(lookup->stream, &lookup->id) != NULL ||
        (known != NULL && known->told && known->number > lookup->stream->begun))
        return;
    if (known == NULL)
        known = audience_know(audience, &lookup->id);
    if (known != NULL && !known->told)
        known->state = find->report.state;
    if (news.state != REPORT_QUEUED && find->report.submitted_ms >= lookup->stream->began_ms) {
        news.state = REPORT_QUEUED; /* its notification has not arrived yet */
        stream_tell(lookup->streams, lookup->stream, &news);
        news.state = find->report.state;
    }
    stream_tell(lookup->streams, lookup->stream, &news);
}

static void on_missed_found(struct lookup *lookup, struct audience *audience)
{
    const struct store_find *find = &lookup->call.op.find;
    const struct known *known = audience_known(audience, &lookup->id);

    if (has_change_to_tell(lookup->streams, &lookup->id) ||
        (known != NULL && known->state == find->report.state))
        return;
    tell_state(lookup, audience, find->report.state);
}

static void on_progress_found(struct lookup *lookup, struct audience *audience)
{
    const struct store_find *find = &lookup->call.op.find;
    struct known *known = audience_known(audience, &lookup->id);

    if (known == NULL || known->state != find->report.state ||
        (known->rows == find->report.rows && known->bytes == find->report.bytes &&
         known->position == find->position))
        return;
    known->rows = find->report.rows;
    known->bytes = find->report.bytes;
    known->position = find->position;
    audience_tell(lookup->streams, audience,
                  &(struct news){.id = lookup->id,
                                 .state = known->state,
                                 .report = &find->report,
                                 .position = find->position,
                                 .progress = true});
}

static void on_listed(struct lookup *lookup, struct audience *audience)
{
    const struct store_list *list = &lookup->call.op.list;

    if (lookup->greets && lookup->stream == NULL)
        return;
    for (size_t i = list->count; i > 0; i--)
        lookups_add(lookup->streams, lookup->greets ? LOOKUP_GREETING : LOOKUP_MISSED, audience,
                    lookup, &list->reports[i - 1].id);
}

static void tell_answer(struct lookup *lookup)
{
    static void (*const found[])(struct lookup * lookup, struct audience * audience) = {
        [LOOKUP_CHANGE] = on_changes_found,    [LOOKUP_LIST] = on_listed,
        [LOOKUP_GREETING] = on_greeting_found, [LOOKUP_MISSED] = on_missed_found,
        [LOOKUP_PROGRESS] = on_progress_found,
    };
    struct streams *streams = lookup->streams;
    struct audience *audience = audience_find(streams, lookup->user_id);

    if (audience == NULL || lookup->dropped)
        return;
    if (lookup->call.op.rc < 0)
        miss_events(audience, lookup->stream);
    else if (lookup->kind == LOOKUP_LIST || lookup->call.op.find.found)
        found[lookup->kind](lookup, audience);
    else if (lookup->kind == LOOKUP_MISSED && audience_known(audience, &lookup->id) != NULL)
        audience_tell_deleted(streams, audience, &lookup->id);
}

/* ---- look-ups, on the thread ---- */

static void on_report_found(struct loop_call *call)
{
    struct lookup *lookup = container_of(call, struct lookup, call);
    struct streams *streams = lookup->streams;

    lock_take(&streams->lock);
    lookup->answered = true;
    streams->asked--;
    while ((lookup = STAILQ_FIRST(&streams->lookups)) != NULL && lookup->answered) {
        tell_answer(lookup);
        store_op_done(&lookup->call.op);
        lookups_remove_first(streams);
    }
    lock_release(&streams->lock);
    lookups_ask(streams);
}

static struct lookup *next_to_ask(struct streams *streams)
{
    struct lookup *lookup;

    lock_take(&streams->lock);
    STAILQ_FOREACH(lookup, &streams->lookups, entry)
    {
        if (!lookup->asked)
            break;
    }
    if (lookup != NULL)
        lookup->asked = true;
    lock_release(&streams->lock);
    return lookup;
}

static void ask_lookup(struct streams *streams, struct lookup *lookup)
{
    struct store_op *op = &lookup->call.op;

    if (lookup->kind == LOOKUP_LIST) {
        op->verb = STORE_LIST;
        op->list = (struct store_list){.user_id = lookup->user_id,
                                       .state = (int)lookup->state,
                                       .page = 1,
                                       .page_size = STORE_ACTIVE_MAX};
    } else {
        op->verb = STORE_FIND;
        op->find = (struct store_find){.id = lookup->id, .user_id = lookup->user_id};
    }
    streams->asked++;
    loop_ask(streams->loop, streams->store, &lookup->call, on_report_found);
}

void lookups_ask(struct streams *streams)
{
    struct lookup *lookup;

    while (streams->asked < STREAMS_ASKED_MAX && (lookup = next_to_ask(streams)) != NULL)
        ask_lookup(streams, lookup);
}
