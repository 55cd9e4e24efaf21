/* tests/unit/receipt_test.c -- a receipt holds only as signed, and its keys only as made. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "http/receipt.h"

struct fixture {
    char folder[64], path[96];
    struct receipt_keys *keys;
    struct guid id;
    struct receipt receipt;
    struct buf text;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    str_copy(f->folder, sizeof(f->folder), "/tmp/receipt_test.XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->path, sizeof(f->path), "%s/receipt.key", f->folder);
    assert_int_equal(receipt_keys_open(f->path, &f->keys, NULL), 0);
    f->id = guid_new();
    f->receipt = (struct receipt){.user = "ann",
                                  .node = "host",
                                  .reference = &f->id,
                                  .state = REPORT_COMPLETE,
                                  .now_s = 1000,
                                  .erased_s = 1005};
    buf_init(&f->text, RECEIPT_TEXT_MAX);
    receipt_issue(f->keys, &f->receipt, &f->text);
    assert_false(buf_failed(&f->text));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    buf_done(&f->text);
    receipt_keys_free(f->keys);
    unlink(f->path);
    assert_int_equal(rmdir(f->folder), 0); /* nothing else was left behind */
    free(f);
    return 0;
}

static bool holds(const struct fixture *f, const char *text)
{
    json_t *claims = NULL;
    struct err err;
    int rc = receipt_verify(f->keys, text, &claims, &err);

    json_decref(claims);
    assert_true(rc == 0 || rc == -E_INVALID);
    return rc == 0;
}

static void write_key_file(const struct fixture *f, const char *text)
{
    FILE *file = fopen(f->path, "w");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void a_receipt_carries_its_claims(void **state)
{
    struct fixture *f = *state;
    char reference[GUID_TEXT];
    json_t *claims, *expected;

    guid_format(&f->id, reference);
    assert_int_equal(receipt_verify(f->keys, buf_str(&f->text), &claims, NULL), 0);
    expected = json_pack("{ss ss ss si si ss}", "sub", "ann", "reference", reference, "state",
                         "complete", "iat", 1000, "erasedBy", 1005, "node", "host");
    assert_true(json_equal(claims, expected));
    json_decref(claims);
    json_decref(expected);
}

static void a_receipt_for_many_has_counts_and_a_hash(void **state)
{
    struct fixture *f = *state;
    json_t *claims;
    const json_t *deleted;

    f->receipt.reference = NULL;
    f->receipt.by_state[REPORT_ERROR] = 7;
    f->receipt.references[31] = 0xab;
    buf_reset(&f->text);
    receipt_issue(f->keys, &f->receipt, &f->text);
    assert_int_equal(receipt_verify(f->keys, buf_str(&f->text), &claims, NULL), 0);
    deleted = json_object_get(claims, "deleted");
    assert_int_equal(json_object_size(deleted), 4);
    assert_int_equal(json_integer_value(json_object_get(deleted, "error")), 7);
    assert_true(str_eq(json_string_value(json_object_get(claims, "referencesSha256")) + 62, "ab"));
    assert_null(json_object_get(claims, "reference"));
    json_decref(claims);
}

static void a_receipt_of_the_longest_name_is_read(void **state)
{
    struct fixture *f = *state;
    char name[256];

    memset(name, '\x01', 255); /* 6 bytes each in JSON */
    name[255] = '\0';
    f->receipt.user = name;
    buf_reset(&f->text);
    receipt_issue(f->keys, &f->receipt, &f->text);
    assert_false(buf_failed(&f->text));
    assert_true(holds(f, buf_str(&f->text)));
}

/* Every character decides, and so does every length. */
static void an_altered_receipt_is_refused(void **state)
{
    struct fixture *f = *state;

    assert_true(holds(f, f->text.data));
    for (size_t i = 0; i < f->text.len; i++) {
        char before = f->text.data[i];

        f->text.data[i] = before == 'A' ? 'B' : 'A';
        assert_false(holds(f, f->text.data));
        f->text.data[i] = '\0';
        assert_false(holds(f, f->text.data));
        f->text.data[i] = before;
    }
    buf_add_char(&f->text, 'A');
    assert_false(holds(f, f->text.data));
}

static void another_key_is_not_trusted(void **state)
{
    struct fixture *f = *state;

    receipt_keys_free(f->keys);
    unlink(f->path);
    assert_int_equal(receipt_keys_open(f->path, &f->keys, NULL), 0);
    assert_false(holds(f, f->text.data));
}

/* Signed, but not as a receipt: the header is of another kind, or asks for what we do not know. */
static void what_is_no_receipt_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        ".",
        "..",
        "a.b.c",
        "eyJhbGciOiJub25lIiwidHlwIjoiZGVsZXRpb24tcmVjZWlwdCtqd3QifQ.e30.", /* alg none */
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.AAAA"};
    struct fixture *f = *state;
    char *long_text = calloc(1, RECEIPT_TEXT_MAX + 2);

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_false(holds(f, texts[i]));
    memset(long_text, '.', RECEIPT_TEXT_MAX + 1);
    assert_false(holds(f, long_text));
    free(long_text);
}

static void a_rotated_key_signs_and_the_old_ones_are_still_known(void **state)
{
    struct fixture *f = *state;
    char before[RECEIPT_KEY_ID_TEXT];
    struct stat st;

    str_copy(before, sizeof(before), receipt_keys_id(f->keys));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(receipt_keys_rotate(f->path, NULL), 0);
        receipt_keys_free(f->keys);
        assert_int_equal(receipt_keys_open(f->path, &f->keys, NULL), 0);
        assert_false(str_eq(receipt_keys_id(f->keys), before));
        assert_true(holds(f, f->text.data));
    }
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

