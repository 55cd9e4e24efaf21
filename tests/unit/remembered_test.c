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
#include "http/bearer.h"
#include "http/completed.h"

enum { THREADS = 4, ROUNDS = 2000, MANY = 100000, TOKENS = 150000 };

/* ---- tokens ---- */

static struct bearer *make(const char *token, uint64_t stamp)
{
    struct token_claims claims = {.expires_s = 5};
    struct user user = {.id = (int64_t)stamp, .name = strdup(token)};
    struct bearer *bearer = bearer_new(token, &claims, &user, stamp);

    assert_non_null(bearer);
    assert_null(user.name);
    return bearer;
}

static void know(struct bearers *bearers, const char *token, uint64_t stamp)
{
    struct bearer *bearer = make(token, stamp);

    bearers_keep(bearers, bearer);
    bearer_release(bearer);
}

static void a_token_is_known_once_it_is_kept(void **state)
{
    struct bearers *bearers = bearers_new();
    struct bearer *found;

    (void)state;
    assert_null(bearers_find(bearers, "abc"));
    know(bearers, "abc", 7);
    found = bearers_find(bearers, "abc");
    assert_non_null(found);
    assert_int_equal(found->stamp, 7);
    assert_int_equal(found->claims.expires_s, 5);
    assert_string_equal(found->user.name, "abc");
    bearer_release(found);
    bearers_free(bearers);
}

static void only_the_whole_token_is_known(void **state)
{
    struct bearers *bearers = bearers_new();

    (void)state;
    know(bearers, "abc", 7);
    assert_null(bearers_find(bearers, "ab"));
    assert_null(bearers_find(bearers, "abcd"));
    assert_null(bearers_find(bearers, "abd"));
    assert_null(bearers_find(bearers, ""));
    bearers_free(bearers);
}

static void a_token_that_is_kept_again_is_the_newer_one(void **state)
{
    struct bearers *bearers = bearers_new();
    struct bearer *found;

    (void)state;
    know(bearers, "abc", 7);
    know(bearers, "abc", 8);
    found = bearers_find(bearers, "abc");
    assert_int_equal(found->stamp, 8);
    bearer_release(found);
    bearers_free(bearers);
}

static void who_holds_a_bearer_keeps_it_when_others_take_its_place(void **state)
{
    struct bearers *bearers = bearers_new();
    struct bearer *held = make("held", 1);
    char token[16];

    (void)state;
    bearers_keep(bearers, held);
    for (int i = 0; i < TOKENS; i++) {
        snprintf(token, sizeof(token), "t%d", i);
        know(bearers, token, 2);
    }
    assert_null(bearers_find(bearers, "held")); /* as many as that do not fit */
    assert_string_equal(held->user.name, "held");
    bearers_free(bearers);
    assert_string_equal(held->token, "held");
    bearer_release(held);
}

static void *find_and_keep(void *arg)
{
    struct bearers *bearers = arg;
    char token[16];

    for (int i = 0; i < ROUNDS; i++) {
        struct bearer *found;

        snprintf(token, sizeof(token), "t%d", i % 8);
        found = bearers_find(bearers, token);
        if (found != NULL && strcmp(found->user.name, token) != 0)
            return arg; /* another's user */
        bearer_release(found);
        if (i % 3 == 0)
            know(bearers, token, (uint64_t)i + 1);
    }
    return NULL;
}

static void tokens_are_found_and_kept_by_many_threads(void **state)
{
    struct bearers *bearers = bearers_new();
    pthread_t threads[THREADS];
    void *wrong;

    (void)state;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, find_and_keep, bearers), 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    bearers_free(bearers);
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

static bool known(struct completed *completed, const struct report *report, uint64_t stamp)
{
    struct report found;

    return completed_find(completed, &report->id, report->user_id, stamp, &found);
}

static void a_complete_report_is_remembered(void **state)
{
    struct completed *completed = completed_new();
    struct report report = complete(), found;

    (void)state;
    assert_false(known(completed, &report, 5));
    completed_keep(completed, &report, 5);
    assert_true(completed_find(completed, &report.id, 3, 5, &found));
    assert_true(guid_eq(&found.id, &report.id));
    assert_int_equal(found.state, REPORT_COMPLETE);
    assert_int_equal(found.attempt, 2);
    assert_int_equal(found.rows, 77);
    completed_free(completed);
}

