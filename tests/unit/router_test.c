/* tests/unit/router_test.c -- the table of routes, and that its descriptions agree with it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "http/common.h"
#include "http/router.h"

static const struct route *find(const char *method, const char *path)
{
    char allow[ROUTER_ALLOW_TEXT];

    return router_find(&router_api, method, path, false, allow);
}

static void every_route_is_found_in_any_case(void **state)
{
    (void)state;
    for (size_t i = 0; i < router_api.count; i++) {
        const struct route *route = &router_api.routes[i];
        char path[128];

        assert_ptr_equal(find(route->method, route->path), route);
        snprintf(path, sizeof(path), "%s/", route->path);
        if (strncmp(path, "/Admin/", 7) == 0 ||
            strstr("/metrics/.well-known/jwks.json/", path) != NULL) {
            assert_null(find(route->method, path));
            path[1] = (char)(path[1] ^ ' ');
            assert_null(find(route->method, path));
            continue;
        }
        for (char *c = path; *c != '\0'; c++)
            *c = (char)toupper((unsigned char)*c);
        assert_ptr_equal(find(route->method, path), route);
    }
}

static void a_path_that_a_proxy_may_guard_matches_byte_for_byte(void **state)
{
    static const struct route routes[] = {
        {"GET", "/metrics", ROUTE_PUBLIC, false, NULL, NULL, TRAIL_NONE},
        {"GET", "/Admin/X", ROUTE_PUBLIC, false, NULL, NULL, TRAIL_NONE},
        {"GET", "/.well-known/x", ROUTE_PUBLIC, false, NULL, NULL, TRAIL_NONE},
        {"GET", "/Open", ROUTE_PUBLIC, false, NULL, NULL, TRAIL_NONE}};
    static const char *const others[] = {"/METRICS",       "/Metrics",       "/metrics/",
                                         "/admin/X",       "/Admin/x",       "/Admin/X/",
                                         "/.Well-Known/x", "/.well-known/x/"};
    const struct router router = {routes, 4};
    char allow[ROUTER_ALLOW_TEXT];

    (void)state;
    for (size_t i = 0; i < router.count; i++) {
        assert_ptr_equal(router_find(&router, "GET", routes[i].path, false, allow), &routes[i]);
        assert_int_equal(router_find(&router, "GET", routes[i].path, true, allow) != NULL, i == 3);
        assert_null(router_find(&router, "POST", routes[i].path, true, allow));
        assert_int_equal(*allow != '\0', i == 3);
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_null(router_find(&router, "GET", others[i], false, allow));
        assert_string_equal(allow, "");
    }
}

static void the_methods_of_a_path_are_listed(void **state)
{
    char allow[ROUTER_ALLOW_TEXT];

    (void)state;
    assert_null(router_find(&router_api, "PUT", "/report", false, allow));
    assert_string_equal(allow, "POST, GET, HEAD, DELETE, OPTIONS");
    assert_null(router_find(&router_api, "GET", "/reports", false, allow));
    assert_string_equal(allow, "");
}

/* The operation of a route in the description, NULL if it is not there. */
static const json_t *described(const json_t *paths, const struct route *route)
{
    char method[16] = "";

    for (size_t i = 0; i < sizeof(method) - 1 && route->method[i] != '\0'; i++)
        method[i] = (char)tolower((unsigned char)route->method[i]);
    return json_object_get(json_object_get(paths, route->path), method);
}

static json_t *load_description(void)
{
    json_error_t where;
    json_t *root = json_loads(common_openapi_text(), JSON_REJECT_DUPLICATES, &where);

    if (root == NULL)
        fail_msg("openapi.json:%d: %s", where.line, where.text);
    return root;
}

static void every_route_is_described(void **state)
{
    json_t *root = load_description();

    (void)state;
    assert_string_equal(json_string_value(json_object_get(root, "openapi")), "3.1.0");
    for (size_t i = 0; i < router_api.count; i++) {
        const struct route *route = &router_api.routes[i];
        const json_t *operation = described(json_object_get(root, "paths"), route);
        bool body = json_object_get(operation, "requestBody") != NULL;

        if (operation == NULL)
            fail_msg("openapi.json lacks %s %s", route->method, route->path);
        assert_non_null(json_object_get(operation, "operationId"));
        assert_non_null(json_object_get(json_object_get(operation, "responses"), "200"));
        assert_int_equal(body, route->body);
    }
    json_decref(root);
}

