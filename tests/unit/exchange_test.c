/* tests/unit/exchange_test.c -- requests over real HTTP: admission, envelope, waiting, the stop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/work_queue.h"
#include "http/exchange.h"
#include "http/router.h"
#include "http/server.h"
#include "http_client.h"

enum { CHAIN = 2000, HOPS = 40, CLIENTS = 4, ROUNDS = 25 };

static const char json_header[] = "Version: 2.0\r\nContent-Type: application/json\r\n";

/* Handlers have no context of their own: what the tests' routes share. */
static struct {
    struct work_queue *work_queue;
    sem_t held;
    struct exchange *held_one;
    pthread_t stopper;
} shared;

/* The routes of the tests. */

static void hello(struct exchange *ex)
{
    exchange_add_header(ex, "X-Seen", "%s", ex->method);
    exchange_reply(ex, true, "hi", "[1]");
}

static void echo(struct exchange *ex)
{
    const char *name = json_string_value(exchange_member(ex, "Name"));
    const char *size = exchange_query(ex, "SIZE");

    exchange_add_header(ex, "X-Size", "%s", size != NULL ? size : "none");
    exchange_reply(ex, true, name != NULL ? name : "none", NULL);
}

struct hop {
    struct exchange *ex;
    struct work_item item;
    int left;
};

static struct hop *hop_of(struct exchange *ex, int left)
{
    struct hop *hop = ex->state;

    if (hop == NULL) {
        hop = calloc(1, sizeof(*hop));
        *hop = (struct hop){.ex = ex, .left = left};
        ex->state = hop;
        ex->state_free = free;
    }
    return hop;
}

/* Woken before the step returns, many times in a row. */
static void inline_chain(struct exchange *ex)
{
    struct hop *hop = hop_of(ex, CHAIN);

    if (hop->left-- == 0) {
        exchange_reply(ex, true, "through", NULL);
        return;
    }
    exchange_await(ex, inline_chain);
    exchange_wake(ex);
}

static void wake_batch(void *context, struct work_item *batch)
{
    (void)context;
    while (batch != NULL) {
        struct hop *hop = (struct hop *)(void *)((char *)batch - offsetof(struct hop, item));

        batch = batch->next;
        exchange_wake(hop->ex);
    }
}

/* Woken by another thread, before or after the step returns. */
static void thread_chain(struct exchange *ex)
{
    struct hop *hop = hop_of(ex, HOPS);

    if (hop->left-- == 0) {
        exchange_reply(ex, true, "through", NULL);
        return;
    }
    exchange_await(ex, thread_chain);
    work_queue_push(shared.work_queue, &hop->item);
}

static void held_go(struct exchange *ex)
{
    exchange_reply(ex, true, "held and answered", NULL);
}

static void held(struct exchange *ex)
{
    shared.held_one = ex;
    exchange_await(ex, held_go);
    sem_post(&shared.held);
}

static void broken(struct exchange *ex)
{
    (void)ex;
}

static void failing(struct exchange *ex)
{
    const char *code = exchange_query(ex, "code");

    err_set(&ex->err, -atoi(code != NULL ? code : "1"), "words about /secret/path");
    exchange_reply_error(ex, &ex->err, "{\"more\": 1}");
}

static void file(struct exchange *ex)
{
    char path[] = "/tmp/exchange_test.XXXXXX";
    int fd = mkstemp(path);

    unlink(path);
    assert_int_equal(write(fd, "0123456789", 10), 10);
    exchange_reply_file(ex, 206, fd, 3, 4);
}

static void same(struct exchange *ex)
{
    exchange_add_header(ex, "ETag", "\"1\"");
    exchange_reply_unmodified_bytes(ex, INT64_C(5000000000));
}

static void wait_wish(struct exchange *ex)
{
    char text[32];

    snprintf(text, sizeof(text), "%d", exchange_prefer_wait(ex, 60));
    exchange_reply_text(ex, 200, "text/plain", text);
}

