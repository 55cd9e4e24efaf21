/* tests/unit/store_full_test.c -- the SQLite store on a file system that is full, to the page. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "contract/store_fixture.h"

#include "base/clock.h"

enum {
    PAGE = 4096,
    FREE_PAGES = 24, /* the walk leaves 0 … so many; no operation here needs more */
    SIZE_MIB = 6,
    RESULT_BYTES = 16 * 1024,
    ROOM_MS = 30000, /* for the reserve to be there again */
};

static char mount_point[64];

/* ---- file systems of our own, in a mount namespace that ends with this program ---- */

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* Without root: in a user namespace, where this user is root. */
static void enter_namespace(void)
{
    char map[64];
    unsigned user = getuid(), group = getgid();

    if (user == 0) {
        assert_int_equal(unshare(CLONE_NEWNS), 0);
    } else {
        assert_int_equal(unshare(CLONE_NEWUSER | CLONE_NEWNS), 0);
        snprintf(map, sizeof(map), "0 %u 1", user);
        write_text("/proc/self/uid_map", map);
        write_text("/proc/self/setgroups", "deny");
        snprintf(map, sizeof(map), "0 %u 1", group);
        write_text("/proc/self/gid_map", map);
    }
    assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
}

static void mount_tmpfs(const char *options)
{
    char text[96];

    snprintf(text, sizeof(text), "size=%dm,mode=700%s", SIZE_MIB, options);
    assert_int_equal(mount("tmpfs", mount_point, "tmpfs", 0, text), 0);
}

/* Blocks are given out late, and those that are freed only after a commit of its journal. */
static void mount_ext4(void)
{
    char command[512];

    snprintf(command, sizeof(command),
             "set -e; f=%s.img; trap 'rm -f $f' EXIT; truncate -s %dM $f; "
             "mkfs.ext4 -q -F -m 0 -b 4096 $f; mount -o loop $f %s",
             mount_point, SIZE_MIB + 5, mount_point); /* its journal takes 4 */
    assert_int_equal(system(command), 0);
}

static void unmount(void)
{
    assert_int_equal(umount(mount_point), 0);
}

/* ---- filling it ---- */

static void filler_path(char path[96])
{
    snprintf(path, 96, "%s/filler", mount_point);
}

/* Fill the disk except for so many pages. */
static void fill(int free_pages)
{
    static const char page[PAGE] = {1};
    char path[96];
    struct stat st;
    int fd;

    filler_path(path);
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    assert_true(fd >= 0);
    while (write(fd, page, PAGE) == PAGE)
        continue;
    assert_int_equal(errno, ENOSPC);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(ftruncate(fd, st.st_size - (off_t)free_pages * PAGE), 0);
    assert_int_equal(fsync(fd), 0);
    close(fd);
}

static void make_room(void)
{
    char path[96];

    filler_path(path);
    assert_int_equal(unlink(path), 0);
}

/* ---- a store on it ---- */

struct scene {
    struct fixture f;
    struct guid queued, complete, error;
    struct store_ref running;
};

static void open_scene(struct scene *scene)
{
    memset(scene, 0, sizeof(*scene));
    snprintf(scene->f.url, sizeof(scene->f.url), "sqlite:%s/store.db", mount_point);
    scene->f.store = open_store(&scene->f);
    scene->f.ann = add_user(&scene->f, "Ann");
    scene->complete = report_in(&scene->f, scene->f.ann, REPORT_COMPLETE).id;
    scene->error = report_in(&scene->f, scene->f.ann, REPORT_ERROR).id;
    scene->running = report_in(&scene->f, scene->f.ann, REPORT_PROCESSING);
    scene->queued = submit(&scene->f, scene->f.ann);
}

static struct store_op login_op(const struct scene *scene)
{
    struct store_op op = {.verb = STORE_LOGIN};

    op.login = (struct store_login){.user_id = scene->f.ann,
                                    .password_ok = true,
                                    .now_ms = NOW_MS,
                                    .session = guid_new(),
                                    .access = guid_new(),
                                    .refresh_expires_ms = NOW_MS + DAY_MS};
    return op;
}

