/* tests/contract/store_fair_test.c -- whose report starts next: what is paused, turns, limits. */
#include "contract/store_fixture.h"

/* ---- pauses ---- */

static void pause_source(struct fixture *f, const char *source, bool paused)
{
    struct store_op op = {.verb = STORE_PAUSE, .pause = {.source = source, .paused = paused}};

    assert_int_equal(run(f->store, &op), 0);
}

static void assert_paused(struct fixture *f, bool all, const char *sources)
{
    struct store_op op = {.verb = STORE_PAUSED};

    assert_int_equal(run(f->store, &op), 0);
    assert_int_equal(op.paused.all, all);
    assert_string_equal(op.paused.sources, sources);
    store_op_done(&op);
}

static void nothing_is_claimed_while_all_is_paused(void **state)
{
    struct fixture *f = *state;
    struct store_ref ref;

    submit(f, f->ann);
    assert_paused(f, false, "");
    pause_source(f, NULL, true);
    pause_source(f, NULL, true);
    pause_source(f, "shop", true);
    pause_source(f, "bank", true);
    assert_false(claim(f, &ref));
    reopen_store(f);
    assert_paused(f, true, "bank\nshop\n");
    assert_false(claim(f, &ref));
    pause_source(f, NULL, false);
    assert_paused(f, false, "bank\nshop\n");
    assert_true(claim(f, &ref));
    pause_source(f, "shop", false);
    assert_paused(f, false, "bank\n");
}

int main(void)
{
    struct CMUnitTest tests[] = {
        STORE_TEST(nothing_is_claimed_while_all_is_paused),
    };

    return RUN_ON_EVERY_BACKEND(tests);
}
