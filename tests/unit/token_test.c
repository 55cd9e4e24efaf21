/* tests/unit/token_test.c -- access tokens hold only as signed, and the key file only as made. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "http/token.h"

struct fixture {
    char folder[64], path[96];
    struct token_key *key;
    struct token_claims claims;
    struct buf token;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    str_copy(f->folder, sizeof(f->folder), "/tmp/token_test.XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->path, sizeof(f->path), "%s/key", f->folder);
    assert_int_equal(token_key_open(f->path, &f->key, NULL), 0);
    f->claims = (struct token_claims){guid_new(), guid_new(), 1000, 2200};
    buf_init(&f->token, TOKEN_TEXT_MAX);
    token_issue(f->key, "ann", &f->claims, &f->token);
    assert_false(buf_failed(&f->token));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    buf_done(&f->token);
    token_key_free(f->key);
    unlink(f->path);
    assert_int_equal(rmdir(f->folder), 0); /* nothing else was left behind */
    free(f);
    return 0;
}

static bool reads(const struct fixture *f, const char *text)
{
    struct token_claims claims;

    return token_read(f->key, text, &claims) == 1;
}

static void a_token_carries_its_claims(void **state)
{
    struct fixture *f = *state;
    struct token_claims claims;

    assert_int_equal(token_read(f->key, buf_str(&f->token), &claims), 1);
    assert_true(guid_eq(&claims.session, &f->claims.session));
    assert_true(guid_eq(&claims.access, &f->claims.access));
    assert_int_equal(claims.issued_s, 1000);
    assert_int_equal(claims.expires_s, 2200);
}

static void a_token_of_the_longest_name_is_read(void **state)
{
    struct fixture *f = *state;
    char name[256];

    memset(name, '\x01', 255); /* 6 bytes each in JSON */
    name[255] = '\0';
    buf_reset(&f->token);
    token_issue(f->key, name, &f->claims, &f->token);
    assert_false(buf_failed(&f->token));
    assert_true(reads(f, buf_str(&f->token)));
}

static void a_token_with_any_character_changed_is_refused(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < f->token.len; i++) {
        char *c = &f->token.data[i], was = *c;

        *c = was == 'A' ? 'B' : 'A';
        assert_false(reads(f, f->token.data));
        *c = was;
    }
    assert_true(reads(f, f->token.data));
}

/* Of the 256 bytes at each of its places one is right: no letter of another alphabet, no bit that
 * decoding drops, no padding. */
static void a_token_has_one_spelling(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < f->token.len; i++) {
        char *c = &f->token.data[i], was = *c;

        for (int byte = 0; byte < 256; byte++) {
            *c = (char)byte;
            assert_int_equal(reads(f, f->token.data), *c == was);
        }
        *c = was;
    }
}

static void a_token_cut_short_or_with_more_behind_it_is_refused(void **state)
{
    struct fixture *f = *state;

    for (size_t len = 0; len < f->token.len; len++) {
        char *cut = strndup(f->token.data, len);

        assert_false(reads(f, cut));
        free(cut);
    }
    buf_add_char(&f->token, '=');
    assert_false(reads(f, f->token.data));
}

static void a_header_that_says_none_is_refused(void **state)
{
    struct fixture *f = *state;
    const char *payload = strchr(f->token.data, '.');
    char text[TOKEN_TEXT_MAX];

    /* {"alg":"none","typ":"JWT"} */
    snprintf(text, sizeof(text), "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0%s", payload);
    assert_false(reads(f, text));
    *strrchr(text, '.') = '\0';
    assert_false(reads(f, text));
    strcat(text, ".");
    assert_false(reads(f, text));
}

static void use_another_key(struct fixture *f)
{
    struct token_key *other;

    assert_int_equal(unlink(f->path), 0);
    assert_int_equal(token_key_open(f->path, &other, NULL), 0);
    token_key_free(f->key);
    f->key = other;
}

static void a_token_of_another_key_is_refused(void **state)
{
    struct fixture *f = *state;

    use_another_key(f);
    assert_false(reads(f, f->token.data));
}

static void the_key_file_is_made_once_and_for_its_owner_only(void **state)
{
    struct fixture *f = *state;
    struct token_key *again;
    struct stat st;

    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_size, TOKEN_KEY_BYTES);
    assert_int_equal(token_key_open(f->path, &again, NULL), 0);
    token_key_free(f->key);
    f->key = again;
    assert_true(reads(f, f->token.data));
}

static void a_key_file_open_to_others_is_refused_with_the_remedy(void **state)
{
    struct fixture *f = *state;
    struct token_key *key = NULL;
    struct err err;

    assert_int_equal(chmod(f->path, 0640), 0);
    assert_int_equal(token_key_open(f->path, &key, &err), -E_CONFIG);
    assert_null(key);
    assert_non_null(strstr(err.text, "chmod 600"));
}

static void a_key_file_of_another_size_is_refused(void **state)
{
    struct fixture *f = *state;
    struct token_key *key = NULL;
    struct err err;

    assert_int_equal(truncate(f->path, TOKEN_KEY_BYTES - 1), 0);
    assert_int_equal(token_key_open(f->path, &key, &err), -E_CONFIG);
    assert_non_null(strstr(err.text, "32 bytes"));
}

static void a_key_that_cannot_be_made_is_an_error_that_names_the_path(void **state)
{
    struct token_key *key = NULL;
    struct err err;

    (void)state;
    assert_int_equal(token_key_open("/nonexistent/folder/key", &key, &err), -E_CONFIG);
    assert_non_null(strstr(err.text, "/nonexistent/folder/key"));
}

static void a_secret_belongs_to_one_pair_and_one_key(void **state)
{
    struct fixture *f = *state;
    struct guid session = guid_new(), access = guid_new(), other = guid_new();
    char secret[TOKEN_SECRET_TEXT], again[TOKEN_SECRET_TEXT];

    token_secret(f->key, &session, &access, secret);
    assert_int_equal(strlen(secret), TOKEN_SECRET_TEXT - 1);
    token_secret(f->key, &session, &access, again);
    assert_string_equal(secret, again);
    token_secret(f->key, &session, &other, again);
    assert_string_not_equal(secret, again);
    token_secret(f->key, &other, &access, again);
    assert_string_not_equal(secret, again);
    use_another_key(f);
    token_secret(f->key, &session, &access, again);
    assert_string_not_equal(secret, again);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_token_carries_its_claims),
        TEST(a_token_of_the_longest_name_is_read),
        TEST(a_token_with_any_character_changed_is_refused),
        TEST(a_token_has_one_spelling),
        TEST(a_token_cut_short_or_with_more_behind_it_is_refused),
        TEST(a_header_that_says_none_is_refused),
        TEST(a_token_of_another_key_is_refused),
        TEST(the_key_file_is_made_once_and_for_its_owner_only),
        TEST(a_key_file_open_to_others_is_refused_with_the_remedy),
        TEST(a_key_file_of_another_size_is_refused),
        TEST(a_key_that_cannot_be_made_is_an_error_that_names_the_path),
        TEST(a_secret_belongs_to_one_pair_and_one_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