static void what_has_changed_is_not_remembered(void **state)
{
    struct completed *completed = completed_new();
    struct report report = complete();

    (void)state;
    completed_keep(completed, &report, 5);
    assert_false(known(completed, &report, 6));
    assert_false(known(completed, &report, 0));
    completed_keep(completed, &report, 6);
    assert_true(known(completed, &report, 6));
    assert_false(known(completed, &report, 5));
    completed_free(completed);
}

static void without_a_stamp_nothing_is_remembered(void **state)
{
    struct completed *completed = completed_new();
    struct report report = complete();

    (void)state;
    completed_keep(completed, &report, 0);
    assert_false(known(completed, &report, 0));
    completed_free(completed);
}

static void only_complete_reports_are_remembered(void **state)
{
    struct completed *completed = completed_new();

    (void)state;
    for (int i = 0; i < REPORT_STATE_COUNT; i++) {
        struct report report = complete();

        report.state = (enum report_state)i;
        completed_keep(completed, &report, 5);
        assert_int_equal(known(completed, &report, 5), i == REPORT_COMPLETE);
    }
    completed_free(completed);
}

static void a_report_is_remembered_for_its_user_only(void **state)
{
    struct completed *completed = completed_new();
    struct report report = complete(), found;

    (void)state;
    completed_keep(completed, &report, 5);
    assert_false(completed_find(completed, &report.id, 4, 5, &found));
    completed_free(completed);
}

static void an_expired_report_is_not_remembered(void **state)
{
    struct completed *completed = completed_new();
    struct report report = complete();

    (void)state;
    report.expires_ms = clock_now_ms();
    completed_keep(completed, &report, 5);
    assert_false(known(completed, &report, 5));
    completed_free(completed);
}

static void a_hundred_thousand_reports_fit(void **state)
{
    static struct report reports[MANY];
    struct completed *completed = completed_new();
    int count = 0;

    (void)state;
    for (int i = 0; i < MANY; i++) {
        reports[i] = complete();
        completed_keep(completed, &reports[i], 5);
    }
    for (int i = 0; i < MANY; i++)
        count += known(completed, &reports[i], 5);
    assert_in_range(count, MANY * 95 / 100, MANY);
    completed_free(completed);
}

static struct report shared[16];

static void *find_and_remember(void *arg)
{
    struct completed *completed = arg;
    struct report found;

    for (int i = 0; i < ROUNDS; i++) {
        struct report *report = &shared[i % 16];

        if (completed_find(completed, &report->id, 3, 5, &found) &&
            !guid_eq(&found.id, &report->id))
            return arg; /* another report */
        completed_keep(completed, report, i % 5 == 0 ? 6 : 5);
    }
    return NULL;
}

static void reports_are_found_and_remembered_by_many_threads(void **state)
{
    struct completed *completed = completed_new();
    pthread_t threads[THREADS];
    void *wrong;

    (void)state;
    for (int i = 0; i < 16; i++)
        shared[i] = complete();
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, find_and_remember, completed), 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    completed_free(completed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_is_known_once_it_is_kept),
        cmocka_unit_test(only_the_whole_token_is_known),
        cmocka_unit_test(a_token_that_is_kept_again_is_the_newer_one),
        cmocka_unit_test(who_holds_a_bearer_keeps_it_when_others_take_its_place),
        cmocka_unit_test(tokens_are_found_and_kept_by_many_threads),
        cmocka_unit_test(a_complete_report_is_remembered),
        cmocka_unit_test(what_has_changed_is_not_remembered),
        cmocka_unit_test(without_a_stamp_nothing_is_remembered),
        cmocka_unit_test(only_complete_reports_are_remembered),
        cmocka_unit_test(a_report_is_remembered_for_its_user_only),
        cmocka_unit_test(an_expired_report_is_not_remembered),
        cmocka_unit_test(a_hundred_thousand_reports_fit),
        cmocka_unit_test(reports_are_found_and_remembered_by_many_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
