/* tests/unit/remembered_test.c -- what the server remembers of tokens and of complete reports. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "http/status_cache.h"
#include "http/token_cache.h"

enum { THREADS = 4, ROUNDS = 2000, MANY = 100000, TOKENS = 150000 };

/* ---- tokens ---- */

static struct cached_token *make(const char *token, uint64_t version)
{
    struct token_claims claims = {.expires_s = 5};
    struct user user = {.id = (int64_t)version, .name = strdup(token)};
    struct cached_token *cached_token = cached_token_new(&claims, &user, version);

    assert_non_null(cached_token);
    assert_null(user.name);
    return cached_token;
}

static void know(struct token_cache *token_cache, const char *token, uint64_t version)
{
    struct cached_token *cached_token = make(token, version);

    token_cache_keep(token_cache, token, cached_token, token_cache_age(token_cache));
    cached_token_release(cached_token);
}

static void a_token_is_known_once_it_is_kept(void **state)
{
    struct token_cache *token_cache = token_cache_new();
    struct cached_token *found;

    (void)state;
    assert_null(token_cache_find(token_cache, "abc"));
    know(token_cache, "abc", 7);
    found = token_cache_find(token_cache, "abc");
    assert_non_null(found);
    assert_int_equal(found->version, 7);
    assert_int_equal(found->claims.expires_s, 5);
    assert_string_equal(found->user.name, "abc");
    cached_token_release(found);
    token_cache_free(token_cache);
}

static void only_the_whole_token_is_known(void **state)
{
    struct token_cache *token_cache = token_cache_new();

    (void)state;
    know(token_cache, "abc", 7);
    assert_null(token_cache_find(token_cache, "ab"));
    assert_null(token_cache_find(token_cache, "abcd"));
    assert_null(token_cache_find(token_cache, "abd"));
    assert_null(token_cache_find(token_cache, ""));
    token_cache_free(token_cache);
}

static void a_token_that_is_kept_again_is_the_newer_one(void **state)
{
    struct token_cache *token_cache = token_cache_new();
    struct cached_token *found;

    (void)state;
    know(token_cache, "abc", 7);
    know(token_cache, "abc", 8);
    found = token_cache_find(token_cache, "abc");
    assert_int_equal(found->version, 8);
    cached_token_release(found);
    token_cache_free(token_cache);
}

static void who_holds_a_bearer_keeps_it_when_others_take_its_place(void **state)
{
    struct token_cache *token_cache = token_cache_new();
    struct cached_token *held = make("held", 1);
    char token[16];

    (void)state;
    token_cache_keep(token_cache, "held", held, token_cache_age(token_cache));
    for (int i = 0; i < TOKENS; i++) {
        snprintf(token, sizeof(token), "t%d", i);
        know(token_cache, token, 2);
    }
    assert_null(token_cache_find(token_cache, "held")); /* as many as that do not fit */
    assert_string_equal(held->user.name, "held");
    token_cache_free(token_cache);
    assert_string_equal(held->user.name, "held");
    cached_token_release(held);
}

/* Bytes of all that is known. */
static size_t known_bytes(struct token_cache *token_cache, int count)
{
    size_t bytes = 0;
    char token[16];

    for (int i = 0; i < count; i++) {
        struct cached_token *found;

        snprintf(token, sizeof(token), "t%d", i);
        found = token_cache_find(token_cache, token);
        bytes += found != NULL ? found->bytes : 0;
        cached_token_release(found);
    }
    return bytes;
}

