/* src/core/pattern.c -- what a text has to match. */
#include "core/pattern.h"

#include <locale.h>
#include <pthread.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* While it matches, regexec() remembers every state that it meets, and forgets none: as many as one
 * for each byte, of any size. So the expression is compiled again after so many bytes. */
enum { FRESH_BYTES = 4096 };

struct pattern {
    char *text, *whole;
    pthread_mutex_t mutex; /* regexec() has one of its own */
    regex_t regex;
    bool stale;     /* there was no memory to compile it again: `regex` is nothing */
    size_t matched; /* bytes, since it was compiled */
};

/* The process has the C locale, in which a character is a byte. */
static locale_t utf8;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void open_locale(void)
{
    utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
}

static locale_t enter(void)
{
    pthread_once(&once, open_locale);
    return utf8 != (locale_t)0 ? uselocale(utf8) : (locale_t)0;
}

static void leave(locale_t before)
{
    if (before != (locale_t)0)
        uselocale(before);
}

/* How often `at` has what it repeats compiled: {2,5}, or a + after a group or a repetition. */
static long copies(const char *text, const char *at)
{
    const char *last = at + 1 + strcspn(at + 1, "},");

    if (*at == '{')
        return strtol(*last == ',' && last[1] != '}' ? last + 1 : at + 1, NULL, 10);
    return at > text && strchr(")}*?+", at[-1]) != NULL ? 2 : 1;
}

/* The product of these. */
static bool is_bounded(const char *text)
{
    long product = 1;

    for (const char *at = strpbrk(text, "{+"); at != NULL; at = strpbrk(at + 1, "{+")) {
        long count = copies(text, at);

        if (count > PATTERN_COUNT_MAX)
            return false;
        product *= count > 1 ? count : 1;
        if (product > PATTERN_COUNT_MAX)
            return false;
    }
    return true;
}

/* regcomp() calls itself for each level of groups, and for each of what may be skipped in a row. */
static bool is_short(const char *text)
{
    size_t groups = 0;

    for (const char *at = strchr(text, '('); at != NULL; at = strchr(at + 1, '('))
        groups++;
    return groups <= PATTERN_COUNT_MAX && strlen(text) <= PATTERN_BYTES_MAX;
}

/* \1 … \9 are not POSIX, and may take time without end. */
static bool has_reference(const char *text)
{
    for (const char *at = strchr(text, '\\'); at != NULL && at[1] != '\0';
         at = strchr(at + 2, '\\')) {
        if (at[1] >= '0' && at[1] <= '9')
            return true;
    }
    return false;
}

static int compile(struct pattern *pattern)
{
    int rc = regcomp(&pattern->regex, pattern->whole, REG_EXTENDED | REG_NOSUB);

    pattern->stale = rc != 0;
    pattern->matched = 0;
    return rc;
}

int pattern_new(const char *text, struct pattern **ret, struct err *err)
{
    struct pattern *pattern;
    char why[128];
    locale_t before;
    int rc;

    if (has_reference(text))
        return err_set(err, -E_INVALID,
                       "a POSIX extended expression has no references such as \\1");
    if (!is_short(text))
        return err_set(err, -E_INVALID, "it has more than %d groups or %d bytes", PATTERN_COUNT_MAX,
                       PATTERN_BYTES_MAX);
    if (!is_bounded(text))
        return err_set(
            err, -E_INVALID,
            "the counts in its braces, and 2 for each + after ), multiply to more than %d",
            PATTERN_COUNT_MAX);
    pattern = calloc(1, sizeof(*pattern));
    if (pattern == NULL)
        return err_set(err, -E_NOMEM, "out of memory");
    pthread_mutex_init(&pattern->mutex, NULL);
    pattern->stale = true; /* until it is compiled */
    pattern->text = strdup(text);
    if (pattern->text == NULL || asprintf(&pattern->whole, "^(%s)$", text) < 0) {
        pattern->whole = NULL;
        pattern_free(pattern);
        return err_set(err, -E_NOMEM, "out of memory");
    }
    before = enter();
    rc = regcomp(&pattern->regex, text, REG_EXTENDED | REG_NOSUB); /* "a)(b" is none by itself */
    if (rc == 0) {
        regfree(&pattern->regex);
        rc = compile(pattern);
    }
    if (rc != 0)
        regerror(rc, &pattern->regex, why, sizeof(why));
    leave(before);
    if (rc == 0) {
        *ret = pattern;
        return 0;
    }
    pattern_free(pattern);
    return err_set(err, rc == REG_ESPACE ? -E_NOMEM : -E_INVALID, "%s", why);
}

void pattern_free(struct pattern *pattern)
{
    if (pattern == NULL)
        return;
    if (!pattern->stale)
        regfree(&pattern->regex);
    pthread_mutex_destroy(&pattern->mutex);
    free(pattern->whole);
    free(pattern->text);
    free(pattern);
}

const char *pattern_text(const struct pattern *pattern)
{
    return pattern->text;
}

bool pattern_matches(struct pattern *pattern, const char *text)
{
    locale_t before = enter();
    bool matches;

    pthread_mutex_lock(&pattern->mutex);
    if (pattern->matched > FRESH_BYTES) {
        regfree(&pattern->regex);
        pattern->stale = true;
        pattern->matched = 0;
    }
    if (pattern->stale)
        compile(pattern);
    matches = !pattern->stale && regexec(&pattern->regex, text, 0, NULL, 0) == 0;
    pattern->matched += strlen(text);
    pthread_mutex_unlock(&pattern->mutex);
    leave(before);
    return matches;
}
