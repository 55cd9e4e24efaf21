/* src/proc/stream_looks.c -- questions to the store, whose answers are told in the order of the
 * changes. */
#include <stdlib.h>

#include "proc/streams_impl.h"

void looks_post(struct streams *streams)
{
    lock_check_held(&streams->lock);
    if (streams->posted)
        return;
    streams->posted = true;
    loop_post(streams->loop, &streams->news);
}

static struct look *add_look(struct streams *streams, enum look_kind kind, int64_t user_id)
{
    struct look *look = calloc(1, sizeof(*look));

    lock_check_held(&streams->lock);
    if (look == NULL)
        return NULL;
    look->streams = streams;
    look->kind = kind;
    look->user_id = user_id;
    STAILQ_INSERT_TAIL(&streams->looks, look, entry);
    streams->look_count++;
    looks_post(streams);
    return look;
}

void looks_remove_first(struct streams *streams)
{
    struct look *look = STAILQ_FIRST(&streams->looks);

    STAILQ_REMOVE_HEAD(&streams->looks, entry);
    streams->look_count--;
    free(look);
}

/* The store cannot be asked, or there is no memory to ask it; a stream that was to be told what
 * there is begins anew. */
static void miss_events(struct audience *audience, struct stream *stream)
{
    audience->missed = true;
    if (stream != NULL)
        stream_break(stream);
}

/* Queued ones first: a report that is claimed between the two is in both, and not in none. */
void looks_for_active(struct streams *streams, struct audience *audience, struct stream *stream)
{
    static const enum report_state states[] = {REPORT_QUEUED, REPORT_PROCESSING};

    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        struct look *look = add_look(streams, LOOK_LIST, audience->user_id);

        if (look == NULL) {
            miss_events(audience, stream);
            return;
        }
        look->state = states[i];
        look->stream = stream;
        look->greets = stream != NULL;
    }
}

void looks_add(struct streams *streams, enum look_kind kind, struct audience *audience,
               const struct look *of, const struct guid *id)
{
    struct look *look = add_look(streams, kind, audience->user_id);
    struct stream *stream = of != NULL ? of->stream : NULL;

    if (look == NULL) {
        miss_events(audience, stream);
        return;
    }
    look->id = *id;
    look->stream = stream;
}

void looks_for_missed(struct streams *streams, struct audience *audience)
{
    audience->missed = false;
    for (size_t i = 0; i < audience->known_count; i++)
        looks_add(streams, LOOK_MISSED, audience, NULL, &audience->known[i].id);
    looks_for_active(streams, audience, NULL);
}

static void miss_all(struct streams *streams)
{
    struct audience *audience;

    for (int i = 0; i < STREAMS_BUCKETS; i++) {
        LIST_FOREACH(audience, &streams->buckets[i], entry)
        audience->missed = true;
    }
}

static void note_change(struct streams *streams, struct audience *audience,
                        const struct store_change *change)
{
    struct look *look;

    if (change->state == REPORT_DELETING) {
        if (!change->released)
            audience_tell_deleted(streams, audience, &change->id);
        return;
    }
    look = streams->stopped ? NULL : add_look(streams, LOOK_CHANGE, change->user_id);
    if (look == NULL) {
        audience->missed = true;
        return;
    }
    look->id = change->id;
    look->state = change->state;
}

void streams_on_change(struct streams *streams, const struct store_change *change)
{
    struct audience *audience;

    if (atomic_load(&streams->audience_count) == 0)
        return;
    lock_take(&streams->lock);
    if (change == NULL)
        miss_all(streams);
    else if ((audience = audience_find(streams, change->user_id)) != NULL)
        note_change(streams, audience, change);
    lock_release(&streams->lock);
}

/* ---- answers, on the thread ---- */

static bool has_change_to_tell(const struct streams *streams, const struct guid *id)
{
    const struct look *look;

    STAILQ_FOREACH(look, &streams->looks, entry)
    {
        if (look->kind == LOOK_CHANGE && guid_eq(&look->id, id))
            return true;
    }
    return false;
}

static void tell_state(struct look *look, struct audience *audience, enum report_state state)
{
    const struct store_find *find = &look->call.op.find;
    struct known *known = audience_known(audience, &look->id);

    if (known == NULL)
        known = audience_know(audience, &look->id);
    if (known != NULL)
        *known = (struct known){.id = look->id,
                                .state = state,
                                .told = true,
                                .number = audience->last_number + 1,
                                .attempt = find->report.attempt,
                                .rows = find->report.rows,
                                .bytes = find->report.bytes,
                                .position = find->position};
    audience_tell(
        look->streams, audience,
        &(struct news){
            .id = look->id, .state = state, .report = &find->report, .position = find->position});
}

/* Changes that several connections have written may be heard in another order: does the report
 * show that this one came after what was told? */
static bool is_news(const struct known *known, const struct report *report, enum report_state state)
{
    if (known == NULL || !known->told)
        return true;
    if (!report_is_active(known->state))
        return false; /* an end may be told twice, where its answer was lost */
    if (!report_is_active(state))
        return true;
    if (state == known->state)
        return state == REPORT_PROCESSING && report->attempt > known->attempt;
    return report->state == state || report->attempt > known->attempt;
}