static void many_tokens_of_users_in_many_groups_are_bounded_in_bytes(void **state)
{
    enum { COUNT = 20000, MOST = 32 << 20, LARGE = 7000, TOO_LARGE = 9000 };
    struct token_cache *token_cache = token_cache_new();
    char groups[TOO_LARGE + 1], token[16];

    (void)state;
    memset(groups, 'g', TOO_LARGE);
    groups[TOO_LARGE] = '\0';
    for (int i = 0; i < COUNT; i++) {
        struct cached_token *large;

        snprintf(token, sizeof(token), "t%d", i);
        large = make(token, 1);
        large->session_claims = strndup(groups, LARGE);
        token_cache_keep(token_cache, token, large, token_cache_age(token_cache));
        cached_token_release(large);
    }
    assert_in_range(known_bytes(token_cache, COUNT), MOST / 2, MOST);
    {
        struct cached_token *large = make("too large", 1);

        large->session_claims = strndup(groups, TOO_LARGE);
        token_cache_keep(token_cache, "too large", large, token_cache_age(token_cache));
        cached_token_release(large);
    }
    assert_null(token_cache_find(token_cache, "too large"));
    token_cache_free(token_cache);
}

/* One that was being looked up when a key went: whoever sends it without a pause would keep it. */
static void a_token_from_before_the_cache_forgot_is_not_kept(void **state)
{
    struct token_cache *token_cache = token_cache_new();
    struct cached_token *late = make("late", 1);
    uint64_t age = token_cache_age(token_cache);

    (void)state;
    token_cache_keep(token_cache, "late", late, age);
    token_cache_forget(token_cache);
    token_cache_keep(token_cache, "late", late, age);
    assert_null(token_cache_find(token_cache, "late"));
    cached_token_release(late);
    know(token_cache, "late", 2);
    late = token_cache_find(token_cache, "late");
    assert_non_null(late);
    cached_token_release(late);
    token_cache_free(token_cache);
}

static void *find_and_keep(void *arg)
{
    struct token_cache *token_cache = arg;
    char token[16];

    for (int i = 0; i < ROUNDS; i++) {
        struct cached_token *found;

        snprintf(token, sizeof(token), "t%d", i % 8);
        found = token_cache_find(token_cache, token);
        if (found != NULL && strcmp(found->user.name, token) != 0)
            return arg; /* another's user */
        cached_token_release(found);
        if (i % 3 == 0)
            know(token_cache, token, (uint64_t)i + 1);
    }
    return NULL;
}

static void tokens_are_found_and_kept_by_many_threads(void **state)
{
    struct token_cache *token_cache = token_cache_new();
    pthread_t threads[THREADS];
    void *wrong;

    (void)state;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, find_and_keep, token_cache), 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    token_cache_free(token_cache);
}

/* ---- complete reports ---- */

static struct report complete(void)
{
    return (struct report){.id = guid_new(),
                           .user_id = 3,
                           .state = REPORT_COMPLETE,
                           .attempt = 2,
                           .rows = 77,
                           .expires_ms = clock_now_ms() + 60000};
}

static bool known(struct status_cache *status_cache, const struct report *report, uint64_t version)
{
    struct report found;

    return status_cache_find(status_cache, &report->id, report->user_id, version, &found);
}

static void a_complete_report_is_remembered(void **state)
{
    struct status_cache *status_cache = status_cache_new();
    struct report report = complete(), found;

    (void)state;
    assert_false(known(status_cache, &report, 5));
    status_cache_keep(status_cache, &report, 5);
    assert_true(status_cache_find(status_cache, &report.id, 3, 5, &found));
    assert_true(guid_eq(&found.id, &report.id));
    assert_int_equal(found.state, REPORT_COMPLETE);
    assert_int_equal(found.attempt, 2);
    assert_int_equal(found.rows, 77);
    status_cache_free(status_cache);
}

static void what_has_changed_is_not_remembered(void **state)
{
    struct status_cache *status_cache = status_cache_new();
    struct report report = complete();

    (void)state;
    status_cache_keep(status_cache, &report, 5);
    assert_false(known(status_cache, &report, 6));
    assert_false(known(status_cache, &report, 0));
    status_cache_keep(status_cache, &report, 6);
    assert_true(known(status_cache, &report, 6));
    assert_false(known(status_cache, &report, 5));
    status_cache_free(status_cache);
}