static const struct route routes[] = {
    {"GET", "/Hello", ROUTE_PUBLIC, false, hello, NULL, TRAIL_NONE},
    {"POST", "/Hello", ROUTE_VERSION, true, echo, NULL, TRAIL_NONE},
    {"GET", "/inline", ROUTE_PUBLIC, false, inline_chain, NULL, TRAIL_NONE},
    {"GET", "/thread", ROUTE_PUBLIC, false, thread_chain, NULL, TRAIL_NONE},
    {"GET", "/held", ROUTE_PUBLIC, false, held, NULL, TRAIL_NONE},
    {"GET", "/broken", ROUTE_PUBLIC, false, broken, NULL, TRAIL_NONE},
    {"GET", "/fail", ROUTE_PUBLIC, false, failing, NULL, TRAIL_NONE},
    {"GET", "/file", ROUTE_PUBLIC, false, file, NULL, TRAIL_NONE},
    {"GET", "/same", ROUTE_PUBLIC, false, same, NULL, TRAIL_NONE},
    {"GET", "/wait", ROUTE_LOOPBACK, false, wait_wish, "text/plain", TRAIL_NONE},
    {"GET", "/token", ROUTE_TOKEN, false, hello, NULL, TRAIL_NONE},
    {"POST", "/expired", ROUTE_COOKIE, true, hello, NULL, TRAIL_NONE},
};

static const struct router router = {routes, sizeof(routes) / sizeof(routes[0])};

struct fixture {
    struct config config;
    char listen[32], none[1];
    struct token_cache *token_cache;
    struct server *server;
    const char *url;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct work_queue_spec spec = {.name = "waker", .threads = 2, .run = wake_batch};
    struct services services = {.config = &f->config, .router = &router};
    struct err err;

    log_init(LOG_ERROR + 1, false);
    strcpy(f->listen, "127.0.0.1:0");
    f->config.listen.text = f->listen;
    f->config.tls_certificate.text = f->config.tls_key.text = f->none;
    f->config.http_threads.number = 2;
    f->config.connections.number = 100;
    f->config.request_timeout.number = 20 * 1000;
    shared.work_queue = work_queue_new(&spec);
    sem_init(&shared.held, 0, 0);
    services.token_cache = f->token_cache = token_cache_new();
    assert_int_equal(server_new(&services, &f->server, &err), 0);
    f->url = server_url(f->server);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    server_free(f->server);
    token_cache_free(f->token_cache);
    work_queue_free(shared.work_queue);
    free(f);
    return 0;
}

static struct answer ask(void **state, const char *line, const char *headers, const char *body)
{
    struct fixture *f = *state;

    return http_ask(f->url, line, headers, body);
}

/* Ask; the status must be this and the whole answer contain that. */
static void expect(void **state, const char *line, const char *headers, const char *body,
                   int status, const char *part)
{
    struct answer answer = ask(state, line, headers, body);

    if (answer.status != status || strstr(answer.text, part) == NULL)
        fail_msg("%s: wanted %d and '%s', got:\n%s", line, status, part, answer.text);
    answer_done(&answer);
}

static void an_answer_is_the_envelope_with_its_headers(void **state)
{
    struct answer answer = ask(state, "GET /Hello", "X-Request-Id: abc-1\r\n", NULL);

    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.body, "{\"result\": true, \"message\": \"hi\", \"data\": [1]}");
    assert_non_null(strstr(answer.text, "\r\nX-Request-Id: abc-1\r\n"));
    assert_non_null(strstr(answer.text, "\r\nCache-Control: no-store\r\n"));
    assert_non_null(strstr(answer.text, "\r\nX-Content-Type-Options: nosniff\r\n"));
    assert_non_null(strstr(answer.text, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strstr(answer.text, "\r\nX-Seen: GET\r\n"));
    answer_done(&answer);
}

static void an_unfit_request_id_is_replaced(void **state)
{
    struct answer answer = ask(state, "GET /Hello", "X-Request-Id: a b\r\n", NULL);
    const char *id = strstr(answer.text, "X-Request-Id: ");
    struct guid guid;
    char text[GUID_TEXT] = "";

    assert_non_null(id);
    memcpy(text, id + strlen("X-Request-Id: "), GUID_TEXT - 1);
    assert_true(guid_parse(text, &guid));
    answer_done(&answer);
}

