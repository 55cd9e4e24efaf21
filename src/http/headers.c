/* src/http/headers.c -- parses Accept, Accept-Encoding, Prefer, media types, If-None-Match,
 * If-Range and Range. */
#include "http/headers.h"

#include <ctype.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/str.h"

/* A part of a header, not terminated. */
struct piece {
    const char *at;
    size_t len;
};

/* The first `end` outside of quoted strings (RFC 9110, 5.6.4); NULL: there is none. */
static const char *find_end(struct piece text, char end)
{
    bool quoted = false;

    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] == '"')
            quoted = !quoted;
        else if (quoted && text.at[i] == '\\')
            i++;
        else if (!quoted && text.at[i] == end)
            return text.at + i;
    }
    return NULL;
}

/* Cut the next part off *rest, up to `end` or the end of the text, without surrounding blanks. */
static bool next_piece(struct piece *rest, char end, struct piece *ret)
{
    const char *stop;

    if (rest->at == NULL)
        return false;
    stop = find_end(*rest, end);
    *ret = (struct piece){rest->at, stop != NULL ? (size_t)(stop - rest->at) : rest->len};
    *rest = stop != NULL ? (struct piece){stop + 1, rest->len - ret->len - 1} : (struct piece){0};
    while (ret->len > 0 && isspace((unsigned char)*ret->at)) {
        ret->at++;
        ret->len--;
    }
    while (ret->len > 0 && isspace((unsigned char)ret->at[ret->len - 1]))
        ret->len--;
    return true;
}

static bool piece_is(struct piece piece, const char *text, size_t len)
{
    return piece.len == len && strncasecmp(piece.at, text, len) == 0;
}

/* A quality value in thousandths: 0(.ddd) or 1(.000); an invalid one counts as 1. */
static int quality(struct piece text)
{
    int q = 0, scale = 1000;

    if (text.len == 0 || *text.at != '0')
        return 1000;
    for (size_t i = 2; i < text.len && scale > 1 && isdigit((unsigned char)text.at[i]); i++) {
        scale /= 10;
        q += (text.at[i] - '0') * scale;
    }
    return q;
}

typedef int specificity_fn(struct piece range, const char *name);

static int type_specificity(struct piece range, const char *type)
{
    size_t major = strcspn(type, "/") + 1; /* with the slash */

    if (piece_is(range, type, strlen(type)))
        return 3;
    if (range.len == major + 1 && range.at[major] == '*' && strncasecmp(range.at, type, major) == 0)
        return 2;
    return piece_is(range, "*/*", 3) ? 1 : 0;
}

static int coding_specificity(struct piece range, const char *coding)
{
    /* x-gzip is an alias: 8.4.1.3 */
    if (range.len > 2 && strcmp(coding, "gzip") == 0 && strncasecmp(range.at, "x-", 2) == 0)
        range = (struct piece){range.at + 2, range.len - 2};
    if (piece_is(range, coding, strlen(coding)))
        return 3;
    return piece_is(range, "*", 1) ? 1 : 0;
}

static void fit_accept(struct accept_fit *fit, const char *header, const char *name,
                       specificity_fn *specificity)
{
    struct piece rest = {header, strlen(header)};
    struct piece item;

    while (next_piece(&rest, ',', &item)) {
        struct piece range, param;
        int q = 1000, found;

        if (!next_piece(&item, ';', &range))
            continue;
        found = specificity(range, name);
        while (next_piece(&item, ';', &param)) {
            if (param.len >= 2 && strncasecmp(param.at, "q=", 2) == 0)
                q = quality((struct piece){param.at + 2, param.len - 2});
        }
        if (found > fit->specificity)
            *fit = (struct accept_fit){found, q};
    }
}

void accept_feed(struct accept_fit *fit, const char *header, const char *type)
{
    fit_accept(fit, header, type, type_specificity);
}

bool accept_is_better(const struct accept_fit *fit, const struct accept_fit *best)
{
    return fit->q > best->q || (fit->q == best->q && fit->specificity > best->specificity);
}

void codings_feed(struct codings *codings, const char *header)
{
    for (int i = 0; i < CODING_COUNT; i++)
        fit_accept(&codings->of[i], header, coding_name((enum coding)i), coding_specificity);
}

bool codings_accept(const struct codings *codings, enum coding coding)
{
    const struct accept_fit *fit = &codings->of[coding];

    return fit->q > 0 || (coding == CODING_IDENTITY && fit->specificity == 0);
}

enum coding codings_best(const struct codings *codings)
{
    int best = CODING_COUNT - 1;

    for (int i = best - 1; i >= 0; i--) {
        if (accept_is_better(&codings->of[i], &codings->of[best]))
            best = i;
    }
    if (codings->of[best].q > 0)
        return (enum coding)best;
    return codings_accept(codings, CODING_IDENTITY) ? CODING_IDENTITY : CODING_COUNT;
}

/* A number of seconds, quoted or not; -1 if it is not one. */
static int seconds(struct piece text, int most)
{
    int value = 0;

    if (text.len >= 2 && text.at[0] == '"' && text.at[text.len - 1] == '"')
        text = (struct piece){text.at + 1, text.len - 2};
    if (text.len == 0)
        return -1;
    for (size_t i = 0; i < text.len; i++) {
        if (!isdigit((unsigned char)text.at[i]))
            return -1;
        value = value * 10 + (text.at[i] - '0');
        value = value < most ? value : most;
    }
    return value;
}