static void every_description_has_its_route(void **state)
{
    json_t *root = load_description();
    json_t *paths = json_object_get(root, "paths"), *operations, *operation;
    const char *path, *method;
    size_t count = 0;

    (void)state;
    json_object_foreach(paths, path, operations)
    {
        json_object_foreach(operations, method, operation)
        {
            char upper[16] = "";

            for (size_t i = 0; i < sizeof(upper) - 1 && method[i] != '\0'; i++)
                upper[i] = (char)toupper((unsigned char)method[i]);
            if (find(upper, path) == NULL)
                fail_msg("openapi.json has %s %s, the table has not", upper, path);
            count++;
        }
    }
    assert_int_equal(count, router_api.count);
    json_decref(root);
}

static void check_references(const json_t *root, const json_t *node)
{
    const char *key;
    json_t *value;
    size_t i;

    json_object_foreach((json_t *)(uintptr_t)node, key, value)
    {
        if (strcmp(key, "$ref") == 0) {
            char path[128], *part;

            snprintf(path, sizeof(path), "%s", json_string_value(value));
            assert_int_equal(path[0], '#');
            node = root;
            for (part = strtok(path + 1, "/"); part != NULL; part = strtok(NULL, "/"))
                node = json_object_get(node, part);
            if (node == NULL)
                fail_msg("openapi.json: nothing at %s", json_string_value(value));
            return;
        }
        check_references(root, value);
    }
    json_array_foreach(node, i, value) check_references(root, value);
}

static void every_reference_in_the_description_leads_somewhere(void **state)
{
    json_t *root = load_description();

    (void)state;
    check_references(root, root);
    json_decref(root);
}

static char *read_text(const char *path)
{
    FILE *file = fopen(path, "r");
    char *text = calloc(1, 1 << 20);

    assert_non_null(file);
    assert_true(fread(text, 1, (1 << 20) - 1, file) > 0);
    fclose(file);
    return text;
}

/* Errors that no request is answered with as such: configuration, definitions, the command line. */
static bool is_inner(int code)
{
    static const int inner[] = {E_CONFIG,    E_DEFINITION, E_SOURCE,    E_CHANGED,
                                E_CANCELLED, E_EXISTS,     E_NOT_FOUND, E_IO};

    for (size_t i = 0; i < sizeof(inner) / sizeof(inner[0]); i++) {
        if (inner[i] == code)
            return true;
    }
    return false;
}

static void the_table_of_errors_is_documented(void **state)
{
    char *text = read_text("doc/api.md");

    (void)state;
    for (int code = 1; code < E_COUNT; code++) {
        char row[128];

        snprintf(row, sizeof(row), "\n| %d | %s |", err_status(code), err_title(code));
        if (!is_inner(code) && strstr(text, row) == NULL)
            fail_msg("doc/api.md lacks%s", row);
    }
    free(text);
}

static void every_path_is_documented(void **state)
{
    char *text = read_text("doc/api.md");

    (void)state;
    for (size_t i = 0; i < router_api.count; i++) {
        const struct route *route = &router_api.routes[i];
        char words[128];

        snprintf(words, sizeof(words), "`%s %s", route->method, route->path);
        if (strstr(text, words) == NULL)
            fail_msg("doc/api.md lacks %s", words);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_route_is_found_in_any_case),
        cmocka_unit_test(a_path_that_a_proxy_may_guard_matches_byte_for_byte),
        cmocka_unit_test(the_methods_of_a_path_are_listed),
        cmocka_unit_test(every_route_is_described),
        cmocka_unit_test(every_description_has_its_route),
        cmocka_unit_test(every_reference_in_the_description_leads_somewhere),
        cmocka_unit_test(the_table_of_errors_is_documented),
        cmocka_unit_test(every_path_is_documented),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