static void paths_match_in_any_case_with_one_slash_more(void **state)
{
    expect(state, "GET /hELLO/", "", NULL, 200, "hi");
    expect(state, "GET /Hello//", "", NULL, 404, "no such path");
    expect(state, "GET /Hello/x", "", NULL, 404, "\"data\": {}}");
    expect(state, "GET /", "", NULL, 404, "\"result\": false");
}

static void head_is_get_without_the_body(void **state)
{
    struct answer answer = ask(state, "HEAD /Hello", "", NULL);

    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.body, "");
    assert_non_null(strstr(answer.text, "X-Seen: HEAD"));
    assert_non_null(strstr(answer.text, "Content-Length: 46"));
    answer_done(&answer);
}

static void a_wrong_method_is_told_the_right_ones(void **state)
{
    expect(state, "DELETE /Hello", "", NULL, 405, "\r\nAllow: GET, HEAD, POST, OPTIONS\r\n");
    expect(state, "OPTIONS /Hello", "", NULL, 204, "\r\nAllow: GET, HEAD, POST, OPTIONS\r\n");
    expect(state, "get /Hello", "", NULL, 405, "This path takes");
}

static void an_accept_that_shuts_json_out_is_406(void **state)
{
    expect(state, "GET /Hello", "Accept: text/html\r\n", NULL, 406, "application/json");
    expect(state, "GET /Hello", "Accept: */*\r\nAccept: application/json;q=0\r\n", NULL, 406, "");
    expect(state, "GET /Hello", "Accept: text/html, application/*;q=0.1\r\n", NULL, 200, "hi");
    expect(state, "GET /Hello", "Accept: application/problem+json\r\n", NULL, 200, "hi");
    expect(state, "GET /wait", "Accept: application/json\r\n", NULL, 406, "text/plain");
    expect(state, "GET /wait", "Accept: text/plain\r\n", NULL, 200, "-1");
}

static void the_version_header_is_asked_for(void **state)
{
    expect(state, "POST /Hello", "Content-Type: application/json\r\n", "{}", 400,
           "Send the header `Version: 2.0`.");
    expect(state, "POST /Hello", "Version: 1.0\r\n", "{}", 400, "Version: 2.0");
    expect(state, "GET /token", "", NULL, 400, "Version: 2.0");
}

static void a_missing_or_false_token_is_401_with_the_remedy(void **state)
{
    static const char *const tokens[] = {"Version: 2.0\r\nAuthorization: x\r\n",
                                         "Version: 2.0\r\nAuthorization: Bearer x\r\n"};

    expect(state, "GET /token", "Version: 2.0\r\n", NULL, 401,
           "\r\nWWW-Authenticate: Bearer realm=\"reportd\"\r\n");
    expect(state, "GET /token", "Version: 2.0\r\nAuthorization: Bearer \r\n", NULL, 401,
           "\r\nWWW-Authenticate: Bearer realm=\"reportd\"\r\n");
    for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++)
        expect(state, "GET /token", tokens[i], NULL, 401,
               "\r\nWWW-Authenticate: Bearer realm=\"reportd\", error=\"invalid_token\"\r\n");
    expect(state, "POST /expired", json_header, "{}", 401, "/User/Login");
    /* The token comes before the body. */
    expect(state, "POST /expired", "Version: 2.0\r\n", "nonsense", 401, "/User/Login");
}

static void a_body_must_be_declared_as_json(void **state)
{
    expect(state, "POST /Hello", "Version: 2.0\r\n", "{}", 415, "Content-Type: application/json");
    expect(state, "POST /Hello", "Version: 2.0\r\nContent-Type: text/json\r\n", "{}", 415, "");
    expect(state, "POST /Hello",
           "Version: 2.0\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n", "{}",
           415, "Content-Encoding");
    expect(state, "POST /Hello",
           "Version: 2.0\r\nContent-Type: application/json; charset=utf-8\r\n", "{}", 200, "none");
}

