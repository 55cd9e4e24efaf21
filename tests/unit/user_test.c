/* tests/unit/user_test.c -- login, refresh and what a token opens, over HTTP and a real store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "core/password.h"
#include "http/password_work.h"
#include "http/router.h"
#include "http/server.h"
#include "http/token.h"
#include "http/user.h"
#include "http_client.h"

static const char json_header[] = "Version: 2.0\r\nContent-Type: application/json\r\n";
static const char right[] = "{\"username\": \"ann\", \"password\": \"right\"}";
static const char wrong[] = "{\"username\": \"ann\", \"password\": \"wrong\"}";

static void who(struct exchange *ex)
{
    exchange_reply(ex, true, ex->user->name, NULL);
}

static const struct route routes[] = {
    {"POST", "/User/Login", ROUTE_VERSION, true, user_login, NULL, TRAIL_NONE},
    {"POST", "/User/RefreshToken", ROUTE_COOKIE, true, user_refresh, NULL, TRAIL_NONE},
    {"GET", "/who", ROUTE_TOKEN, false, who, NULL, TRAIL_NONE},
};
static const struct router router = {routes, sizeof(routes) / sizeof(routes[0])};

static char right_hash[PASSWORD_HASH_TEXT];

struct fixture {
    char folder[64], key_path[96], store_path[96], spool_path[96];
    struct config config;
    char listen[32], none[1];
    struct token_keys *key;
    struct store *store;
    struct spool *spool;
    struct token_cache *token_cache;
    struct work_queue *passwords;
    struct server *server;
    const char *url;
};

/* A pair of tokens, as answered; the header that carries the access token. */
struct pair {
    char header[TOKEN_TEXT_MAX + 128], access[TOKEN_TEXT_MAX], refresh[64];
};

/* jansson's memory: the allocation that `left` counts down to fails. */
static atomic_int left = -1;

static void *starving_malloc(size_t size)
{
    int before = atomic_load(&left);

    while (before >= 0 && !atomic_compare_exchange_weak(&left, &before, before - 1))
        ;
    return before == 0 ? NULL : malloc(size);
}

static int group_setup(void **state)
{
    (void)state;
    log_init(LOG_ERROR + 1, false);
    json_set_alloc_funcs(starving_malloc, free);
    return password_hash("right", right_hash) ? 0 : -1;
}

static void add_user(struct fixture *f, const char *name)
{
    struct store_op op = {.verb = STORE_USER_ADD};

    op.user_add.name = name;
    op.user_add.password_hash = right_hash;
    op.user_add.allow = "";
    op.user_add.grants = "*";
    assert_int_equal(store_run(f->store, &op), 0);
    store_op_done(&op);
}

