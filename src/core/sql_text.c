/* src/core/sql_text.c -- the tokens of SQL text. */
#include "core/sql_text.h"

#include <string.h>
#include <strings.h>

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool sql_name_starts(char c)
{
    return is_letter(c) || c == '_' || (unsigned char)c >= 0x80;
}

static bool is_name_char(char c)
{
    return sql_name_starts(c) || (c >= '0' && c <= '9') || c == '$';
}

size_t sql_name_length(const char *text, size_t len)
{
    size_t n = 0;

    while (n < len && is_name_char(text[n]))
        n++;
    return n;
}

/* The readers below get text[0 … len), len > 0, which begins with what they read, and return how
 * many bytes it has; 0: it is not closed. */

static size_t read_line_comment(const char *text, size_t len)
{
    const char *newline = memchr(text, '\n', len);

    return newline != NULL ? (size_t)(newline - text) : len;
}

static size_t read_block_comment(const char *text, size_t len)
{
    const char *close = len > 2 ? memmem(text + 2, len - 2, "*/", 2) : NULL;

    return close != NULL ? (size_t)(close - text) + 2 : 0;
}

/* text[0] is the opening quote; a doubled closing quote stands for itself, except a bracket. */
static size_t read_quoted(const char *text, size_t len, char close, bool backslashes)
{
    for (size_t i = 1; i < len; i++) {
        bool doubled = text[i] == close && close != ']' && i + 1 < len && text[i + 1] == close;

        if (doubled || (backslashes && text[i] == '\\'))
            i++;
        else if (text[i] == close)
            return i + 1;
    }
    return 0;
}

/* Length of the opening $tag$ at text[0], 0 if there is none. */
static size_t dollar_tag(const char *text, size_t len)
{
    size_t i = 1;

    if (len < 2 || !(text[1] == '$' || sql_name_starts(text[1])))
        return 0;
    while (i < len && text[i] != '$' && is_name_char(text[i]))
        i++;
    return i < len && text[i] == '$' ? i + 1 : 0;
}

