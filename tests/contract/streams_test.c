/* tests/contract/streams_test.c -- what event streams tell of the changes in a store. */
#include "contract/store_fixture.h"

#include <sys/socket.h>

#include "proc/streams_impl.h"

enum { TEXT_MAX = 4 << 20 };

/* A store that tells its streams, and the client of one. */
struct line {
    struct fixture *f;
    struct streams *streams;
    struct stream *stream;
    int server, client;
    struct guid session;
    struct countdown news;
    ssize_t last; /* of stream_take() */
    size_t len;
    char text[TEXT_MAX];
};

static void on_change(void *context, const struct store_change *change)
{
    streams_on_change(context, change);
}

static void log_in(struct line *line)
{
    struct store_op op = {.verb = STORE_LOGIN};

    line->session = guid_new();
    op.login = (struct store_login){.user_id = line->f->ann,
                                    .password_ok = true,
                                    .session = line->session,
                                    .access = guid_new(),
                                    .now_ms = store_now_ms(line->f->store),
                                    .refresh_expires_ms = store_now_ms(line->f->store) + DAY_MS};
    assert_int_equal(run(line->f->store, &op), 0);
    store_op_done(&op);
}

static void begin(struct line *line, const char *last_id)
{
    int ends[2];
    struct err err = {0};
    struct stream_spec spec = {.user_id = line->f->ann,
                               .session = line->session,
                               .ends_ms = INT64_MAX,
                               .last_id = last_id};

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    line->server = spec.fd = ends[0];
    line->client = ends[1];
    line->len = 0;
    assert_int_equal(stream_open(line->streams, &spec, &line->stream, &err), 0);
    lock_take(&line->streams->lock);
    line->stream->began_ms = NOW_MS; /* before its reports, as their clock says */
    lock_release(&line->streams->lock);
}

static void end(struct line *line)
{
    stream_close(line->stream);
    close(line->server);
    if (line->client >= 0)
        close(line->client);
}

static struct line *open_line(struct fixture *f)
{
    struct line *line = calloc(1, sizeof(*line));

    assert_non_null(line);
    line->f = f;
    line->streams = streams_new(f->store);
    assert_non_null(line->streams);
    store_listen(f->store, on_change, line->streams);
    log_in(line);
    begin(line, NULL);
    return line;
}

static void close_line(struct line *line)
{
    end(line);
    streams_stop(line->streams);
    streams_close(line->streams);
    store_free(line->f->store);
    line->f->store = NULL;
    streams_free(line->streams);
    free(line);
}

static void on_news(void *owner)
{
    latch_down(owner);
}

/* Read until there is something; false: the stream has ended. */
static bool take(struct line *line)
{
    while ((line->last =
                stream_take(line->stream, line->text + line->len, TEXT_MAX - 1 - line->len)) == 0) {
        struct countdown news = LATCH(1);

        stream_await(line->stream, on_news, &news);
        latch_await(&news);
    }
    if (line->last > 0)
        line->len += (size_t)line->last;
    line->text[line->len] = '\0';
    return line->last > 0;
}

/* The last thing that is told of a report and has `words`; NULL: nothing yet. */
static const char *told(const struct line *line, const struct guid *id, const char *words)
{
    char key[GUID_TEXT + 32], reference[GUID_TEXT];
    const char *found = NULL, *at;

    guid_format(id, reference);
    snprintf(key, sizeof(key), "{\"reference\":\"%s\"", reference);
    for (at = strstr(line->text, key); at != NULL; at = strstr(at + 1, key)) {
        const char *where = strstr(at, words);

        if (where != NULL && where < strchr(at, '\n'))
            found = at;
    }
    return found;
}

static void await(struct line *line, const struct guid *id, const char *words)
{
    while (told(line, id, words) == NULL)
        assert_true(take(line));
}

static int count(const struct line *line, const struct guid *id)
{
    char reference[GUID_TEXT];
    int n = 0;

    guid_format(id, reference);
    for (const char *at = strstr(line->text, reference); at != NULL; at = strstr(at + 1, reference))
        n++;
    return n;
}

static void every_change_is_told_in_its_order(void **state)
{
    struct line *line = open_line(*state);
    struct guid ids[20];

    for (int i = 0; i < 20; i++)
        ids[i] = report_in(line->f, line->f->ann, i % 2 == 0 ? REPORT_COMPLETE : REPORT_ERROR).id;
    for (int i = 0; i < 20; i++) {
        await(line, &ids[i], i % 2 == 0 ? "complete" : "It did not work.");
        assert_non_null(told(line, &ids[i], "queued"));
        assert_true(told(line, &ids[i], "queued") < told(line, &ids[i], "processing"));
        assert_true(told(line, &ids[i], "processing") <
                    told(line, &ids[i], i % 2 == 0 ? "complete" : "error"));
        assert_int_equal(count(line, &ids[i]), 3);
    }
    close_line(line);
}