static struct store_op mark_op(struct guid id)
{
    struct store_op op = {.verb = STORE_TOMBSTONE};

    op.tombstone.id = id;
    return op;
}

static struct store_op finish_op(const struct scene *scene, bool complete)
{
    static const char result[RESULT_BYTES] = {7};
    struct store_op op = {.verb = STORE_FINISH};

    op.finish = (struct store_finish){.id = scene->running.id,
                                      .attempt = scene->running.attempt,
                                      .state = complete ? REPORT_COMPLETE : REPORT_ERROR,
                                      .message = "The server's disk is full.",
                                      .result = complete ? result : NULL,
                                      .result_len = complete ? RESULT_BYTES : 0,
                                      .now_ms = NOW_MS,
                                      .expires_ms = NOW_MS + DAY_MS};
    return op;
}

/* ---- the operations, with what they are to change ---- */

struct step {
    const char *name;
    struct store_op (*make)(const struct scene *scene);
    bool refusable; /* it makes the store grow, so a full disk may refuse it */
    /* Of which report it changes the state, and to what; offsetof(struct scene, f): of none. */
    size_t report;
    int before, after;
};

static struct store_op make_submit(const struct scene *scene)
{
    return submit_op(scene->f.ann);
}

static struct store_op make_claim(const struct scene *scene)
{
    struct store_op op = {.verb = STORE_CLAIM};

    (void)scene;
    op.claim = (struct store_claim){.node = "here", .now_ms = NOW_MS + 1};
    return op;
}

static struct store_op make_complete(const struct scene *scene)
{
    return finish_op(scene, true);
}

static struct store_op make_error(const struct scene *scene)
{
    return finish_op(scene, false);
}

static struct store_op make_requeue(const struct scene *scene)
{
    struct store_op op = {.verb = STORE_REQUEUE};

    op.requeue = (struct store_requeue){.id = scene->running.id, .attempt = scene->running.attempt};
    return op;
}

static struct store_op make_mark_queued(const struct scene *scene)
{
    return mark_op(scene->queued);
}

static struct store_op make_mark_running(const struct scene *scene)
{
    return mark_op(scene->running.id);
}

static struct store_op make_mark_complete(const struct scene *scene)
{
    return mark_op(scene->complete);
}

static struct store_op make_recover(const struct scene *scene)
{
    (void)scene;
    return (struct store_op){.verb = STORE_RECOVER, .recover = {.node = "here"}};
}

static struct store_op make_sweep(const struct scene *scene)
{
    (void)scene;
    return (struct store_op){.verb = STORE_SWEEP, .sweep = {.now_ms = NOW_MS + 2 * DAY_MS}};
}

static struct store_op make_user_add(const struct scene *scene)
{
    struct store_op op = {.verb = STORE_USER_ADD};

    (void)scene;
    op.user_add = (struct store_user_add){
        .name = "Carl", .password_hash = "hash", .allow = "", .grants = "*"};
    return op;
}

static struct store_op make_user_change(const struct scene *scene)
{
    struct store_op op = {.verb = STORE_USER_CHANGE};

    (void)scene;
    op.user_change = (struct store_user_change){.name = "Ann", .disabled = 1};
    return op;
}

enum { NO_REPORT = offsetof(struct scene, f), GONE = -1 };
#define OF(member) offsetof(struct scene, member)