static void without_a_version_nothing_is_cached(void **state)
{
    struct status_cache *status_cache = status_cache_new();
    struct report report = complete();

    (void)state;
    status_cache_keep(status_cache, &report, 0);
    assert_false(known(status_cache, &report, 0));
    status_cache_free(status_cache);
}

static void only_complete_reports_are_remembered(void **state)
{
    struct status_cache *status_cache = status_cache_new();

    (void)state;
    for (int i = 0; i < REPORT_STATE_COUNT; i++) {
        struct report report = complete();

        report.state = (enum report_state)i;
        status_cache_keep(status_cache, &report, 5);
        assert_int_equal(known(status_cache, &report, 5), i == REPORT_COMPLETE);
    }
    status_cache_free(status_cache);
}

static void a_report_is_remembered_for_its_user_only(void **state)
{
    struct status_cache *status_cache = status_cache_new();
    struct report report = complete(), found;

    (void)state;
    status_cache_keep(status_cache, &report, 5);
    assert_false(status_cache_find(status_cache, &report.id, 4, 5, &found));
    status_cache_free(status_cache);
}

static void an_expired_report_is_not_remembered(void **state)
{
    struct status_cache *status_cache = status_cache_new();
    struct report report = complete();

    (void)state;
    report.expires_ms = clock_now_ms();
    status_cache_keep(status_cache, &report, 5);
    assert_false(known(status_cache, &report, 5));
    status_cache_free(status_cache);
}

static void a_hundred_thousand_reports_fit(void **state)
{
    static struct report reports[MANY];
    struct status_cache *status_cache = status_cache_new();
    int count = 0;

    (void)state;
    for (int i = 0; i < MANY; i++) {
        reports[i] = complete();
        status_cache_keep(status_cache, &reports[i], 5);
    }
    for (int i = 0; i < MANY; i++)
        count += known(status_cache, &reports[i], 5);
    assert_in_range(count, MANY * 95 / 100, MANY);
    status_cache_free(status_cache);
}

static struct report shared[16];

static void *find_and_remember(void *arg)
{
    struct status_cache *status_cache = arg;
    struct report found;

    for (int i = 0; i < ROUNDS; i++) {
        struct report *report = &shared[i % 16];

        if (status_cache_find(status_cache, &report->id, 3, 5, &found) &&
            !guid_eq(&found.id, &report->id))
            return arg; /* another report */
        status_cache_keep(status_cache, report, i % 5 == 0 ? 6 : 5);
    }
    return NULL;
}

static void reports_are_found_and_remembered_by_many_threads(void **state)
{
    struct status_cache *status_cache = status_cache_new();
    pthread_t threads[THREADS];
    void *wrong;

    (void)state;
    for (int i = 0; i < 16; i++)
        shared[i] = complete();
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, find_and_remember, status_cache), 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    status_cache_free(status_cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_is_known_once_it_is_kept),
        cmocka_unit_test(only_the_whole_token_is_known),
        cmocka_unit_test(a_token_that_is_kept_again_is_the_newer_one),
        cmocka_unit_test(who_holds_a_bearer_keeps_it_when_others_take_its_place),
        cmocka_unit_test(many_tokens_of_users_in_many_groups_are_bounded_in_bytes),
        cmocka_unit_test(a_token_from_before_the_cache_forgot_is_not_kept),
        cmocka_unit_test(tokens_are_found_and_kept_by_many_threads),
        cmocka_unit_test(a_complete_report_is_remembered),
        cmocka_unit_test(what_has_changed_is_not_remembered),
        cmocka_unit_test(without_a_version_nothing_is_cached),
        cmocka_unit_test(only_complete_reports_are_remembered),
        cmocka_unit_test(a_report_is_remembered_for_its_user_only),
        cmocka_unit_test(an_expired_report_is_not_remembered),
        cmocka_unit_test(a_hundred_thousand_reports_fit),
        cmocka_unit_test(reports_are_found_and_remembered_by_many_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