static void a_malformed_body_is_400_with_the_place(void **state)
{
    expect(state, "POST /Hello", json_header, "{\n  \"a\": }", 400, "line 2, column");
    expect(state, "POST /Hello", json_header, "", 400, "it is empty");
    expect(state, "POST /Hello", json_header, "\xef\xbb\xbf", 400, "not valid JSON");
    expect(state, "POST /Hello", json_header, "\xef\xbb\xbf\xef\xbb\xbf{}", 400, "not valid JSON");
    expect(state, "POST /Hello", json_header, "[]", 400, "JSON object");
    expect(state, "POST /Hello", json_header, "{} {}", 400, "not valid JSON");
    expect(state, "POST /Hello", json_header, "{\"a\": 1, \"a\": 2}", 400, "not valid JSON");
    expect(state, "POST /Hello", json_header, "{\"Name\": 1, \"NAME\": 2}", 400, "twice");
    expect(state, "POST /Hello", json_header, "{\"a\": \"\xff\"}", 400, "not valid JSON");
}

static void keys_and_query_names_match_in_any_case(void **state)
{
    expect(state, "POST /Hello?size=7", json_header, "{\"nAME\": \"Ann\"}", 200,
           "\"message\": \"Ann\"");
    expect(state, "POST /Hello?Size=7", json_header, "{}", 200, "X-Size: 7");
    /* A byte order mark before the body is not part of it. */
    expect(state, "POST /Hello", json_header, "\xef\xbb\xbf{\"Name\": \"Ann\"}", 200,
           "\"message\": \"Ann\"");
}

static char *long_body(size_t len)
{
    char *body = malloc(len + 1);

    memset(body, ' ', len);
    body[0] = '{';
    body[len - 1] = '}';
    body[len] = '\0';
    return body;
}

static void a_body_up_to_the_limit_is_read_and_one_byte_more_is_413(void **state)
{
    char *body = long_body(EXCHANGE_OPEN_BODY_MAX);

    expect(state, "POST /Hello", json_header, body, 200, "none");
    free(body);
    body = long_body(EXCHANGE_OPEN_BODY_MAX + 1);
    expect(state, "POST /Hello", json_header, body, 413, "at most 8192 bytes");
    free(body);
}

static void a_client_that_asks_before_sending_too_much_is_refused_at_once(void **state)
{
    expect(state, "POST /Hello",
           "Version: 2.0\r\nContent-Length: 300000\r\nExpect: 100-continue\r\n", NULL, 413,
           "too large");
}

static void headers_of_10_kb_are_read_and_too_many_are_refused(void **state)
{
    char *headers = malloc(70000);

    strcpy(headers, "X-Long: ");
    memset(headers + 8, 'x', 10000);
    strcpy(headers + 10008, "\r\n");
    expect(state, "GET /Hello", headers, NULL, 200, "hi");
    /* With less room than an answer may need, nothing is done. */
    memset(headers + 8, 'x', 11000);
    strcpy(headers + 11008, "\r\n");
    expect(state, "GET /Hello", headers, NULL, 431, "at most 10 KB");
    memset(headers + 8, 'x', 60000);
    strcpy(headers + 60008, "\r\n");
    expect(state, "GET /Hello", headers, NULL, 431, "");
    free(headers);
}

static void a_step_woken_before_it_returns_goes_on_without_recursion(void **state)
{
    expect(state, "GET /inline", "", NULL, 200, "through");
}

static void *client(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        struct answer answer = ask(arg, "GET /thread", "", NULL);

        if (answer.status != 200 || strstr(answer.body, "through") == NULL)
            abort();
        answer_done(&answer);
    }
    return NULL;
}

static void wakes_from_other_threads_are_never_lost(void **state)
{
    pthread_t threads[CLIENTS];

    for (int i = 0; i < CLIENTS; i++)
        pthread_create(&threads[i], NULL, client, state);
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(threads[i], NULL);
}

static void a_handler_that_forgets_to_answer_is_500(void **state)
{
    expect(state, "GET /broken", "", NULL, 500, "\"result\": false");
}

static const char *fail_line(int code)
{
    static char line[64];

    snprintf(line, sizeof(line), "GET /fail?code=%d", code);
    return line;
}