static const struct step steps[] = {
    {"submit", make_submit, true, NO_REPORT, 0, 0},
    {"claim", make_claim, true, OF(queued), REPORT_QUEUED, REPORT_PROCESSING},
    {"finish complete", make_complete, false, OF(running), REPORT_PROCESSING, REPORT_COMPLETE},
    {"finish error", make_error, false, OF(running), REPORT_PROCESSING, REPORT_ERROR},
    {"requeue", make_requeue, false, OF(running), REPORT_PROCESSING, REPORT_QUEUED},
    {"mark queued", make_mark_queued, false, OF(queued), REPORT_QUEUED, GONE},
    {"mark running", make_mark_running, false, OF(running), REPORT_PROCESSING, GONE},
    {"mark complete", make_mark_complete, false, OF(complete), REPORT_COMPLETE, GONE},
    {"recover", make_recover, false, OF(running), REPORT_PROCESSING, REPORT_QUEUED},
    {"login", login_op, false, NO_REPORT, 0, 0},
    {"sweep", make_sweep, false, NO_REPORT, 0, 0},
    {"user add", make_user_add, true, NO_REPORT, 0, 0},
    {"user change", make_user_change, false, NO_REPORT, 0, 0},
};
enum { STEP_COUNT = sizeof(steps) / sizeof(steps[0]) };

static void check_state(struct scene *scene, const struct step *step, bool done)
{
    struct guid id;

    if (step->report == NO_REPORT)
        return;
    memcpy(&id, (const char *)scene + step->report, sizeof(id));
    assert_int_equal(state_of(&scene->f, id, scene->f.ann), done ? step->after : step->before);
}

/* What must work whatever has happened before. */
static void delete_and_log_in(struct scene *scene)
{
    struct store_op op = mark_op(scene->error);

    assert_int_equal(run(scene->f.store, &op), 0);
    assert_true(op.tombstone.found);
    op = (struct store_op){.verb = STORE_DELETE_ROW, .delete_row = {.id = scene->error}};
    assert_int_equal(run(scene->f.store, &op), 0);
    op = login_op(scene);
    assert_int_equal(run(scene->f.store, &op), 0);
    assert_int_equal(state_of(&scene->f, scene->error, scene->f.ann), GONE);
}

/* Reports are accepted again, by themselves; of Ann, if she was disabled, once she is not any more.
 */
static void await_room(struct scene *scene)
{
    int64_t until_ms = clock_mono_ms() + ROOM_MS;
    struct store_op enable = make_user_change(scene);
    int rc;

    enable.user_change.disabled = 0;
    assert_int_equal(store_run(scene->f.store, &enable), 0);
    do {
        struct store_op op = submit_op(scene->f.ann);

        rc = store_run(scene->f.store, &op);
        assert_true(rc == 0 || (rc == -E_STORE && op.err.code == -E_FULL));
        store_op_done(&op);
        assert_true(clock_mono_ms() < until_ms);
    } while (rc != 0);
}

static void close_scene(struct scene *scene)
{
    store_free(scene->f.store);
    scene->f.store = NULL;
}

static bool one_step(const struct step *step, int free_pages)
{
    struct scene scene;
    struct store_op op;
    int rc;

    open_scene(&scene);
    reopen_store(&scene.f); /* with a log that is empty */
    fill(free_pages);
    op = step->make(&scene);
    rc = store_run(scene.f.store, &op);
    if (rc != 0 && (!step->refusable || rc != -E_STORE || op.err.code != -E_FULL))
        fail_msg("%s with %d pages free: %d, %s (%s)", step->name, free_pages, rc, op.err.text,
                 op.err.detail);
    store_op_done(&op);
    check_state(&scene, step, rc == 0);
    if (strcmp(step->name, "user change") != 0) /* which has disabled her */
        delete_and_log_in(&scene);
    check_state(&scene, step, rc == 0);
    reopen_store(&scene.f); /* still full */
    check_state(&scene, step, rc == 0);
    make_room();
    if (step->after != GONE || step->report != NO_REPORT)
        await_room(&scene);
    close_scene(&scene);
    return rc == 0;
}

/* ---- the tests ---- */

static void an_operation_on_a_full_disk_is_done_or_refused_whole(void **state)
{
    (void)state;
    for (int i = 0; i < STEP_COUNT; i++) {
        int done = 0;

        for (int pages = 0; pages <= FREE_PAGES; pages++) {
            mount_tmpfs("");
            done += one_step(&steps[i], pages);
            unmount();
        }
        /* A walk that is refused nothing, or everything, has not seen the edge. */
        if (done == 0 || (steps[i].refusable && done > FREE_PAGES))
            fail_msg("%s: done %d times", steps[i].name, done);
    }
}

