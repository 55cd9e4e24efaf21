/* src/core/definition_hints.c -- recognizes the syntax of other programs and typing errors, so that
 * the message can say what to write. */
#include <string.h>
#include <strings.h>

#include "base/str.h"
#include "core/definition_impl.h"

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* One letter added, missing or changed, or two exchanged (Damerau); case is ignored. */
bool hint_is_slip(const char *text, size_t len, const char *word)
{
    size_t n = strlen(word), first = 0, last = 0;

    while (first < len && first < n && lower(text[first]) == lower(word[first]))
        first++;
    while (last < len - first && last < n - first &&
           lower(text[len - 1 - last]) == lower(word[n - 1 - last]))
        last++;
    len -= first + last;
    n -= first + last;
    return (len <= 1 && n <= 1) ||
           (len == 2 && n == 2 && lower(text[first]) == lower(word[first + 1]) &&
            lower(text[first + 1]) == lower(word[first]));
}

const char *hint_type(const char *word)
{
    static const char *const names[][2] = {
        {"int", "integer"},
        {"bigint", "integer"},
        {"smallint", "integer"},
        {"int4", "integer"},
        {"int8", "integer"},
        {"long", "integer"},
        {"text", "string"},
        {"varchar", "string"},
        {"char", "string"},
        {"uuid", "string"},
        {"bool", "boolean"},
        {"float", "decimal"},
        {"double", "decimal"},
        {"real", "decimal"},
        {"number", "decimal"},
        {"numeric", "decimal"},
        {"money", "decimal"},
        {"datetime", "timestamp"},
        {"timestamptz", "timestamp"},
        {"array", "list(TYPE), such as list(integer)"},
        {"list", "list(TYPE), such as list(integer)"},
        {"enum", "enum(A|B|C)"},
    };
    size_t len = strcspn(word, "(");

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strlen(names[i][0]) == len && strncasecmp(word, names[i][0], len) == 0)
            return names[i][1];
    }
    return NULL;
}

/* ---- placeholders of other programs ---- */

/* After these an operand is missing. */
static bool wants_value(const struct sql_token *before)
{
    static const char *const words[] = {
        "like",  "ilike", "and",  "or",   "in",     "between", "limit",  "offset", "not", "select",
        "where", "then",  "else", "when", "having", "by",      "values", "on",     "is"};

    if (before->len == 0 || before->kind == SQL_SEMICOLON)
        return true;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (before->len == strlen(words[i]) &&
            strncasecmp(before->text, words[i], before->len) == 0)
            return true;
    }
    return before->kind == SQL_OTHER && strchr("=<>(,+-*/|%", *before->text) != NULL;
}

/* PostgreSQL's jsonb has the operators ?, ?| and ?&, which stand between two operands. */
static bool is_question_mark(const struct sql_token *before, const char *text)
{
    const char *behind = text + 1 + strspn(text + 1, " \t\r\n");

    if (*text != '?' || text[1] == '|' || text[1] == '&' || *before->text == '?')
        return false;
    return wants_value(before) || *behind == '\0' || strchr("),;", *behind) != NULL;
}

/* Bytes of {{x}} or ${x}; 0 inside of one that is already reported. */
static size_t braces(const struct sql_walk *walk, const char *text)
{
    size_t len = 0, left = (size_t)(walk->end - text);

    if (*text == '{' && text > walk->text && strchr("{$#", text[-1]) != NULL)
        return 0;
    while (len < left && strchr("}\n", text[len]) == NULL)
        len++;
    while (len < left && text[len] == '}')
        len++;
    return len;
}

/* $1, $x, @x and :1. Before a name, `@` may also end one of PostgreSQL's operators. */
static size_t parameter_sign(const struct sql_walk *walk, const char *text)
{
    char next = text + 1 < walk->end ? text[1] : '\0';
    bool name = sql_name_starts(next), number = str_is_digit(next);
    bool ends_operator = text > walk->text && strchr("<@-|&~!#?", text[-1]) != NULL;

    if ((*text == '@' && name && !ends_operator) || (*text == '$' && (name || number)) ||
        (*text == ':' && number && walk->brackets == 0))
        return 1 + sql_name_length(text + 1, (size_t)(walk->end - text) - 1);
    return 0;
}

/* Bytes of %s, %(x)s and &x, where an operand is missing. A % or & directly after another sign may
 * be the end of one of PostgreSQL's operators. */
static size_t format(const struct sql_walk *walk, const char *text, const struct sql_token *before)
{
    size_t left = (size_t)(walk->end - text), len = 1;

    if ((*text != '%' && *text != '&') || left < 2 || text == walk->text ||
        strchr(" \t\r\n=(,", text[-1]) == NULL || !wants_value(before))
        return 0;
    if (*text == '%' && text[1] == '(')
        len += strcspn(text + 1, ")\n") + 1;
    if (len >= left || !sql_name_starts(text[len]))
        return 0;
    return len + sql_name_length(text + len, left - len);
}

int hint_placeholder(struct parser *p, const struct sql_walk *walk, const struct sql_token *token)
{
    static const struct sql_token none = {.text = ""};
    const struct sql_token *last = p->last.len > 0 ? &p->last : &none;
    const char *text = token->text;
    size_t len;

    if (token->kind != SQL_OTHER)
        return 0;
    len = parameter_sign(walk, text);
    if (*text == '{' || (strchr("$#", *text) != NULL && text + 1 < walk->end && text[1] == '{'))
        len = braces(walk, text);
    else if (is_question_mark(last, text))
        len = 1;
    if (len == 0)
        len = format(walk, text, last);
    if (len == 0)
        return 0;
    return parser_fail(p, token->line,
                       "'%.*s' is not how a parameter is written; write :Name, and '-- parameter: "
                       "Name TYPE' at the top of the file",
                       (int)(len < DEFINITION_NAME_MAX ? len : DEFINITION_NAME_MAX), text);
}

/* A parameter that is named only in a '…' is not used; the message about that says so. */
void hint_quoted(struct parser *p, const struct sql_token *token)
{
    const char *at = token->text, *end = token->text + token->len;

    if (*at != '\'')
        return;
    while ((at = memchr(at, ':', (size_t)(end - at))) != NULL) {
        size_t len = sql_name_length(at + 1, (size_t)(end - at) - 1);

        for (size_t i = 0; i < p->def->param_count; i++) {
            if (strlen(p->def->params[i].name) == len &&
                memcmp(p->def->params[i].name, at + 1, len) == 0)
                p->params[i].quoted = token->line;
        }
        at++;
    }
}
