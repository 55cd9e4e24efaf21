/* tests/contract/store_key_test.c -- API keys in the store, on every backend. */
#include "contract/store_fixture.h"

static int try_add(struct fixture *f, const char *name, const char *user, const char *key)
{
    struct store_op op = {.verb = STORE_API_KEY_ADD};

    op.api_key_add = (struct store_api_key_add){
        .name = name, .user = user, .grants = "Quick\nSlow", .allow = "10.0.0.0/8"};
    op.api_key_add.is_operator = true;
    op.api_key_add.now_ms = NOW_MS;
    op.api_key_add.expires_ms = NOW_MS + DAY_MS;
    api_key_hash(key, op.api_key_add.hash, &op.api_key_add.id);
    return store_run(f->store, &op);
}

static struct store_op ask_key(struct fixture *f, const char *key, int64_t now_ms)
{
    struct store_op op = {.verb = STORE_SESSION, .session = {.by_key = true, .now_ms = now_ms}};

    api_key_hash(key, op.session.key_hash, &op.session.session);
    assert_int_equal(run(f->store, &op), 0);
    return op;
}

static bool opens(struct fixture *f, const char *key)
{
    struct store_op op = ask_key(f, key, NOW_MS);
    bool found = op.session.found;

    store_op_done(&op);
    return found;
}

/* As a link or a stream asks. */
static bool lives(struct fixture *f, const char *key, int64_t now_ms)
{
    struct store_op op = {.verb = STORE_SESSION, .session = {.any_access = true, .now_ms = now_ms}};
    uint8_t hash[API_KEY_HASH_BYTES];
    bool found;

    api_key_hash(key, hash, &op.session.session);
    assert_int_equal(run(f->store, &op), 0);
    found = op.session.found;
    assert_true(!found || op.session.user.key != NULL);
    store_op_done(&op);
    return found;
}

static int change(struct fixture *f, enum store_verb verb, const char *name)
{
    struct store_op op = {.verb = verb};

    if (verb == STORE_API_KEY_REMOVE)
        op.api_key_remove.name = name;
    else
        op.api_key_enable.name = name;
    return store_run(f->store, &op);
}

static void a_key_is_its_users_with_its_own_limits(void **state)
{
    struct fixture *f = *state;
    struct store_op op;

    assert_int_equal(try_add(f, "ci", "aNN", "rdk_one"), 0);
    op = ask_key(f, "rdk_one", NOW_MS);
    assert_true(op.session.found);
    assert_string_equal(op.session.user.name, "Ann");
    assert_string_equal(op.session.user.key->name, "ci");
    assert_string_equal(op.session.user.key->grants, "Quick\nSlow");
    assert_string_equal(op.session.user.key->allow, "10.0.0.0/8");
    assert_false(op.session.user.is_operator); /* the user is none */
    assert_int_equal(op.session.expires_ms, NOW_MS + DAY_MS);
    store_op_done(&op);
    assert_true(lives(f, "rdk_one", NOW_MS));
    assert_false(opens(f, "rdk_two") || lives(f, "rdk_two", NOW_MS));
}

static void a_name_is_of_one_key_and_a_key_of_a_user(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(try_add(f, "ci", "Ann", "rdk_one"), 0);
    assert_int_equal(try_add(f, "ci", "Bob", "rdk_two"), -E_EXISTS);
    assert_int_equal(try_add(f, "night", "nobody", "rdk_two"), -E_NOT_FOUND);
    assert_int_equal(try_add(f, "CI", "Bob", "rdk_two"), 0);
    assert_true(opens(f, "rdk_one") && opens(f, "rdk_two"));
}

static void a_key_ends_at_its_time(void **state)
{
    struct fixture *f = *state;
    struct store_op op;

    assert_int_equal(try_add(f, "ci", "Ann", "rdk_one"), 0);
    assert_true(lives(f, "rdk_one", NOW_MS + DAY_MS - 1));
    assert_false(lives(f, "rdk_one", NOW_MS + DAY_MS));
    op = ask_key(f, "rdk_one", NOW_MS + DAY_MS);
    assert_false(op.session.found);
    store_op_done(&op);
}

static void a_removed_key_opens_nothing_and_nothing_is_remembered_of_it(void **state)
{
    struct fixture *f = *state;
    uint8_t hash[API_KEY_HASH_BYTES];
    struct guid id;
    uint64_t version;

    api_key_hash("rdk_one", hash, &id);
    assert_int_equal(try_add(f, "ci", "Ann", "rdk_one"), 0);
    assert_int_equal(try_add(f, "night", "Ann", "rdk_two"), 0);
    version = store_version(f->store, &id);
    assert_int_equal(change(f, STORE_API_KEY_REMOVE, "ci"), 0);
    assert_true(version == 0 || version != store_version(f->store, &id));
    assert_false(opens(f, "rdk_one") || lives(f, "rdk_one", NOW_MS));
    assert_true(opens(f, "rdk_two"));
    assert_int_equal(change(f, STORE_API_KEY_REMOVE, "ci"), -E_NOT_FOUND);
}

