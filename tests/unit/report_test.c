/* tests/unit/report_test.c -- the states of a report and the moves that are legal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/report.h"

/* Row: from; column: to. Written out here so that a change of the table has to be meant. */
static const bool legal[REPORT_STATE_COUNT][REPORT_STATE_COUNT] = {
    [REPORT_QUEUED] = {[REPORT_PROCESSING] = true, [REPORT_ERROR] = true, [REPORT_DELETING] = true},
    [REPORT_PROCESSING] = {[REPORT_COMPLETE] = true,
                           [REPORT_ERROR] = true,
                           [REPORT_QUEUED] = true,
                           [REPORT_DELETING] = true},
    [REPORT_COMPLETE] = {[REPORT_DELETING] = true},
    [REPORT_ERROR] = {[REPORT_DELETING] = true},
};

static void only_the_drawn_moves_are_legal(void **state)
{
    (void)state;
    for (int from = 0; from < REPORT_STATE_COUNT; from++) {
        for (int to = 0; to < REPORT_STATE_COUNT; to++)
            assert_int_equal(report_may_move((enum report_state)from, (enum report_state)to),
                             legal[from][to]);
    }
}

static void a_state_is_found_by_its_name_only(void **state)
{
    enum report_state found = REPORT_STATE_COUNT;

    (void)state;
    for (int i = 0; i < REPORT_STATE_COUNT; i++) {
        assert_true(report_state_parse(report_state_name((enum report_state)i), &found));
        assert_int_equal(found, i);
    }
    found = REPORT_ERROR;
    assert_false(report_state_parse("Queued", &found));
    assert_false(report_state_parse("", &found));
    assert_int_equal(found, REPORT_ERROR);
}

static void queued_and_processing_are_active(void **state)
{
    (void)state;
    for (int i = 0; i < REPORT_STATE_COUNT; i++)
        assert_int_equal(report_is_active((enum report_state)i),
                         i == REPORT_QUEUED || i == REPORT_PROCESSING);
}

static void a_report_that_is_done_owns_nothing(void **state)
{
    struct report report = {.name = strdup("R"), .parameters = strdup("{}"), .rows = 5};

    (void)state;
    report_done(&report);
    assert_null(report.name);
    assert_int_equal(report.rows, 0);
    report_done(&report);
    report_done(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_drawn_moves_are_legal),
        cmocka_unit_test(a_state_is_found_by_its_name_only),
        cmocka_unit_test(queued_and_processing_are_active),
        cmocka_unit_test(a_report_that_is_done_owns_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
