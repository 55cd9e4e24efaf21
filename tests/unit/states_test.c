/* tests/unit/states_test.c -- the tables of job phases and worker states. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "proc/states.h"

static void every_job_phase_is_reached_and_leads_to_the_end(void **state)
{
    unsigned reached = 1u << JOB_NEW, ends = 1u << JOB_OVER;

    (void)state;
    for (int round = 0; round < JOB_PHASE_COUNT; round++) {
        for (int from = 0; from < JOB_PHASE_COUNT; from++) {
            for (int to = 0; to < JOB_PHASE_COUNT; to++) {
                if (!job_may_enter(from, to))
                    continue;
                reached |= reached & 1u << from ? 1u << to : 0;
                ends |= ends & 1u << to ? 1u << from : 0;
            }
        }
    }
    assert_int_equal(reached, (1u << JOB_PHASE_COUNT) - 1);
    assert_int_equal(ends, (1u << JOB_PHASE_COUNT) - 1);
    for (int to = 0; to < JOB_PHASE_COUNT; to++)
        assert_false(job_may_enter(JOB_OVER, to));
}

static void a_worker_that_was_killed_gets_no_work_before_its_process_has_ended(void **state)
{
    (void)state;
    for (int to = 0; to < WORKER_STATE_COUNT; to++)
        assert_int_equal(worker_may_enter(WORKER_DYING, to), to == WORKER_ABSENT);
    assert_false(worker_may_enter(WORKER_ABSENT, WORKER_BUSY));
    assert_string_equal(worker_state_name(WORKER_DYING), "dying");
}

static void a_job_that_ended_or_was_stopped_does_not_run_again(void **state)
{
    (void)state;
    for (int from = 0; from < JOB_PHASE_COUNT; from++)
        assert_int_equal(job_may_enter(from, JOB_RUNNING), from == JOB_NEW);
    assert_string_equal(job_phase_name(JOB_OVERDUE), "overdue");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_job_phase_is_reached_and_leads_to_the_end),
        cmocka_unit_test(a_worker_that_was_killed_gets_no_work_before_its_process_has_ended),
        cmocka_unit_test(a_job_that_ended_or_was_stopped_does_not_run_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
