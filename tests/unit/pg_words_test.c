/* tests/unit/pg_words_test.c -- what libpq says of a broken URL is passed on without a password. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "pg/pg.h"

enum { TEXT_MAX = 1 << 14 };

/* What libpq may say of a URL that it does not understand, or of the places that it finds in one:
 * it quotes all of them but the password. */
static void all_words(const char *url, struct buf *out)
{
    char *why = NULL;
    PQconninfoOption *options = PQconninfoParse(url, &why);

    buf_add_str(out, options != NULL ? "could not connect to" : why);
    for (const PQconninfoOption *o = options; o != NULL && o->keyword != NULL; o++) {
        if (o->val != NULL && !str_eq(o->keyword, "password"))
            buf_add_format(out, " %s", o->val);
    }
    PQconninfoFree(options);
    PQfreemem(why);
}

static bool quotes_the_password(const char *url)
{
    char said[PG_MESSAGE];
    struct buf words;

    buf_init(&words, TEXT_MAX);
    all_words(url, &words);
    pg_url_trouble(url, buf_str(&words), said);
    buf_done(&words);
    return strstr(said, "Qv7") != NULL || strstr(said, "Xk9") != NULL;
}

static void a_password_is_not_quoted_however_it_is_written(void **state)
{
    static const char *const urls[] = {
        "postgresql://u:*@h/x",
        "postgresql://u:*@h:5432,g:5433/x?sslmode=require",
        "postgresql://u:*@[::1]/x",
        "postgresql://u:*@[::1/x",
        "postgresql://u:*@h:port/x",
        "postgresql://u:*@h/x?colour=red",
        "postgresql://u:*@h/x?a@b",
        "postgresql://u:*@/x?host=%2Ftmp",
        "postgresql://u:*",
        "postgresql://u:*/x",
        "postgresql://u:*?sslmode=require",
        "postgresql://h:5432:*/x",
        "postgresql://[::1]:*/x",
        "postgresql://h/x?user=u&password=*",
        "postgresql://h/x?password=*&user=u",
        "postgresql://h/x?PASSWORD=*",
        "postgresql://h/x?sslpassword=*&colour=red",
        "postgresql:u:*@h/x",
        "postgresql:u:*",
        "postgresql:/u:*@h/x",
        "postgresql:host=h password=*",
        "postgresql:host=h password='*",
        "postgres://u:*@h/x",
    };
    static const char *const inside[] = {
        "",  "%",  "%zz", "%00", "%4", "@", "/", "?",  "#", "[",    "]",   ":",   "&",  "=",
        " ", "'",  "\"",  "\\",  ";",  ",", "$", "%%", "+", "@@",   "/@",  "?@",  "&=", "=&",
        "ü", "\t", "://", "@/",  "@:", "|", "<", ">",  "%", "&a=b", "@h@", "/x?", "]:",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        for (size_t j = 0; j < sizeof(inside) / sizeof(inside[0]); j++) {
            char url[256];
            int before = (int)strcspn(urls[i], "*");

            if (strchr(inside[j], '@') != NULL && strchr(urls[i], '@') == NULL &&
                strstr(urls[i], "password") == NULL)
                continue; /* what stands behind the '@' is a host to everybody */
            snprintf(url, sizeof(url), "%.*sQv7%sXk9%s", before, urls[i], inside[j],
                     urls[i] + before + 1);
            if (quotes_the_password(url))
                fail_msg("quoted: %s", url);
        }
    }
}

static void what_is_wrong_is_told_where_no_password_can_be(void **state)
{
    static const struct {
        const char *url, *said;
    } cases[] = {
        {"postgresql://h/x?colour=red", "invalid URI query parameter: \"colour\""},
        {"postgresql://u:secret@h:70000/x", "could not connect to u x h 70000"},
        {"postgresql://h:5432/x", "could not connect to x h 5432"},
        {"postgresql://u@h/x?password=secret", "could not connect to u x h"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char said[PG_MESSAGE];
        struct buf words;

        buf_init(&words, TEXT_MAX);
        all_words(cases[i].url, &words);
        pg_url_trouble(cases[i].url, buf_str(&words), said);
        assert_string_equal(said, cases[i].said);
        buf_done(&words);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_password_is_not_quoted_however_it_is_written),
        cmocka_unit_test(what_is_wrong_is_told_where_no_password_can_be),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
