/* tests/unit/token_test.c -- access tokens hold only as signed, and the key file only as made. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/str.h"
#include "http/token.h"

struct fixture {
    char folder[64], path[96];
    struct token_keys *key;
    struct token_claims claims;
    struct buf token;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    str_copy(f->folder, sizeof(f->folder), "/tmp/token_test.XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->path, sizeof(f->path), "%s/key", f->folder);
    assert_int_equal(token_keys_open(f->path, &f->key, NULL), 0);
    f->claims = (struct token_claims){guid_new(), guid_new(), 1000, 2200, false};
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
    token_keys_free(f->key);
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
    struct token_keys *other;

    assert_int_equal(unlink(f->path), 0);
    assert_int_equal(token_keys_open(f->path, &other, NULL), 0);
    token_keys_free(f->key);
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
    struct token_keys *again;
    struct stat st;

    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_size, TOKEN_KEY_BYTES);
    assert_int_equal(token_keys_open(f->path, &again, NULL), 0);
    token_keys_free(f->key);
    f->key = again;
    assert_true(reads(f, f->token.data));
}

static void a_key_file_open_to_others_is_refused_with_the_remedy(void **state)
{
    struct fixture *f = *state;
    struct token_keys *key = NULL;
    struct err err;

    assert_int_equal(chmod(f->path, 0640), 0);
    assert_int_equal(token_keys_open(f->path, &key, &err), -E_CONFIG);
    assert_null(key);
    assert_non_null(strstr(err.text, "chmod 600"));
}

static void a_key_file_of_another_size_is_refused(void **state)
{
    struct fixture *f = *state;
    struct token_keys *key = NULL;
    struct err err;

    assert_int_equal(truncate(f->path, TOKEN_KEY_BYTES - 1), 0);
    assert_int_equal(token_keys_open(f->path, &key, &err), -E_CONFIG);
    assert_non_null(strstr(err.text, "32 bytes"));
}

static void a_key_that_cannot_be_made_is_an_error_that_names_the_path(void **state)
{
    struct token_keys *key = NULL;
    struct err err;

    (void)state;
    assert_int_equal(token_keys_open("/nonexistent/folder/key", &key, &err), -E_CONFIG);
    assert_non_null(strstr(err.text, "/nonexistent/folder/key"));
}

/* ---- keys that are replaced ---- */

static void first_id(const struct fixture *f, char out[TOKEN_KEY_ID_TEXT])
{
    str_copy(out, TOKEN_KEY_ID_TEXT, token_keys_id_at(f->key, 0));
}

static void reopen(struct fixture *f)
{
    struct token_keys *now = NULL;

    assert_int_equal(token_keys_open(f->path, &now, NULL), 0);
    assert_true(token_keys_adopt(f->key, now));
}

static void issue(struct fixture *f)
{
    buf_reset(&f->token);
    token_issue(f->key, "ann", &f->claims, &f->token);
    assert_false(buf_failed(&f->token));
}

/* Signed with the first key of a file of 32 bytes, with this header. */
static char *forge(const struct fixture *f, const char *header)
{
    unsigned char key[TOKEN_KEY_BYTES], mac[32];
    FILE *file = fopen(f->path, "r");
    struct buf text;

    assert_non_null(file);
    assert_int_equal(fread(key, 1, sizeof(key), file), sizeof(key));
    fclose(file);
    buf_init(&text, 2 * TOKEN_TEXT_MAX);
    base64url_add(&text, header, strlen(header));
    buf_add(&text, strchr(f->token.data, '.'),
            (size_t)(strrchr(f->token.data, '.') - strchr(f->token.data, '.')));
    HMAC(EVP_sha256(), key, sizeof(key), (const unsigned char *)text.data, text.len, mac, NULL);
    buf_add_char(&text, '.');
    base64url_add(&text, mac, sizeof(mac));
    return buf_take(&text);
}

static bool reads_forged(const struct fixture *f, const char *header)
{
    char *text = forge(f, header);
    bool good = reads(f, text);

    free(text);
    return good;
}

