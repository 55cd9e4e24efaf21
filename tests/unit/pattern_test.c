/* tests/unit/pattern_test.c -- expressions mean what POSIX says, and none takes long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <locale.h>
#include <malloc.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "core/pattern.h"

enum { LONG = 4096 };

static struct pattern *compiled(const char *text)
{
    struct pattern *pattern = NULL;
    struct err err;

    if (pattern_new(text, &pattern, &err) != 0)
        fail_msg("%s: %s", text, err.text);
    assert_string_equal(pattern_text(pattern), text);
    return pattern;
}

static void an_expression_means_what_posix_says(void **state)
{
    static const struct {
        const char *text, *good[5], *bad[5];
    } cases[] = {
        {"[A-Z]{3}|x+", {"ABC", "x", "xxx"}, {"", "AB", "ABCx", "aABC", "ABC\n"}},
        {"", {""}, {"a", "\n"}},
        {".{2}", {"ab", "é€", "a\n", "  "}, {"é", "abc", "a"}},
        {"a|ab|abc", {"a", "ab", "abc"}, {"abcd", ""}},
        {"(a|ab)(c|bcd)", {"ac", "abcd", "abc", "abbcd"}, {"ab"}},
        {"^a$", {"a"}, {"^a$", "a\n"}},
        {"[[:alpha:]]+",
         {"Zoë", "Müller", "Жук", "日本", "e\xcc\x81"},
         {"a1", "a b", "-", "", "_"}},
        {"[[:alnum:]_]+", {"é1_", "a"}, {"a-b"}},
        {"[[:upper:]][[:lower:]]", {"Éa", "Ab"}, {"éa", "AB", "ab"}},
        {"[^[:alpha:]]", {"1", "€", "\n"}, {"é", "a"}},
        {"[[:digit:][:space:]]+", {"1 2", "\t3\n"}, {"a"}},
        {"[[:xdigit:]]{2,}", {"fF", "09A"}, {"g0", "0"}},
        {"[[:punct:]]", {"-", "!", "]", "\\"}, {"a", " "}},
        {"[]a]", {"]", "a"}, {"[]a]", "b"}},
        {"[^]a]", {"b", "["}, {"]", "a"}},
        {"[a-]+", {"-a", "a"}, {"b"}},
        {"[a[]", {"[", "a"}, {"]"}},
        {"[[a]", {"[", "a"}, {"]"}},
        {"[^-a]", {"b"}, {"-", "a"}},
        {"[\\\\]", {"\\"}, {"a", "\\\\"}},
        {"[*.?+(){}|^$]", {"*", ".", "$", "^", "|"}, {"a"}},
        {"[é-ü]", {"ö", "é"}, {"e", "a"}},
        {"a\\.b\\*\\\\", {"a.b*\\"}, {"axb*\\"}},
        {"\\{\\}\\[\\]\\(\\)\\-\\/", {"{}[]()-/"}, {"{}"}},
        {"a}]", {"a}]"}, {"a"}},
        {"(a{2}){3}", {"aaaaaa"}, {"aaaaa", "aaaaaaa"}},
        {"a{2,3}b{2,}c{0}", {"aabb", "aaabbbb"}, {"abb", "aabbc"}},
        {"()|(b|)", {"", "b"}, {"bb"}},
        {"(a*)*|(b+)+", {"", "aaa", "bb"}, {"ab"}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct pattern *pattern = compiled(cases[i].text);

        for (size_t k = 0; k < 5 && cases[i].good[k] != NULL; k++) {
            if (!pattern_matches(pattern, cases[i].good[k]))
                fail_msg("%s does not match '%s'", cases[i].text, cases[i].good[k]);
        }
        for (size_t k = 0; k < 5 && cases[i].bad[k] != NULL; k++) {
            if (pattern_matches(pattern, cases[i].bad[k]))
                fail_msg("%s matches '%s'", cases[i].text, cases[i].bad[k]);
        }
        pattern_free(pattern);
    }
}

#define REPETITION "a repetition stands behind a character or a group"

static void what_is_no_posix_expression_is_rejected(void **state)
{
    static const char *const cases[][2] = {
        {"(a", "missing )"},
        {"a)", "unexpected )"},
        {"a)(b", "unexpected )"},
        {"[a", "a [ has no ] behind it"},
        {"[]", "a [ has no ] behind it"},
        {"[^]", "a [ has no ] behind it"},
        {"[", "a [ has no ] behind it"},
        {"[z-a]", "invalid character class range"},
        {"[[:word]", "in brackets [: begins a class"},
        {"[[:foo:]]", "invalid character class range: [:foo:]"},
        {"[[.a.]]", "[.x.] and [=x=] are not supported"},
        {"[[=a=]]", "[.x.] and [=x=] are not supported"},
        {"[a\\d]", "in brackets a backslash stands for itself; write it twice"},
        {"[\\]", "in brackets a backslash stands for itself"},
        {"(a)\\1", "there are no references such as \\1"},
        {"\\12", "there are no references such as \\1"},
        {"\\d+", "a digit is [0-9], a letter [[:alpha:]]"},
        {"\\pL", "a backslash stands only before a sign"},
        {"a\\", "a backslash stands only before a sign"},
        {"*a", REPETITION},
        {"a|+", REPETITION},
        {"{2}", REPETITION},
        {"(?:a)", REPETITION},
        {"(?i)a", REPETITION},
        {"a+?", REPETITION},
        {"a{2}?", REPETITION},
        {"a**", REPETITION},
        {"a{", "a count is written {2}, {2,} or {2,5}"},
        {"a{,3}", "a count is written {2}, {2,} or {2,5}"},
        {"a{x}", "a count is written {2}, {2,} or {2,5}"},
        {"a{3,2}", "invalid repetition size: {3,2}"},
        {"a{1001}", "invalid repetition size: {1001}"},
        {"a{01}", "a count is written"},
        {"a{99999999999999999999}", "a count is written"},
        {"((a{30}){30}){30}", "invalid repetition size"},
        {"([[:alpha:]]{1000}){1}", "it is too large; lower its counts"},
        {"\xff", "invalid UTF-8"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct pattern *pattern = NULL;
        struct err err = {0};

        if (pattern_new(cases[i][0], &pattern, &err) != -E_INVALID)
            fail_msg("%s: %d", cases[i][0], err.code);
        assert_null(pattern);
        if (strstr(err.text, cases[i][1]) == NULL)
            fail_msg("%s: %s", cases[i][0], err.text);
    }
}

static void a_long_expression_is_read_or_rejected(void **state)
{
    static const struct {
        const char *part;
        size_t times;
    } cases[] = {{"(", 100000}, {"a?", 100000}, {"a|", 100000}, {"[[:alpha:]]{99}", 10000}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct pattern *pattern = NULL;
        struct err err = {0};
        struct buf text;

        buf_init(&text, 1 << 20);
        for (size_t at = 0; at < cases[i].times; at++)
            buf_add_str(&text, cases[i].part);
        assert_false(buf_failed(&text));
        if (pattern_new(buf_str(&text), &pattern, &err) != 0)
            assert_int_equal(err.code, -E_INVALID);
        pattern_free(pattern);
        buf_done(&text);
    }
}

static unsigned random_bits = 1;

static unsigned draw(unsigned count)
{
    random_bits = random_bits * 1103515245u + 12345u;
    return (random_bits >> 16) % count;
}

/* Bytes that are allocated: under ASan what is freed stays for a while, but does not count. */
size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

