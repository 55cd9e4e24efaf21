/* tests/unit/seam_test.c -- a plan in the environment crashes, holds or fails a place, and no
 * other.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/seam.h"
#include "folder.h"

#ifdef REPORTD_SEAMS

static char folder[256];

static int make_folder(void **state)
{
    (void)state;
    folder_make(folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    folder_remove(folder);
    return 0;
}

/* The environment is read once a process: so each plan gets one. Returns its wait status. */
static int run_with(const char *variable, const char *value, void (*act)(void))
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        if (setenv(variable, value, 1) != 0)
            _exit(99);
        act();
        _exit(0);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static int run_plan(const char *plan, void (*act)(void))
{
    return run_with("REPORTD_SEAMS", plan, act);
}

static void assert_exit(int status, int code)
{
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), code);
}

static void assert_killed(int status, int number)
{
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), number);
}

static void pass_twice_then_exit_7(void)
{
    SEAM_STEP("part", "verb", "step");
    SEAM_STEP("part", "verb", "step");
    _exit(7);
}

static void pass_then_exit_7(void)
{
    SEAM_STEP("part", "verb", "step");
    _exit(7);
}

/* As many bits as passings that failed with ENOSPC, the first the lowest. */
static void fail_four_times(void)
{
    int failed = 0;

    for (int i = 0; i < 4; i++)
        failed |= (SEAM_FAILS("part.call") && errno == ENOSPC) << i;
    _exit(failed);
}

static void a_place_without_a_plan_does_nothing(void **state)
{
    (void)state;
    assert_exit(run_plan("", pass_then_exit_7), 7);
    assert_exit(run_plan("part.verb.other=crash", pass_then_exit_7), 7);
    assert_exit(run_plan("part.call=EIO", fail_four_times), 0);
}

static void a_crash_is_a_kill_9_at_the_passing_it_is_planned_for(void **state)
{
    (void)state;
    assert_killed(run_plan("part.verb.step=crash", pass_then_exit_7), SIGKILL);
    assert_killed(run_plan("part.verb.step=crash@2", pass_twice_then_exit_7), SIGKILL);
    assert_exit(run_plan("part.verb.step=crash@2", pass_then_exit_7), 7);
}

static void a_call_fails_once_or_from_a_passing_on(void **state)
{
    (void)state;
    assert_exit(run_plan("part.call=ENOSPC", fail_four_times), 1);
    assert_exit(run_plan("part.call=ENOSPC@3", fail_four_times), 4);
    assert_exit(run_plan("part.call=ENOSPC@2+", fail_four_times), 14);
}

static void plans_of_one_place_add_up(void **state)
{
    (void)state;
    assert_exit(run_plan("part.call=ENOSPC@2  other=crash part.call=ENOSPC@4", fail_four_times),
                10);
}

static void fail_in_errno(void)
{
    errno = 0;
    _exit(SEAM_FAILS("part.call") && errno == EIO && !SEAM_FAILS("part.call") ? 7 : 1);
}

static void a_call_that_reports_in_errno_finds_it_there(void **state)
{
    (void)state;
    assert_exit(run_plan("part.call=EIO", fail_in_errno), 7);
}

static void a_plan_that_nobody_understands_aborts(void **state)
{
    static const char *const plans[] = {"part.verb.step", "part.verb.step=", "part.verb.step=crush",
                                        "part.verb.step=ENOENTRY", "part.verb.step=crash@0"};

    (void)state;
    for (size_t i = 0; i < sizeof(plans) / sizeof(plans[0]); i++)
        assert_killed(run_plan(plans[i], pass_then_exit_7), SIGABRT);
}

static void a_wait_lasts_until_a_writer_opens_the_fifo(void **state)
{
    char fifo[sizeof(folder) + 8], plan[sizeof(fifo) + 32];
    pid_t child;
    int status;

    (void)state;
    snprintf(fifo, sizeof(fifo), "%s/fifo", folder);
    snprintf(plan, sizeof(plan), "part.verb.step=wait:%s", fifo);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    child = fork();
    if (child == 0)
        _exit(WEXITSTATUS(run_plan(plan, pass_then_exit_7)));
    /* Opening succeeds only when both are there: had it not waited, this would wait for ever. */
    close(open(fifo, O_WRONLY | O_CLOEXEC));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_exit(status, 7);
    unlink(fifo);
}