static void a_key_is_named_as_it_is_and_in_no_other_way(void **state)
{
    static const char *const ids[] = {
        "", "../../dev/null", "token.key", "' OR 1=1 --", "0", "\\u0000", "AAAAAAAAAAAAAAAAAAAAAA"};
    struct fixture *f = *state;
    char id[TOKEN_KEY_ID_TEXT], header[256];

    first_id(f, id);
    snprintf(header, sizeof(header), "{\"alg\":\"HS256\",\"kid\":\"%s\",\"typ\":\"JWT\"}", id);
    assert_true(reads_forged(f, header));
    snprintf(header, sizeof(header), "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"%s\"}", id);
    assert_false(reads_forged(f, header));
    snprintf(header, sizeof(header), "{\"kid\":\"%s\",\"alg\":\"none\",\"typ\":\"JWT\"}", id);
    assert_false(reads_forged(f, header));
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        snprintf(header, sizeof(header), "{\"alg\":\"HS256\",\"kid\":\"%s\",\"typ\":\"JWT\"}",
                 ids[i]);
        assert_false(reads_forged(f, header));
    }
}

static void a_token_of_before_keys_had_names_is_read_after_a_rotation_too(void **state)
{
    struct fixture *f = *state;
    char *old = forge(f, "{\"alg\":\"HS256\",\"typ\":\"JWT\"}");

    assert_true(reads(f, old));
    assert_int_equal(token_keys_rotate(f->path, NULL), 0);
    reopen(f);
    assert_true(reads(f, old));
    free(old);
}

static void replaced_keys_are_believed_until_they_are_retired(void **state)
{
    struct fixture *f = *state;
    char first[TOKEN_KEY_ID_TEXT], before[TOKEN_KEY_ID_TEXT];
    char *old = strdup(buf_str(&f->token));
    struct err err;
    struct stat st;

    first_id(f, first);
    for (int i = 0; i < 2; i++) {
        first_id(f, before);
        assert_int_equal(token_keys_rotate(f->path, NULL), 0);
        reopen(f);
        assert_string_not_equal(token_keys_id_at(f->key, 0), before);
        assert_true(reads(f, old));
    }
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    issue(f);
    first_id(f, before);
    assert_int_equal(token_keys_retire(f->path, before, &err), -E_CONFIG); /* it signs */
    assert_int_equal(token_keys_retire(f->path, "nonsense", &err), -E_CONFIG);
    assert_int_equal(token_keys_retire(f->path, first, NULL), 0);
    reopen(f);
    assert_false(reads(f, old));
    assert_true(reads(f, f->token.data));
    free(old);
}

static void a_key_that_only_the_file_has_is_found_there(void **state)
{
    struct fixture *f = *state;
    struct token_keys *other;
    char id[TOKEN_KEY_ID_TEXT];

    first_id(f, id);
    assert_int_equal(token_keys_rotate(f->path, NULL), 0);
    assert_true(reads(f, f->token.data)); /* nothing unknown: it goes on with what it has */
    assert_false(reads(f, "eyJ9.eyJ9.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"));
    assert_string_equal(token_keys_id_at(f->key, 0), id);
    assert_int_equal(token_keys_open(f->path, &other, NULL), 0);
    buf_reset(&f->token);
    token_issue(other, "ann", &f->claims, &f->token);
    assert_true(reads(f, f->token.data));
    assert_string_equal(token_keys_id_at(f->key, 0), token_keys_id_at(other, 0));
    token_keys_free(other);
}

/* How many of so many made-up tokens have the file opened. */
static int count_opens(const struct fixture *f, int watch, int tokens)
{
    char events[4096];
    int count = 0;

    for (int i = 0; i < tokens; i++) {
        assert_false(reads(f, "eyJ9.eyJ9.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"));
        count += read(watch, events, sizeof(events)) > 0;
    }
    return count;
}