static size_t allocated(void)
{
    return __sanitizer_get_current_allocated_bytes != NULL
               ? __sanitizer_get_current_allocated_bytes()
               : mallinfo2().uordblks;
}

/* It would need a state for each way to fill 50 characters: too many to keep, and to forget. */
static void memory_does_not_grow_with_the_texts_that_a_pattern_has_met(void **state)
{
    enum { TEXTS = 60 };
    static char value[LONG + 1];
    struct pattern *pattern = compiled("(a|b)*a(a|b){49}");
    size_t before = allocated();

    (void)state;
    for (int i = 0; i < TEXTS; i++) {
        bool matches;

        for (size_t k = 0; k < LONG; k++)
            value[k] = draw(2) == 0 ? 'a' : 'b';
        matches = value[LONG - 50] == 'a';
        assert_int_equal(pattern_matches(pattern, value), matches);
    }
    if (allocated() > before + PATTERN_MEMORY)
        fail_msg("%zu MiB", (allocated() - before) >> 20);
    pattern_free(pattern);
}

/* An expression that matches by trying would try 2^4096 ways here, and never end. */
static void nothing_is_tried_twice(void **state)
{
    static const char *const texts[] = {"(a+)+", "(a*)*", "(a|a)*", "(a|aa)+b?", "((a?){30}){30}"};
    static char value[LONG + 1];

    (void)state;
    memset(value, 'a', LONG - 1);
    value[LONG - 1] = '!';
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct pattern *pattern = compiled(texts[i]);

        assert_false(pattern_matches(pattern, value));
        pattern_free(pattern);
    }
}

/* ---- against the C library's regcomp(3) ----
 * Without ^ and $, which it gets wrong within groups: |(a|$(b|c)){0,2} matches "ac" there. */

static void add_expression(struct buf *out, int depth);

static void add_atom(struct buf *out, int depth)
{
    static const char *const atoms[] = {
        "a",    "b",     "é",    ".",     "[ab]",        "[^a]",         "[a-c]", "[]a]",
        "[a-]", "[^]-]", "\\.",  "\\*",   "[[:alpha:]]", "[[:digit:]b]", "1",     "[^[:upper:]]",
        "-",    "}",     "[.*]", "[\\\\]"};

    if (depth > 0 && draw(3) == 0) {
        buf_add_char(out, '(');
        add_expression(out, depth - 1);
        buf_add_char(out, ')');
    } else {
        buf_add_str(out, atoms[draw(sizeof(atoms) / sizeof(atoms[0]))]);
    }
}