static void the_same_on_a_file_system_with_a_journal(void **state)
{
    (void)state;
    if (getuid() != 0)
        skip(); /* loop devices are root's */
    for (int i = 0; i < STEP_COUNT; i++) {
        for (int pages = 0; pages <= FREE_PAGES; pages += 6) {
            mount_ext4();
            one_step(&steps[i], pages);
            unmount();
        }
    }
}

/* Make the operation until it is refused, or so often; how often it was made. */
static int repeat(struct scene *scene, struct store_op (*make)(const struct scene *scene), int most)
{
    for (int i = 0; i < most; i++) {
        struct store_op op = make(scene);
        int rc = store_run(scene->f.store, &op);

        store_op_done(&op);
        if (rc == 0)
            continue;
        assert_int_equal(rc, -E_STORE);
        assert_int_equal(op.err.code, -E_FULL);
        return i;
    }
    return most;
}

enum { LOGINS = 20000, REPORTS = 500 };

static void what_goes_on_and_on_cannot_take_what_a_deletion_needs(void **state)
{
    struct scene scene;
    int logins;

    (void)state;
    mount_tmpfs("");
    open_scene(&scene);
    fill(0);
    logins = repeat(&scene, login_op, LOGINS);
    assert_in_range(logins, 500, LOGINS - 1);
    for (int i = 0; i < 3; i++)
        assert_int_equal(repeat(&scene, make_submit, 1), 0);
    assert_int_equal(repeat(&scene, make_mark_queued, 1), 1);
    assert_int_equal(repeat(&scene, make_mark_running, 1), 1);
    reopen_store(&scene.f);
    assert_int_equal(repeat(&scene, make_mark_complete, 1), 1);
    make_room();
    await_room(&scene);
    close_scene(&scene);
    unmount();
}

static void every_report_can_be_deleted_from_a_full_disk(void **state)
{
    static struct store_op ops[REPORTS];
    struct guid ids[REPORTS];
    struct scene scene;

    (void)state;
    mount_tmpfs("");
    open_scene(&scene);
    for (int i = 0; i < REPORTS; i++)
        ids[i] = submit(&scene.f, scene.f.ann);
    fill(0);
    for (int i = 0; i < REPORTS / 2; i++) { /* one by one … */
        tombstone(&scene.f, ids[i], scene.f.ann);
        delete_row(&scene.f, ids[i]);
    }
    for (int i = REPORTS / 2; i < REPORTS; i++) /* … and all at once */
        ops[i] = mark_op(ids[i]);
    run_as_one_batch(&scene.f, ops + REPORTS / 2, REPORTS / 2);
    for (int i = 0; i < REPORTS; i++) {
        assert_int_equal(ops[i].rc, 0);
        assert_int_equal(state_of(&scene.f, ids[i], scene.f.ann), GONE);
    }
    make_room();
    await_room(&scene);
    close_scene(&scene);
    unmount();
}

/* It has more pages that are new than the reserve could give blocks to. */
static void the_log_can_always_be_emptied(void **state)
{
    enum { LARGE = 90 };
    struct guid ids[LARGE];
    struct scene scene;

    (void)state;
    mount_tmpfs("");
    open_scene(&scene);
    assert_int_equal(repeat(&scene, make_error, 1), 1);
    for (int i = 0; i < LARGE; i++) {
        tombstone(&scene.f, scene.queued, scene.f.ann);
        delete_row(&scene.f, scene.queued);
        scene.queued = ids[i] = submit(&scene.f, scene.f.ann);
        assert_true(claim(&scene.f, &scene.running));
        assert_int_equal(repeat(&scene, make_complete, 1), 1);
        scene.queued = guid_new();
    }
    fill(0);
    for (int i = 0; i < LARGE; i++)
        assert_true(tombstone(&scene.f, ids[i], scene.f.ann).found);
    delete_and_log_in(&scene);
    make_room();
    await_room(&scene);
    close_scene(&scene);
    unmount();
}