static void every_place_that_is_passed_is_traced(void **state)
{
    char trace[sizeof(folder) + 8], text[256] = "", expected[256];
    FILE *file;
    int pid;

    (void)state;
    snprintf(trace, sizeof(trace), "%s/trace", folder);
    assert_exit(run_with("REPORTD_SEAMS_TRACE", trace, pass_twice_then_exit_7), 7);
    assert_exit(run_with("REPORTD_SEAMS_TRACE", trace, fail_four_times), 0);
    file = fopen(trace, "re");
    assert_non_null(file);
    assert_true(fread(text, 1, sizeof(text) - 1, file) > 0);
    fclose(file);
    unlink(trace);
    pid = atoi(text);
    snprintf(expected, sizeof(expected), "%d part.verb.step\n%d part.verb.step\n", pid, pid);
    assert_memory_equal(text, expected, strlen(expected));
    assert_non_null(strstr(text + strlen(expected), " part.call\n"));
}

enum { DAY_MS = 24 * 3600 * 1000 };

static void see_the_clock_move(void)
{
    const char *path = getenv("REPORTD_SEAMS_CLOCK");
    int64_t before_ms = clock_now_ms(), mono_ms = clock_mono_ms(), shift_ms = 3 * (int64_t)DAY_MS;
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0 || write(fd, &shift_ms, sizeof(shift_ms)) != sizeof(shift_ms))
        _exit(1);
    _exit(clock_now_ms() - before_ms >= 2 * (int64_t)DAY_MS && clock_mono_ms() - mono_ms < DAY_MS
              ? 7
              : 2);
}

static void be_patient(void)
{
    _exit(SEAM_PATIENCE_MS(DAY_MS) < DAY_MS && SEAM_PATIENCE_MS(1) == 1 ? 7 : 1);
}

static void be_very_patient(void)
{
    _exit(SEAM_PATIENCE_MS(DAY_MS) == DAY_MS ? 7 : 1);
}

static void who_sleeps_looks_often_at_a_clock_that_a_test_may_move(void **state)
{
    char path[sizeof(folder) + 8];
    const int64_t none_ms = 0;
    int fd;

    (void)state;
    assert_exit(run_plan("", be_very_patient), 7);
    snprintf(path, sizeof(path), "%s/clock", folder);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, &none_ms, sizeof(none_ms)), sizeof(none_ms));
    close(fd);
    assert_exit(run_with("REPORTD_SEAMS_CLOCK", path, be_patient), 7);
    unlink(path);
}

static void the_clock_follows_its_file_and_the_monotonic_one_does_not(void **state)
{
    char path[sizeof(folder) + 8];
    const int64_t day_ms = DAY_MS;
    int fd;

    (void)state;
    snprintf(path, sizeof(path), "%s/clock", folder);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, &day_ms, sizeof(day_ms)), sizeof(day_ms));
    close(fd);
    assert_exit(run_with("REPORTD_SEAMS_CLOCK", path, see_the_clock_move), 7);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_place_without_a_plan_does_nothing),
        cmocka_unit_test(a_crash_is_a_kill_9_at_the_passing_it_is_planned_for),
        cmocka_unit_test(a_call_fails_once_or_from_a_passing_on),
        cmocka_unit_test(plans_of_one_place_add_up),
        cmocka_unit_test(a_call_that_reports_in_errno_finds_it_there),
        cmocka_unit_test(a_plan_that_nobody_understands_aborts),
        cmocka_unit_test(a_wait_lasts_until_a_writer_opens_the_fifo),
        cmocka_unit_test(every_place_that_is_passed_is_traced),
        cmocka_unit_test(who_sleeps_looks_often_at_a_clock_that_a_test_may_move),
        cmocka_unit_test(the_clock_follows_its_file_and_the_monotonic_one_does_not),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

#else

/* What is passed in a release, where the environment has no say. */
static void a_release_has_no_seams(void **state)
{
    (void)state;
    SEAM_STEP("part", "verb", "step");
    assert_false(SEAM_FAILS("part.call"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_release_has_no_seams)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