static void add_expression(struct buf *out, int depth)
{
    static const char *const repetitions[] = {"*",    "+",     "?",   "{2}",
                                              "{1,}", "{0,2}", "{0}", "{1,3}"};

    for (unsigned branches = 1 + draw(2); branches > 0; branches--) {
        for (unsigned pieces = draw(4); pieces > 0; pieces--) {
            add_atom(out, depth);
            if (draw(3) == 0)
                buf_add_str(out, repetitions[draw(sizeof(repetitions) / sizeof(repetitions[0]))]);
        }
        if (branches > 1)
            buf_add_char(out, '|');
    }
}

/* Some of them are none: a ( too many, a ] too few. */
static void break_some(struct buf *text)
{
    static const char signs[] = "()[]{}*+?|\\";
    char *at = text->len > 0 ? text->data + draw((unsigned)text->len) : NULL;

    if (at != NULL && draw(4) == 0 && ((unsigned char)*at & 0x80) == 0)
        *at = signs[draw(sizeof(signs) - 1)];
}

static void add_value(struct buf *out)
{
    static const char *const parts[] = {"a", "b", "c", "é", "1",  "-",
                                        "]", ".", "A", "}", "\\", "*"};

    for (unsigned i = draw(6); i > 0; i--)
        buf_add_str(out, parts[draw(draw(3) == 0 ? 12 : 3)]);
}

enum { DRAWN = 4000, VALUES = 20 };

struct tally {
    int both, neither, matches; /* expressions; values */
};

static void compare_values(const char *text, const regex_t *theirs, const struct pattern *ours,
                           struct tally *tally)
{
    struct buf value;

    buf_init(&value, 100);
    for (int i = 0; i < VALUES; i++) {
        bool match;

        buf_reset(&value);
        add_value(&value);
        match = regexec(theirs, buf_str(&value), 0, NULL, 0) == 0;
        tally->matches += match;
        if (pattern_matches(ours, buf_str(&value)) != match)
            fail_msg("%s: '%s': the C library says %s", text, buf_str(&value),
                     match ? "yes" : "no");
    }
    buf_done(&value);
}

/* Both may do as they like with what POSIX leaves undefined; we reject it, and a backslash in
 * brackets that is not doubled, which is more often a mistake. */
static bool is_undefined(const char *why)
{
    static const char *const reasons[] = {"unexpected )", REPETITION, "a count is written",
                                          "in brackets ", "a backslash stands only"};

    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (strncmp(why, reasons[i], strlen(reasons[i])) == 0)
            return true;
    }
    return false;
}

static void compare(const char *text, struct tally *tally)
{
    struct pattern *ours = NULL;
    struct buf whole;
    regex_t theirs;
    struct err err = {0};
    bool is_ours, is_theirs;

    buf_init(&whole, 10000);
    buf_add_format(&whole, "^(%s)$", text);
    is_ours = pattern_new(text, &ours, &err) == 0;
    is_theirs = regcomp(&theirs, text, REG_EXTENDED | REG_NOSUB) == 0;
    if (is_theirs) {
        regfree(&theirs);
        is_theirs = regcomp(&theirs, buf_str(&whole), REG_EXTENDED | REG_NOSUB) == 0;
    }
    tally->both += is_ours && is_theirs;
    tally->neither += !is_ours && !is_theirs;
    if (is_ours && is_theirs)
        compare_values(text, &theirs, ours, tally);
    else if (is_ours != is_theirs && (is_ours || !is_undefined(err.text)))
        fail_msg("%s: %s", text, is_ours ? "the C library rejects it" : err.text);
    if (is_theirs)
        regfree(&theirs);
    pattern_free(ours);
    buf_done(&whole);
}

static void it_agrees_with_the_c_library(void **state)
{
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0), before;
    struct tally tally = {0};
    struct buf text;

    (void)state;
    assert_true(utf8 != (locale_t)0);
    before = uselocale(utf8);
    buf_init(&text, 10000);
    for (int i = 0; i < DRAWN; i++) {
        buf_reset(&text);
        add_expression(&text, 2);
        break_some(&text);
        compare(buf_str(&text), &tally);
    }
    buf_done(&text);
    uselocale(before);
    freelocale(utf8);
    /* It has compared something. */
    assert_true(tally.both > DRAWN / 2 && tally.neither > 0 && tally.matches > DRAWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_expression_means_what_posix_says),
        cmocka_unit_test(what_is_no_posix_expression_is_rejected),
        cmocka_unit_test(a_long_expression_is_read_or_rejected),
        cmocka_unit_test(memory_does_not_grow_with_the_texts_that_a_pattern_has_met),
        cmocka_unit_test(nothing_is_tried_twice),
        cmocka_unit_test(it_agrees_with_the_c_library),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