static void a_requeued_report_is_told_as_queued_again(void **state)
{
    struct line *line = open_line(*state);
    struct store_ref ref = report_in(line->f, line->f->ann, REPORT_PROCESSING);
    const char *first;

    await(line, &ref.id, "processing");
    first = told(line, &ref.id, "queued");
    assert_true(requeue(line->f, ref, false));
    while (told(line, &ref.id, "queued") == first)
        assert_true(take(line));
    close_line(line);
}

static void hear(struct line *line, const struct guid *id, enum report_state state)
{
    const struct store_change change = {.id = *id, .user_id = line->f->ann, .state = state};

    streams_on_change(line->streams, &change);
}

/* As several connections to a database may tell them. */
static void changes_that_are_heard_out_of_order_are_told_in_order(void **state)
{
    struct line *line = open_line(*state);
    struct fixture other = *line->f;
    struct guid id, last;

    last = report_in(line->f, line->f->ann, REPORT_COMPLETE).id; /* the stream has begun */
    await(line, &last, "complete");
    other.store = open_store(line->f); /* nobody listens to it */
    id = report_in(&other, line->f->ann, REPORT_COMPLETE).id;
    hear(line, &id, REPORT_PROCESSING);
    hear(line, &id, REPORT_QUEUED);
    hear(line, &id, REPORT_COMPLETE);
    hear(line, &id, REPORT_COMPLETE);
    last = report_in(line->f, line->f->ann, REPORT_COMPLETE).id;
    await(line, &last, "complete");
    assert_true(told(line, &id, "queued") < told(line, &id, "processing"));
    assert_true(told(line, &id, "processing") < told(line, &id, "complete"));
    assert_int_equal(count(line, &id), 3);
    store_free(other.store);
    close_line(line);
}

static void what_is_heard_late_is_not_told_to_a_stream_that_began_later(void **state)
{
    struct line *line = open_line(*state);
    struct fixture other = *line->f;
    struct guid id, last = report_in(line->f, line->f->ann, REPORT_COMPLETE).id;

    await(line, &last, "complete"); /* the stream has begun, and greeted nobody */
    line->stream->began_ms = NOW_MS + DAY_MS;
    other.store = open_store(line->f); /* nobody listens to it */
    id = report_in(&other, line->f->ann, REPORT_COMPLETE).id;
    hear(line, &id, REPORT_QUEUED);
    hear(line, &id, REPORT_COMPLETE);
    await(line, &id, "complete");
    assert_null(told(line, &id, "\"queued\""));
    assert_null(told(line, &id, "\"processing\""));
    store_free(other.store);
    close_line(line);
}

/* A stream begins between the commits of these changes and their notifications. */
static struct store_ref begin_before_notifications(struct line *line, int64_t submitted_ms)
{
    struct store_op op = submit_op(line->f->ann);
    struct store_ref ref;
    struct guid last;

    end(line);
    store_listen(line->f->store, NULL, NULL);
    op.submit.now_ms = submitted_ms;
    assert_int_equal(run(line->f->store, &op), 0);
    assert_true(claim(line->f, &ref));
    store_listen(line->f->store, on_change, line->streams);
    begin(line, NULL);
    await(line, &ref.id, "\"processing\"");
    hear(line, &ref.id, REPORT_QUEUED);
    hear(line, &ref.id, REPORT_PROCESSING);
    last = submit(line->f, line->f->ann);
    await(line, &last, "queued"); /* and so they are told before */
    tombstone(line->f, last, line->f->ann);
    return ref;
}

static void what_a_stream_began_with_is_not_told_again_later(void **state)
{
    struct line *line = open_line(*state);
    struct store_ref ref = begin_before_notifications(line, NOW_MS - DAY_MS), again;

    assert_true(requeue(line->f, ref, false));
    await(line, &ref.id, "\"queued\"");
    assert_int_equal(count(line, &ref.id), 2);
    assert_true(claim(line->f, &again));
    assert_true(finish(line->f, again, REPORT_COMPLETE));
    await(line, &ref.id, "complete");
    assert_true(told(line, &ref.id, "\"queued\"") < told(line, &ref.id, "\"processing\""));
    close_line(line);
}

static void a_report_that_is_submitted_while_a_stream_begins_is_told_as_queued_first(void **state)
{
    struct line *line = open_line(*state);
    struct store_ref ref = begin_before_notifications(line, store_now_ms(line->f->store) + DAY_MS);

    assert_true(finish(line->f, ref, REPORT_COMPLETE));
    await(line, &ref.id, "complete");
    assert_non_null(told(line, &ref.id, "\"queued\""));
    assert_true(told(line, &ref.id, "\"queued\"") < told(line, &ref.id, "\"processing\""));
    assert_int_equal(count(line, &ref.id), 3);
    close_line(line);
}

static void a_deletion_drops_what_was_not_taken(void **state)
{
    struct line *line = open_line(*state);
    struct guid first = report_in(line->f, line->f->ann, REPORT_COMPLETE).id, second;

    await(line, &first, "complete");
    tombstone(line->f, first, line->f->ann);
    second = report_in(line->f, line->f->ann, REPORT_COMPLETE).id;
    tombstone(line->f, second, line->f->ann);
    await(line, &first, "deleted");
    await(line, &second, "deleted");
    assert_int_equal(count(line, &first), 4);
    assert_int_equal(count(line, &second), 1);
    close_line(line);
}