/* With the moves before it that are still to be heard of; they will be no news. */
static void on_change_found(struct look *look, struct audience *audience)
{
    const struct known *known = audience_known(audience, &look->id);
    const enum report_state state = look->state;
    bool unknown = known == NULL, queued = known != NULL && known->state == REPORT_QUEUED;
    bool again = known != NULL && known->told && known->state == state;
    bool ran = look->call.op.find.report.attempt > 0; /* else it was ended in the queue */

    if (!is_news(known, &look->call.op.find.report, state))
        return;
    if (state != REPORT_QUEUED && (unknown || again))
        tell_state(look, audience, REPORT_QUEUED);
    if (!report_is_active(state) && ran && (unknown || queued))
        tell_state(look, audience, REPORT_PROCESSING);
    tell_state(look, audience, state);
}

static void on_greeting_found(struct look *look, struct audience *audience)
{
    const struct store_find *find = &look->call.op.find;
    struct known *known = audience_known(audience, &look->id);

    if (look->stream == NULL || !report_is_active(find->report.state) ||
        has_change_to_tell(look->streams, &look->id) ||
        stream_greeted(look->stream, &look->id) != NULL ||
        (known != NULL && known->told && known->number > look->stream->begun))
        return;
    if (known == NULL)
        known = audience_know(audience, &look->id);
    if (known != NULL && !known->told)
        known->state = find->report.state;
    stream_tell(look->streams, look->stream,
                &(struct news){.id = look->id,
                               .state = find->report.state,
                               .report = &find->report,
                               .position = find->position});
}

static void on_missed_found(struct look *look, struct audience *audience)
{
    const struct store_find *find = &look->call.op.find;
    const struct known *known = audience_known(audience, &look->id);

    if (has_change_to_tell(look->streams, &look->id) ||
        (known != NULL && known->state == find->report.state))
        return;
    tell_state(look, audience, find->report.state);
}

static void on_progress_found(struct look *look, struct audience *audience)
{
    const struct store_find *find = &look->call.op.find;
    struct known *known = audience_known(audience, &look->id);

    if (known == NULL || known->state != find->report.state ||
        (known->rows == find->report.rows && known->bytes == find->report.bytes &&
         known->position == find->position))
        return;
    known->rows = find->report.rows;
    known->bytes = find->report.bytes;
    known->position = find->position;
    audience_tell(look->streams, audience,
                  &(struct news){.id = look->id,
                                 .state = known->state,
                                 .report = &find->report,
                                 .position = find->position,
                                 .progress = true});
}

static void on_listed(struct look *look, struct audience *audience)
{
    const struct store_list *list = &look->call.op.list;

    if (look->greets && look->stream == NULL)
        return;
    for (size_t i = list->count; i > 0; i--)
        looks_add(look->streams, look->greets ? LOOK_GREETING : LOOK_MISSED, audience, look,
                  &list->reports[i - 1].id);
}

static void tell_answer(struct look *look)
{
    static void (*const found[])(struct look * look, struct audience * audience) = {
        [LOOK_CHANGE] = on_change_found,     [LOOK_LIST] = on_listed,
        [LOOK_GREETING] = on_greeting_found, [LOOK_MISSED] = on_missed_found,
        [LOOK_PROGRESS] = on_progress_found,
    };
    struct streams *streams = look->streams;
    struct audience *audience = audience_find(streams, look->user_id);

    if (audience == NULL || look->dropped)
        return;
    if (look->call.op.rc < 0)
        miss_events(audience, look->stream);
    else if (look->kind == LOOK_LIST || look->call.op.find.found)
        found[look->kind](look, audience);
    else if (look->kind == LOOK_MISSED && audience_known(audience, &look->id) != NULL)
        audience_tell_deleted(streams, audience, &look->id);
}

/* ---- asking, on the thread ---- */

static void on_report_found(struct loop_call *call)
{
    struct look *look = container_of(call, struct look, call);
    struct streams *streams = look->streams;

    lock_take(&streams->lock);
    look->answered = true;
    streams->asked--;
    while ((look = STAILQ_FIRST(&streams->looks)) != NULL && look->answered) {
        tell_answer(look);
        store_op_done(&look->call.op);
        looks_remove_first(streams);
    }
    lock_release(&streams->lock);
    looks_ask(streams);
}

static struct look *next_to_ask(struct streams *streams)
{
    struct look *look;

    lock_take(&streams->lock);
    STAILQ_FOREACH(look, &streams->looks, entry)
    {
        if (!look->asked)
            break;
    }
    if (look != NULL)
        look->asked = true;
    lock_release(&streams->lock);
    return look;
}

static void ask_look(struct streams *streams, struct look *look)
{
    struct store_op *op = &look->call.op;

    if (look->kind == LOOK_LIST) {
        op->verb = STORE_LIST;
        op->list = (struct store_list){.user_id = look->user_id,
                                       .state = (int)look->state,
                                       .page = 1,
                                       .page_size = STORE_ACTIVE_MAX};
    } else {
        op->verb = STORE_FIND;
        op->find = (struct store_find){.id = look->id, .user_id = look->user_id};
    }
    streams->asked++;
    loop_ask(streams->loop, streams->store, &look->call, on_report_found);
}

void looks_ask(struct streams *streams)
{
    struct look *look;

    while (streams->asked < STREAMS_ASKED_MAX && (look = next_to_ask(streams)) != NULL)
        ask_look(streams, look);
}