static void made_up_tokens_have_a_changed_file_read_once(void **state)
{
    struct fixture *f = *state;
    int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

    assert_int_equal(token_keys_rotate(f->path, NULL), 0);
    assert_true(inotify_add_watch(watch, f->path, IN_OPEN) >= 0);
    assert_int_equal(count_opens(f, watch, 1000), 1);
    assert_int_equal(truncate(f->path, 0), 0); /* broken: it is tried again, but not each time */
    assert_in_range(count_opens(f, watch, 1000), 1, 100);
    close(watch);
}

static void more_keys_than_one_file_holds_are_refused_until_the_old_ones_are_of_no_use(void **state)
{
    struct fixture *f = *state;
    char command[256];
    struct err err;

    for (int i = 1; i < TOKEN_KEYS_MAX; i++)
        assert_int_equal(token_keys_rotate(f->path, NULL), 0);
    assert_int_equal(token_keys_rotate(f->path, &err), -E_CONFIG);
    assert_non_null(strstr(err.text, "which is the most"));
    reopen(f);
    assert_true(reads(f, f->token.data));
    snprintf(command, sizeof(command), "sed -i 's/\"replaced\":[0-9]*/\"replaced\":1/' %s",
             f->path);
    assert_int_equal(system(command), 0);
    assert_int_equal(token_keys_rotate(f->path, NULL), 0);
    reopen(f);
    assert_non_null(token_keys_id_at(f->key, 1));
    assert_null(token_keys_id_at(f->key, 2));
    assert_false(reads(f, f->token.data));
}

static void a_key_file_that_is_no_set_of_keys_is_refused(void **state)
{
    static const char *const texts[] = {
        "{}", "{\"keys\": []}", "{\"keys\": [{}]}",
        "{\"keys\": [{\"kty\": \"oct\", \"k\": \"AAAA\"}]}",
        /* one that was replaced cannot sign */
        "{\"keys\": [{\"kty\": \"oct\", \"replaced\": 1,"
        " \"k\": \"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}]}"};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct token_keys *keys = NULL;
        FILE *file = fopen(f->path, "w");

        assert_non_null(file);
        fputs(texts[i], file);
        fclose(file);
        assert_int_equal(token_keys_open(f->path, &keys, NULL), -E_CONFIG);
        assert_null(keys);
        assert_int_equal(token_keys_rotate(f->path, NULL), -E_CONFIG);
    }
}

struct secret_of {
    const struct guid *session, *access;
    char *out;
};

static int make_secret(void *context, const struct token_key *key)
{
    const struct secret_of *of = context;

    token_secret(key, of->session, of->access, of->out);
    return 1;
}

static void secret(const struct fixture *f, const struct guid *session, const struct guid *access,
                   char out[TOKEN_SECRET_TEXT])
{
    token_keys_sign(f->key, make_secret, &(struct secret_of){session, access, out});
}

static void a_secret_belongs_to_one_pair_and_one_key(void **state)
{
    struct fixture *f = *state;
    struct guid session = guid_new(), access = guid_new(), other = guid_new();
    char first[TOKEN_SECRET_TEXT], again[TOKEN_SECRET_TEXT];

    secret(f, &session, &access, first);
    assert_int_equal(strlen(first), TOKEN_SECRET_TEXT - 1);
    secret(f, &session, &access, again);
    assert_string_equal(first, again);
    secret(f, &session, &other, again);
    assert_string_not_equal(first, again);
    secret(f, &other, &access, again);
    assert_string_not_equal(first, again);
    use_another_key(f);
    secret(f, &session, &access, again);
    assert_string_not_equal(first, again);
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
        TEST(a_key_is_named_as_it_is_and_in_no_other_way),
        TEST(a_token_of_before_keys_had_names_is_read_after_a_rotation_too),
        TEST(replaced_keys_are_believed_until_they_are_retired),
        TEST(a_key_that_only_the_file_has_is_found_there),
        TEST(made_up_tokens_have_a_changed_file_read_once),
        TEST(more_keys_than_one_file_holds_are_refused_until_the_old_ones_are_of_no_use),
        TEST(a_key_file_that_is_no_set_of_keys_is_refused),
        TEST(a_secret_belongs_to_one_pair_and_one_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