static void a_retired_key_is_known_no_more(void **state)
{
    struct fixture *f = *state;
    char first[RECEIPT_KEY_ID_TEXT];
    struct receipt_keys *now;
    struct err err;

    str_copy(first, sizeof(first), receipt_keys_id(f->keys));
    assert_int_equal(receipt_keys_retire(f->path, first, &err), -E_CONFIG); /* it signs */
    assert_int_equal(receipt_keys_rotate(f->path, NULL), 0);
    assert_int_equal(receipt_keys_retire(f->path, "nonsense", &err), -E_CONFIG);
    assert_int_equal(receipt_keys_retire(f->path, first, NULL), 0);
    assert_int_equal(receipt_keys_open(f->path, &now, NULL), 0);
    assert_true(receipt_keys_adopt(f->keys, now));
    assert_false(holds(f, f->text.data));
}

static void no_private_key_is_published(void **state)
{
    struct fixture *f = *state;
    json_t *set, *jwk;
    struct buf text;
    size_t i;

    assert_int_equal(receipt_keys_rotate(f->path, NULL), 0);
    receipt_keys_free(f->keys);
    assert_int_equal(receipt_keys_open(f->path, &f->keys, NULL), 0);
    buf_init(&text, 4096);
    receipt_keys_publish(f->keys, &text);
    set = json_loads(buf_str(&text), 0, NULL);
    assert_int_equal(json_array_size(json_object_get(set, "keys")), 2);
    json_array_foreach(json_object_get(set, "keys"), i, jwk)
    {
        assert_null(json_object_get(jwk, "d"));
        assert_non_null(json_object_get(jwk, "x"));
    }
    json_decref(set);
    buf_done(&text);
}

static void more_keys_than_one_file_holds_are_refused(void **state)
{
    struct fixture *f = *state;
    struct err err;

    for (int i = 1; i < RECEIPT_KEYS_MAX; i++)
        assert_int_equal(receipt_keys_rotate(f->path, NULL), 0);
    assert_int_equal(receipt_keys_rotate(f->path, &err), -E_CONFIG);
    receipt_keys_free(f->keys);
    assert_int_equal(receipt_keys_open(f->path, &f->keys, NULL), 0);
    assert_true(holds(f, f->text.data));
}

static void a_key_file_that_is_no_set_of_keys_is_refused_with_the_remedy(void **state)
{
    static const char *const texts[] = {
        "", "{", "[]", "{\"keys\": 1}", "{\"keys\": []}", "{\"keys\": [{}]}",
        "{\"keys\": [{\"kty\": \"OKP\", \"crv\": \"Ed25519\", \"x\": \"AAAA\"}]}",
        /* RFC 8037, A.2: a good public key alone cannot sign, nor with another's private part */
        "{\"keys\": [{\"kty\": \"OKP\", \"crv\": \"Ed25519\","
        " \"x\": \"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}",
        "{\"keys\": [{\"kty\": \"OKP\", \"crv\": \"Ed25519\","
        " \"d\": \"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
        " \"x\": \"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}"};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct receipt_keys *keys = NULL;
        struct err err = {0};

        write_key_file(f, texts[i]);
        assert_int_equal(receipt_keys_open(f->path, &keys, &err), -E_CONFIG);
        assert_null(keys);
        assert_non_null(strstr(err.text, f->path));
        assert_non_null(strstr(err.text, "Put back a copy"));
    }
}

/* RFC 8037, A.1 and A.3 */
static void the_id_of_a_key_is_its_thumbprint(void **state)
{
    struct fixture *f = *state;

    write_key_file(f, "{\"keys\": [{\"kty\": \"OKP\", \"crv\": \"Ed25519\","
                      " \"d\": \"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A\","
                      " \"x\": \"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}");
    receipt_keys_free(f->keys);
    assert_int_equal(receipt_keys_open(f->path, &f->keys, NULL), 0);
    assert_string_equal(receipt_keys_id(f->keys), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

static void keys_of_other_kinds_in_a_published_set_are_skipped(void **state)
{
    struct fixture *f = *state;
    struct receipt_keys *keys = NULL;
    struct buf text;
    struct err err;

    buf_init(&text, 4096);
    buf_add_str(&text, "{\"keys\": [{\"kty\": \"RSA\", \"n\": \"AQAB\", \"e\": \"AQAB\"}, ");
    receipt_keys_publish(f->keys, &text);
    memmove(strstr(text.data, "{\"keys\":["), strstr(text.data, "{\"keys\":[") + 9,
            strlen(strstr(text.data, "{\"keys\":[") + 9) + 1);
    write_key_file(f, text.data);
    chmod(f->path, 0644);
    assert_int_equal(receipt_keys_read(f->path, &keys, &err), 0);
    assert_string_equal(receipt_keys_id(keys), receipt_keys_id(f->keys));
    receipt_keys_free(keys);
    buf_done(&text);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_receipt_carries_its_claims),
        TEST(a_receipt_for_many_has_counts_and_a_hash),
        TEST(a_receipt_of_the_longest_name_is_read),
        TEST(an_altered_receipt_is_refused),
        TEST(another_key_is_not_trusted),
        TEST(what_is_no_receipt_is_refused),
        TEST(a_rotated_key_signs_and_the_old_ones_are_still_known),
        TEST(a_retired_key_is_known_no_more),
        TEST(no_private_key_is_published),
        TEST(more_keys_than_one_file_holds_are_refused),
        TEST(a_key_file_that_is_no_set_of_keys_is_refused_with_the_remedy),
        TEST(the_id_of_a_key_is_its_thumbprint),
        TEST(keys_of_other_kinds_in_a_published_set_are_skipped),
    };
#undef TEST

    return cmocka_run_group_tests(tests, NULL, NULL);
}