static void a_client_that_is_too_slow_is_cut_off(void **state)
{
    struct line *line = open_line(*state);

    /* The last of them is deleted only once all others are told, or dropped. */
    for (int i = 0; i <= STREAM_UNSENT_MAX; i++) {
        struct guid id = submit(line->f, line->f->ann);

        tombstone(line->f, id, line->f->ann);
        delete_row(line->f, id);
    }
    while (take(line))
        continue;
    assert_int_equal(line->last, STREAM_BROKEN);
    close_line(line);
}

static void missed_news_are_looked_for(void **state)
{
    struct line *line = open_line(*state);
    struct fixture other = *line->f;
    struct store_ref known = report_in(line->f, line->f->ann, REPORT_PROCESSING);
    struct guid gone = submit(line->f, line->f->ann), fresh;
    bool shared = store_is_shared(line->f->store); /* else it is sure what is active */

    await(line, &known.id, "processing");
    await(line, &gone, "queued");
    other.store = open_store(line->f); /* nobody listens to it */
    assert_true(finish(&other, known, REPORT_COMPLETE));
    tombstone(&other, gone, line->f->ann);
    fresh = submit(&other, line->f->ann);
    streams_on_change(line->streams, NULL);
    await(line, &known.id, "complete");
    await(line, &gone, "deleted");
    if (shared)
        await(line, &fresh, "queued");
    store_free(other.store);
    close_line(line);
}

static void a_client_that_hangs_up_ends_its_stream(void **state)
{
    struct line *line = open_line(*state);

    close(line->client);
    line->client = -1;
    while (take(line))
        continue;
    assert_int_equal(line->last, STREAM_BROKEN);
    close_line(line);
}

static void read_last_id(const struct line *line, char last_id[STREAM_ID_TEXT])
{
    for (const char *at = strstr(line->text, "id: "); at != NULL; at = strstr(at + 1, "\nid: "))
        sscanf(at + strspn(at, "\n"), "id: %63s", last_id);
}

static void a_client_that_comes_again_is_told_what_it_missed(void **state)
{
    struct line *line = open_line(*state);
    struct guid first = report_in(line->f, line->f->ann, REPORT_COMPLETE).id, second;
    char last_id[STREAM_ID_TEXT] = "";

    await(line, &first, "complete");
    read_last_id(line, last_id);
    end(line);
    second = report_in(line->f, line->f->ann, REPORT_COMPLETE).id;
    begin(line, last_id);
    await(line, &second, "complete");
    assert_non_null(told(line, &second, "queued"));
    assert_int_equal(count(line, &first), 0);
    close_line(line);
}

static void forget_audience(struct line *line)
{
    struct streams *streams = line->streams;

    lock_take(&streams->lock);
    audience_remove(streams, audience_find(streams, line->f->ann));
    lock_release(&streams->lock);
}

/* The first number of the new audience is not one of the old. */
static void a_client_that_comes_again_too_late_begins_anew(void **state)
{
    struct line *line = open_line(*state);
    struct guid first = report_in(line->f, line->f->ann, REPORT_COMPLETE).id, running;
    char last_id[STREAM_ID_TEXT] = "";

    await(line, &first, "queued");
    read_last_id(line, last_id);
    await(line, &first, "complete");
    end(line);
    forget_audience(line);
    running = submit(line->f, line->f->ann);
    begin(line, NULL);
    await(line, &running, "queued");
    assert_null(strstr(line->text, "id: ")); /* it is told again to who comes again */
    end(line);
    begin(line, last_id);
    await(line, &running, "queued");
    close_line(line);
}

static void an_ended_session_ends_its_streams(void **state)
{
    struct line *line = open_line(*state);

    line->session = guid_new(); /* there is none */
    end(line);
    begin(line, NULL);
    while (take(line))
        continue;
    assert_int_equal(line->last, STREAM_OVER);
    close_line(line);
}

int main(void)
{
    struct CMUnitTest tests[] = {
        STORE_TEST(every_change_is_told_in_its_order),
        STORE_TEST(a_requeued_report_is_told_as_queued_again),
        STORE_TEST(changes_that_are_heard_out_of_order_are_told_in_order),
        STORE_TEST(what_is_heard_late_is_not_told_to_a_stream_that_began_later),
        STORE_TEST(what_a_stream_began_with_is_not_told_again_later),
        STORE_TEST(a_report_that_is_submitted_while_a_stream_begins_is_told_as_queued_first),
        STORE_TEST(a_deletion_drops_what_was_not_taken),
        STORE_TEST(a_client_that_is_too_slow_is_cut_off),
        STORE_TEST(missed_news_are_looked_for),
        STORE_TEST(a_client_that_hangs_up_ends_its_stream),
        STORE_TEST(a_client_that_comes_again_is_told_what_it_missed),
        STORE_TEST(a_client_that_comes_again_too_late_begins_anew),
        STORE_TEST(an_ended_session_ends_its_streams),
    };

    return RUN_ON_EVERY_BACKEND(tests);
}