static size_t read_dollar_quoted(const char *text, size_t len, size_t tag)
{
    const char *close = memmem(text + tag, len - tag, text, tag);

    return close != NULL ? (size_t)(close - text) + tag : 0;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* After blanks a [ begins a name, except in ARRAY [1, 2], and except [:Name, since no name begins
 * so. */
static bool is_array_bracket(const struct sql_walk *walk, const char *before)
{
    static const char word[] = "array";
    const size_t len = sizeof(word) - 1;
    bool parameter = walk->end - walk->at > 2 && walk->at[1] == ':' && sql_name_starts(walk->at[2]);

    return parameter ||
           ((size_t)(before - walk->text) >= len && strncasecmp(before - len, word, len) == 0 &&
            ((size_t)(before - walk->text) == len || !is_name_char(*(before - len - 1))));
}

/* A [ directly after a name, a closing bracket or a quoted name is a subscript; one inside of
 * another's brackets begins an array: ARRAY[[1, 2], [3, 4]]. */
static bool is_subscript(const struct sql_walk *walk)
{
    const char *before = walk->at;
    bool follows;

    while (before > walk->text && is_space(before[-1]))
        before--;
    follows =
        before > walk->text && (is_name_char(before[-1]) || strchr("])\"", before[-1]) != NULL);
    return walk->brackets > 0 ||
           (follows && (before == walk->at || is_array_bracket(walk, before)));
}

static size_t read_sql_word(const char *text, size_t len, enum sql_kind *kind)
{
    size_t n = sql_name_length(text, len);

    if (n == 1 && (*text == 'E' || *text == 'e') && len > 1 && text[1] == '\'') {
        size_t string = read_quoted(text + 1, len - 1, '\'', true);

        *kind = SQL_QUOTED;
        return string > 0 ? string + 1 : 0;
    }
    return n;
}

static size_t read_colon(const char *text, size_t len, enum sql_kind *kind)
{
    if (len > 1 && text[1] == ':') /* a cast */
        return 2;
    if (len > 1 && sql_name_starts(text[1])) {
        *kind = SQL_PARAMETER;
        return 1 + sql_name_length(text + 1, len - 1);
    }
    return 1;
}

/* The quote that closes the token at walk->at; NUL: no quoted token begins there. */
static char closing_quote(const struct sql_walk *walk)
{
    switch (*walk->at) {
    case '\'':
    case '"':
    case '`':
        return *walk->at;
    case '[':
        return is_subscript(walk) ? '\0' : ']';
    default:
        return '\0';
    }
}

static size_t read_token(const struct sql_walk *walk, enum sql_kind *kind)
{
    const char *text = walk->at;
    size_t len = (size_t)(walk->end - text), tag;
    char next = len > 1 ? text[1] : '\0', close = closing_quote(walk);

    if (close != '\0') {
        *kind = SQL_QUOTED;
        return read_quoted(text, len, close, false);
    }
    if (*text == '-' && next == '-') {
        *kind = SQL_LINE_COMMENT;
        return read_line_comment(text, len);
    }
    if (*text == '/' && next == '*') {
        *kind = SQL_BLOCK_COMMENT;
        return read_block_comment(text, len);
    }
    if (*text == ':')
        return read_colon(text, len, kind);
    if (*text == '$' && (tag = dollar_tag(text, len)) > 0) {
        *kind = SQL_QUOTED;
        return read_dollar_quoted(text, len, tag);
    }
    if (is_name_char(*text) && *text != '$')
        return read_sql_word(text, len, kind);
    *kind = *text == ';' ? SQL_SEMICOLON : SQL_OTHER;
    return 1;
}

void sql_walk_init(struct sql_walk *walk, const char *text, size_t len, int line)
{
    *walk = (struct sql_walk){
        .text = text, .at = text, .end = text + len, .line = line, .starts_line = true};
}

static void skip_space(struct sql_walk *walk)
{
    for (; walk->at < walk->end && is_space(*walk->at); walk->at++) {
        if (*walk->at == '\n') {
            walk->line++;
            walk->starts_line = true;
        }
    }
}

bool sql_walk_next(struct sql_walk *walk, struct sql_token *ret)
{
    struct sql_token token = {.kind = SQL_OTHER};

    skip_space(walk);
    if (walk->at == walk->end)
        return false;
    token.text = walk->at;
    token.line = walk->line;
    token.starts_line = walk->starts_line;
    token.len = read_token(walk, &token.kind);
    if (token.len == 0) {
        token.kind = SQL_UNCLOSED;
        token.len = (size_t)(walk->end - walk->at);
    }
    if (token.kind == SQL_OTHER)
        walk->brackets += (*token.text == '[') - (*token.text == ']');
    for (size_t i = 0; i < token.len; i++)
        walk->line += token.text[i] == '\n';
    walk->at += token.len;
    walk->starts_line = false;
    *ret = token;
    return true;
}

bool sql_is_word(const struct sql_token *token, const char *word)
{
    return token->kind == SQL_OTHER && strlen(word) == token->len &&
           strncasecmp(token->text, word, token->len) == 0;
}

bool sql_walk_solid(struct sql_walk *walk, struct sql_token *ret)
{
    while (sql_walk_next(walk, ret)) {
        if (ret->kind != SQL_LINE_COMMENT && ret->kind != SQL_BLOCK_COMMENT)
            return true;
    }
    return false;
}

static bool next_is(struct sql_walk *walk, const char *word)
{
    struct sql_token token;

    return sql_walk_solid(walk, &token) && sql_is_word(&token, word);
}

bool sql_in_begins(const struct sql_walk *walk, const struct sql_token *token, struct sql_in *ret)
{
    struct sql_in in = {.negated = sql_is_word(token, "NOT"), .behind = *walk};

    if (in.negated ? !next_is(&in.behind, "IN") : !sql_is_word(token, "IN"))
        return false;
    if (!next_is(&in.behind, "(") || !sql_walk_solid(&in.behind, &in.name) ||
        in.name.kind != SQL_PARAMETER || !next_is(&in.behind, ")"))
        return false;
    *ret = in;
    return true;
}

bool sql_null_test_follows(const struct sql_walk *walk)
{
    struct sql_walk ahead = *walk;
    struct sql_token token;

    return next_is(&ahead, "IS") && sql_walk_solid(&ahead, &token) &&
           (sql_is_word(&token, "NULL") || (sql_is_word(&token, "NOT") && next_is(&ahead, "NULL")));
}

enum { CUT_NAME_MIN = 60, CUT_NAME_MAX = 63 }; /* bytes; up to 3 more may belong to one character */

/* Is the quoted token that name, or its beginning, if it was cut? */
static bool quotes(const struct sql_token *token, const char *name)
{
    size_t len = strlen(name), at = 1, end = token->len - 1;

    for (size_t i = 0; i < len; i++, at++) {
        if (at >= end || token->text[at] != name[i])
            return false;
        at += token->text[at] == token->text[0]; /* a doubled quote */
    }
    return at == end || (len >= CUT_NAME_MIN && len <= CUT_NAME_MAX);
}

void sql_find_aliases(const char *text, const char *const *names, size_t count, bool *found)
{
    struct sql_walk walk;
    struct sql_token token;
    bool behind_as = false;

    sql_walk_init(&walk, text, strlen(text), 1);
    while (sql_walk_next(&walk, &token)) {
        if (token.kind == SQL_LINE_COMMENT || token.kind == SQL_BLOCK_COMMENT)
            continue;
        for (size_t i = 0; behind_as && token.kind == SQL_QUOTED && i < count; i++)
            found[i] |= quotes(&token, names[i]);
        behind_as = token.kind == SQL_OTHER && token.len == 2 &&
                    strncasecmp(token.text, "as", token.len) == 0;
    }
}

static bool is_mention_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

const char *sql_mention(const char *message, size_t *ret_len)
{
    const char *colon = message;

    while ((colon = strchr(colon, ':')) != NULL) {
        size_t colons = strspn(colon, ":"), len = 0;

        while (is_mention_char(colon[colons + len]))
            len++;
        if (colons == 1 && len > 0 && !(colon[1] >= '0' && colon[1] <= '9')) {
            *ret_len = len;
            return colon;
        }
        colon += colons;
    }
    return NULL;
}
