/* src/http/headers.c -- Accept, Prefer and media types, read from their text. */
#include "http/headers.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

/* A piece of a header, not terminated. */
struct piece {
    const char *at;
    size_t len;
};

/* Cut the next piece off *rest, up to `end` or the end of the text, without the blanks around. */
static bool next_piece(struct piece *rest, char end, struct piece *ret)
{
    const char *stop;

    if (rest->at == NULL)
        return false;
    stop = memchr(rest->at, end, rest->len);
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

/* A quality value in thousandths: 0(.ddd) or 1(.000); what is not one counts as 1. */
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

static int specificity(struct piece range, const char *type)
{
    size_t major = strcspn(type, "/") + 1; /* with the slash */

    if (piece_is(range, type, strlen(type)))
        return 3;
    if (range.len == major + 1 && range.at[major] == '*' && strncasecmp(range.at, type, major) == 0)
        return 2;
    return piece_is(range, "*/*", 3) ? 1 : 0;
}

void accept_feed(struct accept_fit *fit, const char *header, const char *type)
{
    struct piece rest = {header, strlen(header)};
    struct piece item;

    while (next_piece(&rest, ',', &item)) {
        struct piece range, param;
        int q = 1000, found;

        if (!next_piece(&item, ';', &range))
            continue;
        found = specificity(range, type);
        while (next_piece(&item, ';', &param)) {
            if (param.len >= 2 && strncasecmp(param.at, "q=", 2) == 0)
                q = quality((struct piece){param.at + 2, param.len - 2});
        }
        if (found > fit->specificity)
            *fit = (struct accept_fit){found, q};
    }
}

/* A number of seconds, in quotes or not; -1 if it is none. */
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
