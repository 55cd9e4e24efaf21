/* src/base/seam.c -- crashes, waits, failures and clock jumps on request; empty in a release. */
#include "base/seam.h"

#ifdef REPORTD_SEAMS

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PLANS_MAX = 64, PLACE_MAX = 96, PLAN_TEXT_MAX = 512 };
enum { CLOCK_LOOK_MS = 20 }; /* how often a waiting test clock is read again */

static const struct {
    const char *name;
    int value;
} errors[] = {{"ENOSPC", ENOSPC}, {"EIO", EIO},       {"EDQUOT", EDQUOT},
              {"EINTR", EINTR},   {"ENOMEM", ENOMEM}, {"EOPNOTSUPP", EOPNOTSUPP}};

static const char crash[] = "crash", wait_prefix[] = "wait:";

/* One "PLACE=ACTION@N?FILE" of the environment. */
struct plan {
    char text[PLAN_TEXT_MAX]; /* holds the text that the next three point into */
    const char *place, *action;
    const char *when; /* a file: nothing is counted until it exists; NULL: at once */
    long at;          /* the passing at which it acts */
    int onwards;      /* and at all later ones */
    atomic_long passed;
};

static struct plan plans[PLANS_MAX];
static int plan_count;
static int trace_fd = -1;
static const volatile int64_t *clock_shift, *clock_skew;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* The errno of that name, or 0. */
static int errno_of(const char *name)
{
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        if (strcmp(errors[i].name, name) == 0)
            return errors[i].value;
    }
    return 0;
}

static int is_action(const char *text)
{
    return strcmp(text, crash) == 0 || strncmp(text, wait_prefix, strlen(wait_prefix)) == 0 ||
           errno_of(text) != 0;
}

/* A test that misspells its plan must not pass just because nothing happens. */
static void read_plan(const char *text, size_t len)
{
    struct plan *plan = &plans[plan_count];
    char *equals, *at, *when;

    if (plan_count == PLANS_MAX || len >= sizeof(plan->text))
        abort();
    memcpy(plan->text, text, len);
    equals = strchr(plan->text, '=');
    if (equals == NULL)
        abort();
    *equals = '\0';
    plan->place = plan->text;
    plan->action = equals + 1;
    when = strchr(equals + 1, '?');
    if (when != NULL)
        *when++ = '\0';
    plan->when = when;
    at = strrchr(equals + 1, '@');
    plan->at = at != NULL ? strtol(at + 1, NULL, 10) : 1;
    plan->onwards = at != NULL && strchr(at, '+') != NULL;
    if (at != NULL)
        *at = '\0';
    if (!is_action(plan->action) || plan->at < 1)
        abort();
    plan_count++;
}

static const volatile int64_t *map_clock(const char *name)
{
    const char *path = getenv(name);
    int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *map = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);

    if (path == NULL)
        return NULL;
    if (map == MAP_FAILED)
        abort();
    close(fd);
    return map;
}

static void read_environment(void)
{
    const char *text = getenv("REPORTD_SEAMS");
    const char *trace = getenv("REPORTD_SEAMS_TRACE");

    while (text != NULL && *text != '\0') {
        size_t n = strcspn(text, " ");

        if (n > 0)
            read_plan(text, n);
        text += n + (text[n] == ' ');
    }
    if (trace != NULL)
        trace_fd = open(trace, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    clock_shift = map_clock("REPORTD_SEAMS_CLOCK");
    clock_skew = map_clock("REPORTD_SEAMS_SKEW");
}

static void record_passing(const char *place)
{
    char line[PLACE_MAX + 32];
    int len = snprintf(line, sizeof(line), "%d %s\n", (int)getpid(), place);

    if (trace_fd >= 0 && write(trace_fd, line, (size_t)len) < 0)
        abort();
}

/* The action for this passing of the place, or NULL. */
static const char *action_at(const char *place)
{
    const char *action = NULL;

    pthread_once(&once, read_environment);
    record_passing(place);
    for (int i = 0; i < plan_count; i++) {
        long passed;

        if (strcmp(plans[i].place, place) != 0 ||
            (plans[i].when != NULL && access(plans[i].when, F_OK) != 0))
            continue;
        passed = atomic_fetch_add(&plans[i].passed, 1) + 1;
        if (passed == plans[i].at || (plans[i].onwards && passed > plans[i].at))
            action = plans[i].action;
    }
    return action;
}

static void act(const char *action)
{
    int fd;

    if (strcmp(action, crash) == 0)
        kill(getpid(), SIGKILL);
    if (strncmp(action, wait_prefix, strlen(wait_prefix)) != 0)
        return;
    do
        fd = open(action + strlen(wait_prefix), O_RDONLY | O_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    if (fd >= 0)
        close(fd);
}

void seam_each_file(void (*found)(void *context, const char *path), void *context)
{
    pthread_once(&once, read_environment);
    for (int i = 0; i < plan_count; i++) {
        if (strncmp(plans[i].action, wait_prefix, strlen(wait_prefix)) == 0)
            found(context, plans[i].action + strlen(wait_prefix));
    }
}

void seam_step(const char *part, const char *verb, const char *step)
{
    char place[PLACE_MAX];
    const char *action;

    snprintf(place, sizeof(place), "%s.%s.%s", part, verb, step);
    action = action_at(place);
    if (action != NULL)
        act(action);
}

int seam_errno(const char *place)
{
    const char *action = action_at(place);

    if (action == NULL)
        return 0;
    act(action);
    return errno_of(action);
}

int64_t seam_patience_ms(int64_t ms)
{
    pthread_once(&once, read_environment);
    return clock_shift != NULL && ms > CLOCK_LOOK_MS ? CLOCK_LOOK_MS : ms;
}

int64_t seam_clock_ms(void)
{
    pthread_once(&once, read_environment);
    return clock_shift != NULL ? *clock_shift : 0;
}

int64_t seam_skew_ms(void)
{
    pthread_once(&once, read_environment);
    return clock_skew != NULL ? *clock_skew : 0;
}

#endif