static void a_business_error_is_200_and_says_why(void **state)
{
    expect(state, fail_line(E_PARAM), "", NULL, 200,
           "{\"result\": false, \"message\": \"words about /secret/path\", \"data\": {\"more\": "
           "1}}");
}

static void a_business_error_is_a_problem_for_who_wants_that(void **state)
{
    static const char wish[] = "Accept: application/problem+json\r\nX-Request-Id: a-1\"%/\r\n";

    expect(
        state, fail_line(E_PARAM), wish, NULL, 422,
        "{\"type\":\"about:blank\",\"title\":\"Invalid parameter\",\"status\":422,"
        "\"detail\":\"words about "
        "/secret/path\",\"instance\":\"urn:reportd:request:a-1%22%25%2F\",\"data\":{\"more\": 1}}");
    expect(state, fail_line(E_UNKNOWN_REFERENCE), wish, NULL, 404,
           "Content-Type: application/problem+json");
    expect(state, "GET /nowhere", wish, NULL, 404, "\"title\":\"No such path\"");
}

static void every_code_answers_with_its_status_and_headers(void **state)
{
    static const char wish[] = "Accept: application/problem+json\r\n";

    for (int code = 1; code < E_COUNT; code++)
        expect(state, fail_line(code), wish, NULL, err_status(code), err_title(code));
    expect(state, fail_line(E_LIMIT), "", NULL, 429, "\r\nRetry-After: ");
    expect(state, fail_line(E_BUSY), "", NULL, 503, "\r\nRetry-After: ");
    expect(state, fail_line(E_AUTH), "", NULL, 401, "\r\nWWW-Authenticate: Bearer");
}

static void the_inner_words_of_a_failure_stay_inside(void **state)
{
    struct answer answer = ask(state, fail_line(E_SPOOL), "X-Request-Id: r2\r\n", NULL);

    assert_int_equal(answer.status, 503);
    assert_null(strstr(answer.text, "/secret"));
    assert_non_null(strstr(answer.body, "request id r2"));
    answer_done(&answer);
}

static void a_part_of_a_file_is_sent_as_such(void **state)
{
    struct answer answer = ask(state, "GET /file", "", NULL);

    assert_int_equal(answer.status, 206);
    assert_string_equal(answer.body, "3456");
    answer_done(&answer);
    answer = ask(state, "HEAD /file", "", NULL);
    assert_string_equal(answer.body, "");
    assert_non_null(strstr(answer.text, "Content-Length: 4"));
    answer_done(&answer);
}

static void not_modified_has_headers_and_nothing_else(void **state)
{
    struct answer answer = ask(state, "GET /same", "", NULL);

    assert_int_equal(answer.status, 304);
    assert_string_equal(answer.body, "");
    assert_non_null(strstr(answer.text, "\r\nETag: \"1\"\r\n"));
    assert_non_null(strstr(answer.text, "\r\nContent-Length: 5000000000\r\n"));
    assert_null(strstr(answer.text, "\r\nContent-Type:"));
    answer_done(&answer);
}

static void a_wait_is_found_in_any_of_several_headers(void **state)
{
    struct answer answer =
        ask(state, "GET /wait", "Prefer: return=minimal\r\nPrefer: wait=9\r\n", NULL);

    assert_string_equal(answer.body, "9");
    answer_done(&answer);
}

static void a_connection_serves_one_request_after_another(void **state)
{
    struct fixture *f = *state;
    static const char two[] =
        "GET /Hello HTTP/1.1\r\nHost: t\r\n\r\n"
        "POST /Hello HTTP/1.1\r\nHost: t\r\nVersion: 1\r\nContent-Length: 2\r\n\r\n{}"
        "GET /thread HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n";
    int fd = http_connect(f->url);
    struct answer answer;

    assert_int_equal(write(fd, two, sizeof(two) - 1), sizeof(two) - 1);
    answer = http_read(fd);
    assert_non_null(strstr(answer.text, "hi"));
    assert_non_null(strstr(answer.text, "400 Bad Request"));
    assert_non_null(strstr(answer.text, "through"));
    answer_done(&answer);
}

static void *stop(void *arg)
{
    struct fixture *f = arg;

    server_free(f->server);
    return NULL;
}