static void change_user(struct fixture *f, const char *name, const char *allow, int disabled)
{
    struct store_op op = {.verb = STORE_USER_CHANGE};

    op.user_change.name = name;
    op.user_change.allow = allow;
    op.user_change.disabled = disabled;
    assert_int_equal(store_run(f->store, &op), 0);
    store_op_done(&op);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct store_spec spec = {.url = f->store_path, .create = true};
    struct spool_spec spool = {.store = f->store_path};
    struct services services = {.config = &f->config, .router = &router};
    struct err err;

    strcpy(f->folder, "/tmp/user_test.XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->key_path, sizeof(f->key_path), "%s/key", f->folder);
    snprintf(f->store_path, sizeof(f->store_path), "%s/db", f->folder);
    snprintf(f->spool_path, sizeof(f->spool_path), "%s/spool", f->folder);
    strcpy(f->listen, "127.0.0.1:0");
    f->config.listen.text = f->listen;
    f->config.tls_certificate.text = f->config.tls_key.text = f->none;
    f->config.http_threads.number = 2;
    f->config.connections.number = 100;
    f->config.request_timeout.number = 20 * 1000;
    f->config.session_life.number = INT64_C(90) * 24 * 3600 * 1000;
    assert_int_equal(token_keys_open(f->key_path, &f->key, &err), 0);
    assert_int_equal(store_open(&spec, &f->store, &err), 0);
    spool.place = f->spool_path;
    assert_int_equal(spool_open(&spool, &f->spool, &err), 0);
    services.token_keys = f->key;
    services.store = f->store;
    services.spool = f->spool;
    services.token_cache = f->token_cache = token_cache_new();
    services.passwords = f->passwords = password_work_queue_new();
    assert_int_equal(server_new(&services, &f->server, &err), 0);
    f->url = server_url(f->server);
    add_user(f, "ann");
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[128];

    server_free(f->server);
    work_queue_free(f->passwords);
    token_cache_free(f->token_cache);
    store_free(f->store);
    spool_free(f->spool);
    token_keys_free(f->key);
    snprintf(command, sizeof(command), "rm -r '%s'", f->folder);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

static void carry(struct pair *pair)
{
    snprintf(pair->header, sizeof(pair->header), "%sAuthorization: %s\r\n", json_header,
             pair->access);
}

/* Read a pair out of an answer, which it frees. */
static struct pair read_pair(struct answer answer)
{
    struct pair pair = {{0}, {0}, {0}};
    json_t *root = json_loads(answer.body, 0, NULL);
    const char *access = json_string_value(json_object_get(root, "accessToken"));
    const char *refresh = json_string_value(json_object_get(root, "refreshToken"));

    if (answer.status != 200 || access == NULL || refresh == NULL)
        fail_msg("no pair of tokens in:\n%s", answer.text);
    assert_int_equal(json_object_size(root), 2);
    snprintf(pair.access, sizeof(pair.access), "%s", access);
    snprintf(pair.refresh, sizeof(pair.refresh), "%s", refresh);
    carry(&pair);
    json_decref(root);
    answer_done(&answer);
    return pair;
}

static struct answer try_login(struct fixture *f, const char *body)
{
    return http_ask(f->url, "POST /User/Login", json_header, body);
}

static struct answer try_refresh(struct fixture *f, const struct pair *pair)
{
    char body[128];

    snprintf(body, sizeof(body), "{\"refreshToken\": \"%s\"}", pair->refresh);
    return http_ask(f->url, "POST /User/RefreshToken", pair->header, body);
}

/* As if what was replaced until now had been so long ago. */
static void age_pairs(struct fixture *f)
{
    char command[160];

    snprintf(command, sizeof(command), "sqlite3 '%s' 'UPDATE used_refresh SET used_ms = 1'",
             f->store_path);
    assert_int_equal(system(command), 0);
}

static int status_of(struct answer answer)
{
    int status = answer.status;

    answer_done(&answer);
    return status;
}

static int who_status(struct fixture *f, const char *headers)
{
    return status_of(http_ask(f->url, "GET /who", headers, NULL));
}

static void a_login_gives_a_pair_whose_access_token_opens(void **state)
{
    struct fixture *f = *state;
    struct pair pair = read_pair(try_login(f, right));
    char cached_token[TOKEN_TEXT_MAX + 64];

    assert_int_equal(who_status(f, pair.header), 200);
    snprintf(cached_token, sizeof(cached_token), "Version: 2.0\r\nAuthorization: bearer %s\r\n",
             pair.access);
    assert_int_equal(who_status(f, cached_token), 200);
    assert_int_equal(who_status(f, "Version: 2.0\r\nAuthorization: Basic abc\r\n"), 401);
}

static void a_user_name_matches_in_any_case(void **state)
{
    struct fixture *f = *state;
    struct pair pair = read_pair(try_login(f, "{\"UserName\": \"ANN\", \"PASSWORD\": \"right\"}"));
    struct answer answer = http_ask(f->url, "GET /who", pair.header, NULL);

    assert_non_null(strstr(answer.body, "\"ann\""));
    answer_done(&answer);
}

static void every_refusal_of_a_login_is_the_same_answer(void **state)
{
    struct fixture *f = *state;
    struct answer first = try_login(f, wrong);
    static const char *const others[] = {
        "{\"username\": \"nobody\", \"password\": \"right\"}",
        "{\"username\": \"off\", \"password\": \"right\"}",
        "{\"username\": \"afar\", \"password\": \"right\"}",
        "{\"username\": \"\", \"password\": \"\"}",
    };

    add_user(f, "off");
    add_user(f, "afar");
    change_user(f, "off", NULL, 1);
    change_user(f, "afar", "10.1.2.3 2001:db8::/32", -1);
    assert_int_equal(first.status, 401);
    assert_non_null(strstr(first.text, "WWW-Authenticate: Bearer"));
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        struct answer other = try_login(f, others[i]);

        assert_int_equal(other.status, 401);
        assert_string_equal(other.body, first.body);
        answer_done(&other);
    }
    answer_done(&first);
}

static void three_failures_lock_the_account(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < USER_FAILURES_MAX; i++)
        assert_int_equal(status_of(try_login(f, wrong)), 401);
    assert_int_equal(status_of(try_login(f, right)), 401);
}