/* Another program takes each page that the store gives back. */
static void a_program_that_takes_what_is_given_back_takes_not_all(void **state)
{
    struct scene scene;
    struct guid ids[8];

    (void)state;
    mount_tmpfs("");
    open_scene(&scene);
    for (int i = 0; i < 8; i++)
        ids[i] = submit(&scene.f, scene.f.ann);
    fill(0);
    for (int i = 0; i < 8; i++) {
        tombstone(&scene.f, ids[i], scene.f.ann);
        fill(0);
    }
    delete_and_log_in(&scene);
    make_room();
    await_room(&scene);
    close_scene(&scene);
    unmount();
}

/* Neither the log nor its index can be made, nor the reserve again. */
static void a_disk_without_a_free_inode_lets_reports_go(void **state)
{
    struct scene scene;
    char path[96];
    int files = 0;

    (void)state;
    mount_tmpfs(",nr_inodes=20");
    open_scene(&scene);
    close_scene(&scene);
    for (int fd = 0; fd >= 0; files++) {
        snprintf(path, sizeof(path), "%s/file%d", mount_point, files);
        fd = open(path, O_WRONLY | O_CREAT, 0600);
        if (fd >= 0)
            close(fd);
    }
    assert_int_equal(errno, ENOSPC);
    scene.f.store = open_store(&scene.f);
    delete_and_log_in(&scene);
    assert_int_equal(repeat(&scene, make_submit, 1), 0);
    while (--files >= 0) {
        snprintf(path, sizeof(path), "%s/file%d", mount_point, files);
        unlink(path);
    }
    await_room(&scene);
    close_scene(&scene);
    unmount();
}

static int64_t size_of_reserve(void)
{
    int64_t size = 0;

    for (int i = 1; i <= 2; i++) {
        char path[96];
        struct stat st;

        snprintf(path, sizeof(path), "%s/store.db-reserve%d", mount_point, i);
        if (stat(path, &st) != 0)
            continue;
        assert_int_equal(st.st_mode & 0777, 0600);
        assert_true(st.st_blocks * 512 >= st.st_size);
        size += st.st_size;
    }
    return size;
}

static void the_reserve_is_a_mebibyte_and_comes_back_by_itself(void **state)
{
    struct scene scene;
    char path[96];

    (void)state;
    mount_tmpfs("");
    open_scene(&scene);
    assert_int_equal(size_of_reserve(), 1024 * 1024);
    for (int i = 1; i <= 2; i++) {
        snprintf(path, sizeof(path), "%s/store.db-reserve%d", mount_point, i);
        assert_int_equal(unlink(path), 0);
    }
    await_room(&scene);
    assert_int_equal(size_of_reserve(), 1024 * 1024);
    close_scene(&scene);
    unmount();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_operation_on_a_full_disk_is_done_or_refused_whole),
        cmocka_unit_test(the_same_on_a_file_system_with_a_journal),
        cmocka_unit_test(what_goes_on_and_on_cannot_take_what_a_deletion_needs),
        cmocka_unit_test(every_report_can_be_deleted_from_a_full_disk),
        cmocka_unit_test(the_log_can_always_be_emptied),
        cmocka_unit_test(a_program_that_takes_what_is_given_back_takes_not_all),
        cmocka_unit_test(a_disk_without_a_free_inode_lets_reports_go),
        cmocka_unit_test(the_reserve_is_a_mebibyte_and_comes_back_by_itself),
    };
    int failed;

    strcpy(mount_point, "/tmp/reportd-full-XXXXXX");
    if (mkdtemp(mount_point) == NULL)
        return 1;
    enter_namespace();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    umount2(mount_point, MNT_DETACH); /* after a failure */
    rmdir(mount_point);
    return failed;
}