/* One more request on an open connection; the status of its answer. */
static int ask_again(int fd)
{
    static const char request[] = "GET /Hello HTTP/1.1\r\nHost: t\r\n\r\n";
    char answer[2048] = "";
    size_t len = 0;

    assert_int_equal(write(fd, request, sizeof(request) - 1), sizeof(request) - 1);
    while (strchr(answer, '}') == NULL && len < sizeof(answer) - 1) {
        ssize_t n = read(fd, answer + len, sizeof(answer) - 1 - len);

        if (n <= 0)
            break;
        len += (size_t)n;
    }
    return atoi(answer + strlen("HTTP/1.1 "));
}

static void the_stop_waits_for_the_answers_under_way_and_takes_no_more(void **state)
{
    struct fixture *f = *state;
    struct answer answer;
    char url[64];
    int fd, open_one, idle, status;

    strcpy(url, f->url);
    open_one = http_connect(url);
    assert_int_equal(ask_again(open_one), 200);
    fd = http_send(url, "GET /held", "", NULL);
    idle = http_connect(url); /* does not hold it up */
    while (sem_wait(&shared.held) != 0)
        continue;
    pthread_create(&shared.stopper, NULL, stop, f);
    while ((status = ask_again(open_one)) == 200)
        continue; /* the stop has not begun */
    assert_int_equal(status, 503);
    exchange_wake(shared.held_one);
    answer = http_read(fd);
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.body, "held and answered"));
    answer_done(&answer);
    pthread_join(shared.stopper, NULL);
    f->server = NULL;
    close(open_one);
    close(idle);
}

static void an_address_that_cannot_be_bound_is_an_error_that_says_so(void **state)
{
    struct fixture *f = *state;
    struct config config = f->config;
    struct services services = {.config = &config, .router = &router};
    struct server *second = NULL;
    char taken[64], wrong[] = "8080";
    struct err err;

    strcpy(taken, strstr(f->url, "//") + 2);
    config.listen.text = taken;
    assert_int_equal(server_new(&services, &second, &err), -E_CONFIG);
    assert_non_null(strstr(err.text, taken));
    assert_non_null(strstr(err.text, "in use"));
    config.listen.text = wrong;
    assert_int_equal(server_new(&services, &second, &err), -E_CONFIG);
    assert_non_null(strstr(err.text, "ADDRESS:PORT"));
    assert_null(second);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(an_answer_is_the_envelope_with_its_headers),
        TEST(an_unfit_request_id_is_replaced),
        TEST(paths_match_in_any_case_with_one_slash_more),
        TEST(head_is_get_without_the_body),
        TEST(a_wrong_method_is_told_the_right_ones),
        TEST(an_accept_that_shuts_json_out_is_406),
        TEST(the_version_header_is_asked_for),
        TEST(a_missing_or_false_token_is_401_with_the_remedy),
        TEST(a_body_must_be_declared_as_json),
        TEST(a_malformed_body_is_400_with_the_place),
        TEST(keys_and_query_names_match_in_any_case),
        TEST(a_body_up_to_the_limit_is_read_and_one_byte_more_is_413),
        TEST(a_client_that_asks_before_sending_too_much_is_refused_at_once),
        TEST(headers_of_10_kb_are_read_and_too_many_are_refused),
        TEST(a_step_woken_before_it_returns_goes_on_without_recursion),
        TEST(wakes_from_other_threads_are_never_lost),
        TEST(a_handler_that_forgets_to_answer_is_500),
        TEST(a_business_error_is_200_and_says_why),
        TEST(a_business_error_is_a_problem_for_who_wants_that),
        TEST(every_code_answers_with_its_status_and_headers),
        TEST(the_inner_words_of_a_failure_stay_inside),
        TEST(a_part_of_a_file_is_sent_as_such),
        TEST(not_modified_has_headers_and_nothing_else),
        TEST(a_wait_is_found_in_any_of_several_headers),
        TEST(a_connection_serves_one_request_after_another),
        TEST(the_stop_waits_for_the_answers_under_way_and_takes_no_more),
        TEST(an_address_that_cannot_be_bound_is_an_error_that_says_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