static void a_success_forgets_the_failures_before_it(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 2; i++) {
        assert_int_equal(status_of(try_login(f, wrong)), 401);
        assert_int_equal(status_of(try_login(f, wrong)), 401);
        assert_int_equal(status_of(try_login(f, right)), 200);
    }
}

static void failures_from_a_foreign_address_lock_nobody_out(void **state)
{
    struct fixture *f = *state;

    change_user(f, "ann", "10.1.2.3", -1);
    for (int i = 0; i < USER_FAILURES_MAX; i++)
        assert_int_equal(status_of(try_login(f, wrong)), 401);
    change_user(f, "ann", "127.0.0.0/8", -1);
    assert_int_equal(status_of(try_login(f, right)), 200);
}

static void a_login_without_its_two_texts_is_400(void **state)
{
    struct fixture *f = *state;
    char body[400], name[257];

    assert_int_equal(status_of(try_login(f, "{\"username\": \"ann\"}")), 400);
    assert_int_equal(status_of(try_login(f, "{\"username\": \"ann\", \"password\": 1}")), 400);
    memset(name, 'x', 256);
    name[256] = '\0';
    snprintf(body, sizeof(body), "{\"username\": \"%s\", \"password\": \"right\"}", name);
    assert_int_equal(status_of(try_login(f, body)), 400);
    snprintf(body, sizeof(body), "{\"username\": \"%s\", \"password\": \"right\"}", name + 1);
    assert_int_equal(status_of(try_login(f, body)), 401);
}

static void a_refresh_gives_a_new_pair_and_ends_the_old_one(void **state)
{
    struct fixture *f = *state;
    struct pair first = read_pair(try_login(f, right));
    struct pair second = read_pair(try_refresh(f, &first));

    assert_string_not_equal(first.refresh, second.refresh);
    assert_int_equal(who_status(f, second.header), 200);
    age_pairs(f);
    assert_int_equal(who_status(f, first.header), 401);
    assert_int_equal(who_status(f, second.header), 200);
}

static void a_refresh_token_used_twice_ends_the_whole_chain(void **state)
{
    struct fixture *f = *state;
    struct pair first = read_pair(try_login(f, right));
    struct pair second = read_pair(try_refresh(f, &first));

    age_pairs(f);
    assert_int_equal(status_of(try_refresh(f, &first)), 401);
    assert_int_equal(who_status(f, second.header), 401);
    assert_int_equal(status_of(try_refresh(f, &second)), 401);
}