static void a_disabled_users_key_opens_nothing(void **state)
{
    struct fixture *f = *state;
    struct store_op op = {.verb = STORE_USER_CHANGE};

    assert_int_equal(try_add(f, "ci", "Ann", "rdk_one"), 0);
    for (int disabled = 1; disabled >= 0; disabled--) {
        op.user_change =
            (struct store_user_change){.name = "Ann", .disabled = disabled, .now_ms = NOW_MS};
        assert_int_equal(run(f->store, &op), 0);
        assert_int_equal(opens(f, "rdk_one"), !disabled);
        assert_int_equal(lives(f, "rdk_one", NOW_MS), !disabled);
    }
}

static void a_removed_users_keys_are_gone_at_once(void **state)
{
    struct fixture *f = *state;
    struct store_op op = {.verb = STORE_USER_CHANGE};
    struct store_op list = {.verb = STORE_API_KEY_LIST};

    assert_int_equal(try_add(f, "ci", "Ann", "rdk_one"), 0);
    assert_int_equal(try_add(f, "night", "Bob", "rdk_two"), 0);
    op.user_change =
        (struct store_user_change){.name = "ann", .disabled = 1, .remove = true, .now_ms = NOW_MS};
    assert_int_equal(run(f->store, &op), 0);
    assert_int_equal(run(f->store, &list), 0);
    assert_int_equal(list.api_key_list.count, 1);
    assert_string_equal(list.api_key_list.keys[0].name, "night");
    store_op_done(&list);
    assert_int_equal(try_add(f, "ci", "Ann", "rdk_three"), -E_NOT_FOUND);
}

static void keys_are_listed_by_name_with_their_last_use(void **state)
{
    struct fixture *f = *state;
    struct store_op used = {.verb = STORE_API_KEY_USED};
    struct store_op op = {.verb = STORE_API_KEY_LIST};
    uint8_t hash[API_KEY_HASH_BYTES];

    assert_int_equal(try_add(f, "b", "Ann", "rdk_one"), 0);
    assert_int_equal(try_add(f, "a", "Bob", "rdk_two"), 0);
    api_key_hash("rdk_one", hash, &used.api_key_used.id);
    used.api_key_used.now_ms = NOW_MS + 5;
    assert_int_equal(run(f->store, &used), 0);
    assert_int_equal(run(f->store, &op), 0);
    assert_int_equal(op.api_key_list.count, 2);
    assert_string_equal(op.api_key_list.keys[0].name, "a");
    assert_int_equal(op.api_key_list.keys[0].used_ms, 0);
    assert_string_equal(op.api_key_list.keys[1].user, "Ann");
    assert_true(op.api_key_list.keys[1].is_operator);
    assert_int_equal(op.api_key_list.keys[1].used_ms, NOW_MS + 5);
    store_op_done(&op);
    op = (struct store_op){.verb = STORE_API_KEY_LIST, .api_key_list = {.user = "ANN"}};
    assert_int_equal(run(f->store, &op), 0);
    assert_int_equal(op.api_key_list.count, 1);
    store_op_done(&op);
}

static void suspended_keys_open_nothing_until_each_is_enabled(void **state)
{
    struct fixture *f = *state;
    struct store_op op = {.verb = STORE_SESSIONS_END};

    assert_int_equal(try_add(f, "ci", "Ann", "rdk_one"), 0);
    assert_int_equal(try_add(f, "night", "Ann", "rdk_two"), 0);
    assert_int_equal(run(f->store, &op), 0);
    assert_true(opens(f, "rdk_one")); /* a new signing key is nothing to them */
    op.sessions_end.suspend_keys = true;
    assert_int_equal(run(f->store, &op), 0);
    assert_int_equal(op.sessions_end.suspended, 2);
    assert_false(opens(f, "rdk_one") || lives(f, "rdk_one", NOW_MS) || opens(f, "rdk_two"));
    assert_int_equal(change(f, STORE_API_KEY_ENABLE, "night"), 0);
    assert_true(!opens(f, "rdk_one") && opens(f, "rdk_two"));
    assert_int_equal(change(f, STORE_API_KEY_ENABLE, "nothing"), -E_NOT_FOUND);
}

int main(void)
{
    struct CMUnitTest tests[] = {
        STORE_TEST(a_key_is_its_users_with_its_own_limits),
        STORE_TEST(a_name_is_of_one_key_and_a_key_of_a_user),
        STORE_TEST(a_key_ends_at_its_time),
        STORE_TEST(a_removed_key_opens_nothing_and_nothing_is_remembered_of_it),
        STORE_TEST(a_disabled_users_key_opens_nothing),
        STORE_TEST(a_removed_users_keys_are_gone_at_once),
        STORE_TEST(keys_are_listed_by_name_with_their_last_use),
        STORE_TEST(suspended_keys_open_nothing_until_each_is_enabled),
    };

    return RUN_ON_EVERY_BACKEND(tests);
}
