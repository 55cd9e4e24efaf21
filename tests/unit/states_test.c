/* tests/unit/states_test.c -- the tables of job phases and worker states. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

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

static void break_a_rule(int which)
{
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

    dup2(null, STDERR_FILENO);
    signal(SIGABRT, SIG_DFL);
    if (which == 0)
        job_check_move(JOB_OVER, JOB_RUNNING);
    else
        worker_check_move(WORKER_DYING, WORKER_BUSY);
    _exit(0);
}

static void a_move_that_is_not_in_the_table_ends_the_process(void **state)
{
    (void)state;
    job_check_move(JOB_NEW, JOB_RUNNING);
    worker_check_move(WORKER_IDLE, WORKER_BUSY);
    for (int which = 0; which < 2; which++) {
        pid_t pid = fork();
        int status;

        if (pid == 0)
            break_a_rule(which);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_job_phase_is_reached_and_leads_to_the_end),
        cmocka_unit_test(a_worker_that_was_killed_gets_no_work_before_its_process_has_ended),
        cmocka_unit_test(a_job_that_ended_or_was_stopped_does_not_run_again),
        cmocka_unit_test(a_move_that_is_not_in_the_table_ends_the_process),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