static void a_refresh_that_is_repeated_at_once_gives_the_same_refresh_token(void **state)
{
    struct fixture *f = *state;
    struct pair first = read_pair(try_login(f, right));
    struct pair second = read_pair(try_refresh(f, &first)), again;

    again = read_pair(try_refresh(f, &first));
    assert_string_equal(second.refresh, again.refresh);
    assert_int_equal(who_status(f, first.header), 200);
    assert_int_equal(who_status(f, second.header), 200);
    assert_int_equal(who_status(f, again.header), 200);
    read_pair(try_refresh(f, &again));
}

static void a_refresh_token_goes_only_with_its_own_session(void **state)
{
    struct fixture *f = *state;
    struct pair one = read_pair(try_login(f, right)), other = read_pair(try_login(f, right));
    struct pair mixed = one;

    memcpy(mixed.refresh, other.refresh, sizeof(mixed.refresh));
    assert_int_equal(status_of(try_refresh(f, &mixed)), 401);
    memcpy(mixed.refresh, "nonsense", 9);
    assert_int_equal(status_of(try_refresh(f, &mixed)), 401);
}

static void an_expired_access_token_opens_nothing_but_the_refresh(void **state)
{
    struct fixture *f = *state;
    struct pair pair = read_pair(try_login(f, right));
    struct token_claims claims;
    struct buf text;

    assert_int_equal(token_read(f->key, pair.access, &claims), 1);
    assert_int_equal(claims.expires_s - claims.issued_s, TOKEN_LIFE_S);
    claims.expires_s = clock_now_ms() / 1000 - 1;
    buf_init(&text, TOKEN_TEXT_MAX);
    token_issue(f->key, "ann", &claims, &text);
    snprintf(pair.access, sizeof(pair.access), "%s", buf_str(&text));
    buf_done(&text);
    carry(&pair);
    assert_int_equal(who_status(f, pair.header), 401);
    pair = read_pair(try_refresh(f, &pair));
    assert_int_equal(who_status(f, pair.header), 200);
}

static void a_disabled_user_is_out_at_once(void **state)
{
    struct fixture *f = *state;
    struct pair pair = read_pair(try_login(f, right));

    change_user(f, "ann", NULL, 1);
    assert_int_equal(who_status(f, pair.header), 401);
    assert_int_equal(status_of(try_refresh(f, &pair)), 401);
}

static void expect_good_or_busy(int status, int good)
{
    if (status != good)
        assert_int_equal(status, 503);
}

static void want_of_memory_is_never_the_clients_fault(void **state)
{
    struct fixture *f = *state;
    int busy = 0;

    for (int n = 0; n < 40; n++) {
        struct pair pair = read_pair(try_login(f, right));
        int status;

        atomic_store(&left, n);
        status = who_status(f, pair.header); /* with a token that is not known yet */
        atomic_store(&left, n);
        busy += status == 503;
        expect_good_or_busy(status, 200);
        expect_good_or_busy(status_of(try_login(f, wrong)), 401);
        atomic_store(&left, n);
        expect_good_or_busy(status_of(try_login(f, "{\"username\": \"ann\", ")), 400);
        atomic_store(&left, -1);
    }
    assert_true(busy > 5);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_login_gives_a_pair_whose_access_token_opens),
        TEST(a_user_name_matches_in_any_case),
        TEST(every_refusal_of_a_login_is_the_same_answer),
        TEST(three_failures_lock_the_account),
        TEST(a_success_forgets_the_failures_before_it),
        TEST(failures_from_a_foreign_address_lock_nobody_out),
        TEST(a_login_without_its_two_texts_is_400),
        TEST(a_refresh_gives_a_new_pair_and_ends_the_old_one),
        TEST(a_refresh_token_used_twice_ends_the_whole_chain),
        TEST(a_refresh_that_is_repeated_at_once_gives_the_same_refresh_token),
        TEST(a_refresh_token_goes_only_with_its_own_session),
        TEST(an_expired_access_token_opens_nothing_but_the_refresh),
        TEST(a_disabled_user_is_out_at_once),
        TEST(want_of_memory_is_never_the_clients_fault),
    };

    return cmocka_run_group_tests(tests, group_setup, NULL);
}
