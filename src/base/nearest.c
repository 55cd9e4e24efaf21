/* src/base/nearest.c -- the edit distance of two words. */
#include "base/nearest.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { WORD_MAX = 40 };

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static bool same_letter(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* The distance of Damerau and Levenshtein, with adjacent letters exchanged; both words have at most
 * WORD_MAX bytes. */
static size_t distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t d[WORD_MAX + 1][WORD_MAX + 1];

    for (size_t i = 0; i <= a_len; i++)
        d[i][0] = i;
    for (size_t j = 0; j <= b_len; j++)
        d[0][j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        for (size_t j = 1; j <= b_len; j++) {
            d[i][j] = smaller(smaller(d[i - 1][j], d[i][j - 1]) + 1,
                              d[i - 1][j - 1] + !same_letter(a[i - 1], b[j - 1]));
            if (i > 1 && j > 1 && same_letter(a[i - 1], b[j - 2]) &&
                same_letter(a[i - 2], b[j - 1]))
                d[i][j] = smaller(d[i][j], d[i - 2][j - 2] + 1);
        }
    }
    return d[a_len][b_len];
}

void nearest_try(struct nearest *nearest, const char *name)
{
    size_t typed_len = strlen(nearest->typed), len = strlen(name);
    size_t most = (smaller(typed_len, len) + 1) / 3; /* with more mistakes it is another word */
    size_t found;

    if (typed_len > WORD_MAX || len > WORD_MAX)
        return;
    found = distance(nearest->typed, typed_len, name, len);
    if (found > most || (nearest->name != NULL && found >= nearest->distance))
        return;
    nearest->name = name;
    nearest->distance = found;
}

const void *nearest_find(struct nearest *nearest, const void *table, size_t count, size_t size)
{
    for (const char *at = table; count-- > 0; at += size) {
        const char *name = *(const char *const *)at;

        if (strcmp(name, nearest->typed) == 0)
            return at;
        nearest_try(nearest, name);
    }
    return NULL;
}

const char *nearest_words(const struct nearest *nearest, const char *prefix, char out[NEAREST_TEXT])
{
    out[0] = '\0';
    if (nearest->name != NULL)
        snprintf(out, NEAREST_TEXT, " (did you mean %s%s?)", prefix, nearest->name);
    return out;
}