int prefer_wait(const char *header, int most)
{
    struct piece rest = {header, strlen(header)};
    struct piece item;

    while (next_piece(&rest, ',', &item)) {
        struct piece preference, name, value;

        if (next_piece(&item, ';', &preference) && next_piece(&preference, '=', &name) &&
            piece_is(name, "wait", 4) && next_piece(&preference, '=', &value))
            return seconds(value, most);
    }
    return -1;
}

bool media_type_is(const char *header, const char *type)
{
    struct piece rest, found;

    if (header == NULL)
        return false;
    rest = (struct piece){header, strlen(header)};
    return next_piece(&rest, ';', &found) && piece_is(found, type, strlen(type));
}

/* ---- conditional and range requests ---- */

/* The opaque part of an entity tag: with its quotes, without W/. */
static const char *opaque(const char *etag)
{
    return str_starts(etag, "W/") ? etag + 2 : etag;
}

static bool listed(const char *list, const char *etag, bool strongly)
{
    const char *wanted = opaque(etag);
    size_t len = strlen(wanted);

    if (list == NULL)
        return false;
    if (strcmp(list, "*") == 0)
        return true;
    for (const char *at = list; *at != '\0';) {
        const char *end;
        bool weak;

        at += strspn(at, ", \t");
        weak = opaque(at) != at;
        at = opaque(at);
        end = *at == '"' ? strchr(at + 1, '"') : NULL;
        if (end == NULL)
            return false;
        if ((size_t)(end + 1 - at) == len && memcmp(at, wanted, len) == 0 &&
            (!strongly || (!weak && wanted == etag)))
            return true;
        at = end + 1;
    }
    return false;
}

bool etag_listed(const char *list, const char *etag)
{
    return listed(list, etag, false);
}

bool etag_listed_strongly(const char *list, const char *etag)
{
    return listed(list, etag, true);
}

static bool is_stored(const char *list, const struct validators *validators)
{
    for (size_t i = 0; i < 2; i++) {
        if (validators->stored[i] != NULL && etag_listed_strongly(list, validators->stored[i]))
            return true;
    }
    return false;
}

/* Is the resource unmodified since that date, to the second? An invalid date gives `otherwise`. */
static bool is_unmodified_since(const char *date, const struct validators *validators,
                                bool otherwise)
{
    int64_t ms;

    if (date == NULL || !clock_parse_http(date, validators->now_ms, &ms))
        return otherwise;
    return validators->etag != NULL && validators->modified_ms / 1000 <= ms / 1000;
}

enum conditions_outcome conditions_check(const struct conditions *conditions,
                                         const struct validators *validators, bool reads)
{
    if (conditions->match != NULL) {
        if (!is_stored(conditions->match, validators))
            return CONDITIONS_FAIL;
    } else if (!is_unmodified_since(conditions->unmodified_since, validators, true)) {
        return CONDITIONS_FAIL;
    }
    if (conditions->none_match != NULL) {
        if (validators->etag == NULL || !etag_listed(conditions->none_match, validators->etag))
            return CONDITIONS_HOLD;
        return reads ? CONDITIONS_CACHED : CONDITIONS_FAIL;
    }
    return reads && is_unmodified_since(conditions->modified_since, validators, false)
               ? CONDITIONS_CACHED
               : CONDITIONS_HOLD;
}

bool if_range_holds(const char *header, const struct validators *validators)
{
    int64_t ms;

    if (header == NULL || strcmp(header, validators->etag) == 0)
        return true;
    return clock_parse_http(header, validators->now_ms, &ms) &&
           ms / 1000 == validators->modified_ms / 1000;
}

/* Read the digits at *at as a number, at most INT64_MAX (an end beyond the end is allowed), or -1
 * if there are none; moves *at. */
static int64_t read_position(const char **at)
{
    char *end;
    int64_t value;

    if (**at < '0' || **at > '9')
        return -1;
    value = strtoll(*at, &end, 10);
    *at = end;
    return value;
}

/* "bytes=FIRST-LAST"; one of them may be missing and is then -1, but not both. */
static bool read_one_range(const char *header, int64_t *ret_first, int64_t *ret_last)
{
    if (header == NULL || strncasecmp(header, "bytes=", 6) != 0)
        return false;
    header += 6;
    *ret_first = read_position(&header);
    if (*header++ != '-')
        return false;
    *ret_last = read_position(&header);
    return *header == '\0' && (*ret_first >= 0 || *ret_last >= 0) &&
           (*ret_last < 0 || *ret_first <= *ret_last);
}

enum range_kind range_read(const char *header, int64_t size, int64_t *ret_first,
                           int64_t *ret_length)
{
    int64_t first, last;

    if (!read_one_range(header, &first, &last))
        return RANGE_WHOLE;
    if (first < 0) { /* the last `last` bytes */
        if (last == 0)
            return RANGE_NONE;
        first = last < size ? size - last : 0;
        last = -1;
    }
    if (first >= size)
        return RANGE_NONE;
    if (last < 0 || last >= size)
        last = size - 1;
    *ret_first = first;
    *ret_length = last - first + 1;
    return RANGE_PART;
}
