/* src/core/definition_header.c -- the annotations at the top of a definition. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"
#include "core/definition_impl.h"
#include "core/param.h"
#include "core/param_check.h"
#include "core/report.h"

enum { TIMEOUT_MAX_MS = 7 * 24 * 3600 * 1000 }; /* as for report_timeout in the configuration */
/* As for retention in the configuration. */
#define RETENTION_MIN_MS 1000
#define RETENTION_MAX_MS INT64_C(31536000000)

static char *skip_blanks(char *text)
{
    while (str_is_blank(*text))
        text++;
    return text;
}

/* Cut the next word off *at, which moves to what follows it; "" at the end. */
static char *take_word(char **at)
{
    char *word = skip_blanks(*at);
    char *end = word + strcspn(word, " \t");

    *at = *end != '\0' ? skip_blanks(end + 1) : end;
    *end = '\0';
    return word;
}

bool header_is_name(const char *text)
{
    size_t len = strlen(text);

    return len > 0 && len <= DEFINITION_NAME_MAX && sql_name_starts(*text) && *text != '_' &&
           strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") == len;
}

static int parse_report(struct parser *p, char *value)
{
    _Static_assert((int)DEFINITION_NAME_MAX == (int)REPORT_NAME_MAX, "one check serves both");
    if (!header_is_name(value))
        return parser_fail(p, p->line,
                           "'%.40s' is not a valid name for a report; use at most %d letters, "
                           "digits and _, and begin with a letter",
                           value, REPORT_NAME_MAX);
    p->def->name_line = p->line;
    return parser_copy(p, value, &p->def->name);
}

static int parse_description(struct parser *p, char *value)
{
    return parser_copy(p, value, &p->def->description);
}

static int parse_source(struct parser *p, char *value)
{
    if (strpbrk(value, " \t") != NULL || strlen(value) > DEFINITION_NAME_MAX)
        return parser_fail(p, p->line,
                           "'%.40s' is not a valid name for a source; write the one word that the "
                           "configuration calls it by",
                           value);
    p->def->source_line = p->line;
    return parser_copy(p, value, &p->def->source);
}

static int parse_timezone(struct parser *p, char *value)
{
    struct err why = {0};
    int rc = zone_open(value, &p->def->zone, &why);

    if (rc == -E_INVALID)
        return parser_fail(p, p->line, "%s", why.text);
    if (rc < 0)
        return err_set(p->err, rc, "%s", why.text);
    p->def->timezone = strdup(value);
    return p->def->timezone != NULL ? 0 : err_set(p->err, -E_NOMEM, "out of memory");
}

static int parse_timeout(struct parser *p, char *value)
{
    int64_t ms;

    if (!str_to_duration(value, &ms) || ms < 1 || ms > TIMEOUT_MAX_MS)
        return parser_fail(
            p, p->line,
            "'%.40s' is not a valid timeout; write a number and its unit, such as 500ms, "
            "30s, 10m or 2h, at most 7d",
            value);
    p->def->timeout_ms = ms;
    return 0;
}

static int parse_retention(struct parser *p, char *value)
{
    int64_t ms;

    if (!str_to_duration(value, &ms) || ms < RETENTION_MIN_MS || ms > RETENTION_MAX_MS)
        return parser_fail(
            p, p->line,
            "'%.40s' is not a valid retention; write a number and its unit, such as 30m, 1h "
            "or 7d, from 1s to 365d",
            value);
    p->def->retention_ms = ms;
    p->def->retention_line = p->line;
    return 0;
}

static int parse_row_limit(struct parser *p, char *value)
{
    int64_t rows;

    if (!str_to_int64(value, &rows) || rows < 1)
        return parser_fail(
            p, p->line, "'%.40s' is not a valid row limit; write a number such as 100000", value);
    p->def->row_limit = rows;
    return 0;
}

static int parse_size_limit(struct parser *p, char *value)
{
    int64_t bytes;

    if (!str_to_size(value, &bytes) || bytes < 1)
        return parser_fail(p, p->line,
                           "'%.40s' is not a valid size limit; write a number of bytes, such as "
                           "1000000, 64K, 512M or 2G",
                           value);
    p->def->size_limit = bytes;
    return 0;
}

static int add_allowed(struct parser *p, struct param *param, char *value)
{
    int rc;

    value = skip_blanks(value);
    for (size_t n = strlen(value); n > 0 && str_is_blank(value[n - 1]); n--)
        value[n - 1] = '\0';
    if (*value == '\0' || strlen(value) > PARAM_VALUE_MAX)
        return parser_fail(p, p->line,
                           "a value of enum(…) of '%s' is empty or longer than %d bytes; write "
                           "enum(A|B|C)",
                           param->name, PARAM_VALUE_MAX);
    if (*value == '\'' && value[strlen(value) - 1] == '\'')
        return parser_fail(p, p->line,
                           "the values of enum(…) are written without quotes; write enum(A|B|C)");
    if (param_accepts(param, value))
        return parser_fail(p, p->line, "duplicate value '%.60s' in enum(…) of '%s'; remove one",
                           value, param->name);
    if (param->allowed_count == DEFINITION_ENUM_MAX)
        return parser_fail(p, p->line, "enum(…) of '%s' has more than %d values; use string",
                           param->name, DEFINITION_ENUM_MAX);
    rc = parser_copy(p, value, &param->allowed[param->allowed_count]);
    if (rc == 0)
        param->allowed_count++;
    return rc;
}

/* Read the values of enum(A|B|C); *at is after the opening parenthesis and moves past the closing
 * one. */
static int parse_enum(struct parser *p, struct param *param, char **at)
{
    char *list = *at, *close = strchr(list, ')');
    int rc = 0;

    param->allowed = calloc(DEFINITION_ENUM_MAX, sizeof(*param->allowed));
    if (param->allowed == NULL)
        return err_set(p->err, -E_NOMEM, "out of memory");
    if (close == NULL || !(str_is_blank(close[1]) || close[1] == '\0'))
        return parser_fail(p, p->line, "enum of '%s' is not closed; write enum(A|B|C)",
                           param->name);
    *at = skip_blanks(close + 1);
    *close = '\0';
    if (strchr(list, ',') != NULL && strchr(list, '|') == NULL) {
        char *to = list;

        for (const char *c = list; *c != '\0'; c += str_is_blank(*c) ? strspn(c, " \t") : 1)
            *to++ = *c == ',' ? '|' : *c;
        *to = '\0';
        for (to = list; (to = strstr(to, "| ")) != NULL; to++)
            memmove(to + 1, to + 2, strlen(to + 1));
        return parser_fail(p, p->line, "the values of enum are separated by |; write enum(%.60s)",
                           list);
    }
    while (rc == 0 && list != NULL) {
        char *value = strsep(&list, "|");

        rc = add_allowed(p, param, value);
    }
    return rc;
}

static int parse_scalar_type(struct parser *p, struct param *param, char **at)
{
    char *word;
    size_t len;

    if (str_starts(*at, "enum(")) {
        *at += strlen("enum(");
        param->type = PARAM_ENUM;
        return parse_enum(p, param, at);
    }
    word = take_word(at);
    for (int i = 0; i < PARAM_TYPE_COUNT; i++) {
        if (i != PARAM_ENUM && str_eq(word, param_type_name((enum param_type)i))) {
            param->type = (enum param_type)i;
            return 0;
        }
    }
    if (*word == '\0')
        return parser_fail(p, p->line,
                           "parameter '%s' has no type; write one after it, such as %s integer",
                           param->name, param->name);
    if (hint_type(word) != NULL)
        return parser_fail(p, p->line, "'%.40s' is not a parameter type; write %s", word,
                           hint_type(word));
    len = strlen(word);
    if (len > 2 && str_eq(word + len - 2, "[]"))
        return parser_fail(p, p->line, "'%.40s' is not a parameter type; write list(%.*s)", word,
                           (int)(len < 40 ? len - 2 : 38), word);
    if (word[len - 1] == ',')
        return parser_fail(p, p->line,
                           "'%.40s' is not a parameter type; declare one parameter per line", word);
    return parser_fail(
        p, p->line,
        "'%.40s' is not a parameter type; the type of '%s' may be string, integer, decimal, "
        "date, timestamp, boolean, enum(A|B|C), or a list of them: list(integer)",
        word, param->name);
}

/* list(TYPE): its closing parenthesis is cut off, so that a scalar type is left. */
static int parse_param_type(struct parser *p, struct param *param, char **at)
{
    static const char word[] = "list(";
    bool list;
    char *close, *behind;
    int rc;

    *at = skip_blanks(*at);
    list = str_starts(*at, word);
    if (!list)
        return parse_scalar_type(p, param, at);
    *at += strlen(word);
    if (str_starts(*at, word))
        return parser_fail(p, p->line, "a list cannot hold lists; write %s list(integer)",
                           param->name);
    close = strchr(*at, ')');
    if (close != NULL && str_starts(*at, "enum("))
        close = strchr(close + 1, ')');
    if (close == NULL || !(str_is_blank(close[1]) || close[1] == '\0'))
        return parser_fail(p, p->line, "list of '%s' is not closed; write list(integer)",
                           param->name);
    behind = skip_blanks(close + 1);
    *close = '\0';
    rc = parse_scalar_type(p, param, at);
    if (rc == 0 && **at != '\0')
        rc = parser_fail(p, p->line, "'%.40s' is not understood; write list(integer)", *at);
    param->list = true;
    *at = behind;
    return rc;
}

/* Cut a quoted text off *at, up to the next single quote; two quotes stand for one. NULL: it is not
 * closed. */
static char *take_quoted(char **at)
{
    char quote = **at, *from = *at + 1, *start = from, *to = from;

    for (; *from != '\0' && !(from[0] == quote && from[1] != quote); from++) {
        from += from[0] == quote;
        *to++ = *from;
    }
    if (*from == '\0')
        return NULL;
    *at = skip_blanks(from + 1);
    *to = '\0';
    return start;
}

/* Cut a default off *at: one word, or '…'. NULL: there is none, or it is not closed. */
static char *take_default(char **at)
{
    if (**at == '\0' || **at == '"')
        return NULL;
    return **at == '\'' ? take_quoted(at) : take_word(at);
}

static int parse_default(struct parser *p, struct param *param, char **at)
{
    bool quoted = **at == '"';
    char *value = take_default(at), takes[PARAM_TAKES_TEXT], day[CLOCK_DATE_TEXT];
    bool is_date = param->type == PARAM_DATE && !param->list;
    bool word = value != NULL && is_date && day_of_word(value, clock_now_ms(), NULL, day);

    if (value == NULL && quoted)
        return parser_fail(p, p->line,
                           "a default is written without double quotes, in '…' if it contains "
                           "blanks");
    if (value == NULL && **at == '\0')
        return parser_fail(p, p->line, "'default' is not followed by a value; write one, or ''");
    param_takes(param, takes);
    if (value == NULL || (!word && !param_accepts(param, value)))
        return parser_fail(p, p->line,
                           "'%.40s' is not a valid default for '%s'; use %s%s, in '…' if it "
                           "contains blanks",
                           value != NULL ? value : *at, param->name, takes,
                           is_date ? ", " DAY_WORDS : "");
    return parser_copy(p, value, &param->default_value);
}

static int parse_limit(struct parser *p, struct param *param, char **at, bool least)
{
    char **into = least ? &param->least : &param->most, *value = take_default(at);
    const char *word = least ? "min" : "max";

    if (!param_has_order(param->type))
        return parser_fail(p, p->line,
                           "%s is for integer, decimal, date and timestamp only, and '%s' is none "
                           "of these; remove it",
                           word, param->name);
    if (*into != NULL)
        return parser_fail(p, p->line, "duplicate %s of '%s'; remove one", word, param->name);
    if (value == NULL || !param_accepts_value(param, value))
        return parser_fail(p, p->line,
                           "'%.40s' is not a valid %s for '%s'; write a value of type %s, in '…' "
                           "if it contains blanks",
                           value != NULL ? value : *at, word, param->name,
                           param_type_name(param->type));
    return parser_copy(p, value, into);
}

static int parse_matching(struct parser *p, struct param *param, char **at)
{
    char *text = **at == '"' ? take_quoted(at) : NULL;
    struct err why = {0};
    int rc;

    if (param->type != PARAM_STRING)
        return parser_fail(
            p, p->line, "matching is for string only, and '%s' is not one; remove it", param->name);
    if (param->pattern != NULL)
        return parser_fail(p, p->line, "duplicate matching of '%s'; remove one", param->name);
    if (text == NULL)
        return parser_fail(p, p->line,
                           "matching takes an expression in double quotes; write matching "
                           "\"[A-Z]+\"");
    rc = pattern_new(text, &param->pattern, &why);
    if (rc == -E_INVALID)
        return parser_fail(
            p, p->line, "matching \"%.60s\" of '%s' is not a POSIX extended regular expression: %s",
            text, param->name, why.text);
    return rc == 0 ? 0 : err_set(p->err, rc, "%s", why.text);
}

/* Read one of the words after the type, with its value. */
static int parse_param_word(struct parser *p, struct param *param, char **at)
{
    char *word = take_word(at);

    if (str_eq(word, "min") || str_eq(word, "max"))
        return parse_limit(p, param, at, word[1] == 'i');
    if (str_eq(word, "matching"))
        return parse_matching(p, param, at);
    if (str_eq(word, "default") && param->default_value == NULL)
        return parse_default(p, param, at);
    if (str_eq(word, "required") && !param->required) {
        param->required = true;
        return 0;
    }
    return parser_fail(
        p, p->line,
        "'%.40s' is not understood; after the type of '%s', write required or default VALUE, min "
        "VALUE, max VALUE, matching \"EXPRESSION\", then a \"description\"",
        word, param->name);
}

/* Is there another word: one of these, or, if `first`, any? */
static bool goes_on(const char *at, bool first)
{
    static const char *const words[] = {"required", "default", "min", "max", "matching"};
    size_t len = strcspn(at, " \t");

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        first |= strlen(words[i]) == len && strncmp(at, words[i], len) == 0;
    return first && *at != '"' && *at != '\0';
}

/* What may follow the type: words in any order, then a "description". */
static int parse_param_rest(struct parser *p, struct param *param, char *at)
{
    size_t len;
    int rc = 0;

    at = skip_blanks(at);
    for (bool first = true; rc == 0 && goes_on(at, first); first = false)
        rc = parse_param_word(p, param, &at);
    if (rc != 0)
        return rc;
    if (param->required && param->default_value != NULL)
        return parser_fail(p, p->line,
                           "'%s' is required, so its default is never used; remove one of the two",
                           param->name);
    len = strlen(at);
    if (len > 0 && *at != '"' && param->default_value != NULL)
        return parser_fail(p, p->line,
                           "'%.40s' is not understood; a default is one word, or stands in '…', "
                           "and a description in double quotes",
                           at);
    if (len > 0 && !(len > 1 && at[0] == '"' && at[len - 1] == '"'))
        return parser_fail(
            p, p->line,
            "'%.40s' is not understood; put the description of '%s' in double quotes, at the end",
            at, param->name);
    if (len > 0) {
        at[len - 1] = '\0';
        undouble_quotes(++at);
    }
    return parser_copy(p, at, &param->description);
}

static int check_param_name(struct parser *p, const char *name)
{
    if (!header_is_name(name))
        return parser_fail(p, p->line,
                           "'%.40s' is not a valid name for a parameter; use at most %d letters, "
                           "digits and _, and begin with a letter",
                           name, DEFINITION_NAME_MAX);
    if (definition_param(p->def, name) != NULL)
        return parser_fail(p, p->line, "duplicate parameter '%s'; remove one", name);
    if (p->def->param_count == DEFINITION_PARAMETERS_MAX)
        return parser_fail(p, p->line, "more than %d parameters are declared; declare fewer",
                           DEFINITION_PARAMETERS_MAX);
    return session_reserves(p, name);
}

static bool is_type(const char *word)
{
    for (int i = 0; i < PARAM_TYPE_COUNT; i++) {
        if (str_eq(word, param_type_name((enum param_type)i)))
            return true;
    }
    return hint_type(word) != NULL;
}

/* The name. If it is written with its colon or after its type, that is reported, and the name is
 * read all the same. */
static int take_param_name(struct parser *p, char **at, char **ret_name)
{
    char *name = take_word(at), next[DEFINITION_NAME_MAX + 1];
    size_t len = strcspn(*at, " \t");

    *ret_name = name;
    if (*name == ':') {
        *ret_name = name + 1;
        return parser_fail(p, p->line,
                           "a parameter is declared without a colon before its name; write %.80s",
                           *ret_name);
    }
    if (!is_type(name) || len > DEFINITION_NAME_MAX)
        return 0;
    str_copy(next, len + 1, *at);
    if (is_type(next) || !header_is_name(next))
        return 0;
    *ret_name = take_word(at);
    return parser_fail(p, p->line, "the name comes before the type; write %.80s %.80s", *ret_name,
                       name);
}

static int parse_parameter(struct parser *p, char *value)
{
    struct definition *def = p->def;
    struct param *param = &def->params[def->param_count];
    char *name;
    int told = take_param_name(p, &value, &name);
    int rc = check_param_name(p, name) ?: parser_copy(p, name, &param->name);

    if (rc != 0)
        return rc;
    p->params[def->param_count].line = p->line;
    param->line = p->line;
    def->param_count++; /* from here on definition_free() frees it, complete or not */
    if (told != 0)
        return told;
    rc = parse_param_type(p, param, &value);
    return rc != 0 ? rc : parse_param_rest(p, param, value);
}

static const struct {
    const char *key;
    int (*parse)(struct parser *p, char *value);
    bool many; /* may appear more than once */
} annotations[] = {
    {"report", parse_report, false},         {"description", parse_description, false},
    {"source", parse_source, false},         {"parameter", parse_parameter, true},
    {"timeout", parse_timeout, false},       {"row limit", parse_row_limit, false},
    {"size limit", parse_size_limit, false}, {"column", column_line, true},
    {"retention", parse_retention, false},   {"timezone", parse_timezone, false},
};

enum { ANNOTATION_COUNT = sizeof(annotations) / sizeof(annotations[0]) };

/* The annotation whose key `text` begins with, as whole words, or -1; *ret_behind is the character
 * after the key: a colon, a blank or NUL. */
static int find_annotation(const char *text, char *ret_behind)
{
    for (int i = 0; i < ANNOTATION_COUNT; i++) {
        size_t len = strlen(annotations[i].key);

        if (strncmp(text, annotations[i].key, len) == 0 &&
            (text[len] == ':' || str_is_blank(text[len]) || text[len] == '\0')) {
            *ret_behind = text[len];
            return i;
        }
    }
    return -1;
}

bool header_owns(const char *text)
{
    char behind;

    return find_annotation(text, &behind) >= 0 && behind == ':';
}

/* The annotation that a comment was probably meant to be, with one typing error, or -1. */
static int find_meant(const char *text)
{
    size_t len = strcspn(text, ":");

    for (int i = 0; text[len] == ':' && i < ANNOTATION_COUNT; i++) {
        if (hint_is_slip(text, len, annotations[i].key))
            return i;
    }
    return -1;
}

/* It is read all the same, so that what it declares is not reported as missing. */
static int refuse_annotation(struct parser *p, char *text, int meant)
{
    int rc = parser_fail(
        p, p->line,
        "'-- %.40s' is not understood; write '-- %s: …', or remove the colon if this is a comment",
        text, annotations[meant].key);

    if (!annotations[meant].many && (p->seen & (1u << meant)) != 0)
        return rc;
    p->seen |= 1u << meant;
    p->muted = true;
    annotations[meant].parse(p, skip_blanks(strchr(text, ':') + 1));
    p->muted = false;
    return rc;
}

int header_line(struct parser *p, char *text)
{
    char behind, *value;
    int found = find_annotation(text, &behind);

    if (found < 0) {
        found = find_meant(text);
        return found < 0 ? 0 : refuse_annotation(p, text, found);
    }
    if (behind != ':')
        return parser_fail(p, p->line,
                           "the colon is missing; write '-- %s: …', or begin with another word if "
                           "this is a comment",
                           annotations[found].key);
    value = skip_blanks(text + strlen(annotations[found].key) + 1);
    if (*value == '\0')
        return parser_fail(p, p->line, "'-- %s:' has no value; write one after the colon",
                           annotations[found].key);
    if (!annotations[found].many && (p->seen & (1u << found)) != 0)
        return parser_fail(p, p->line, "duplicate '-- %s:'; remove one", annotations[found].key);
    p->seen |= 1u << found;
    return annotations[found].parse(p, value);
}

bool header_use(struct parser *p, const char *name, size_t len)
{
    for (size_t i = 0; i < p->def->param_count; i++) {
        if (strlen(p->def->params[i].name) == len && memcmp(p->def->params[i].name, name, len) == 0)
            return p->params[i].used = true;
    }
    return false;
}

const char *header_use_nocase(struct parser *p, const char *name, size_t len)
{
    for (size_t i = 0; i < p->def->param_count; i++) {
        if (strlen(p->def->params[i].name) == len &&
            strncasecmp(p->def->params[i].name, name, len) == 0) {
            p->params[i].used = true;
            return p->def->params[i].name;
        }
    }
    return NULL;
}

/* Has the annotation appeared, valid or not? */
static bool is_seen(const struct parser *p, const char *key)
{
    int i = 0;

    while (!str_eq(annotations[i].key, key))
        i++;
    return (p->seen & (1u << i)) != 0;
}

/* today and the like: whether the day is within the limits is checked for each request. */
static bool defaults_to_day(const struct param *param)
{
    return param->type == PARAM_DATE && !param->list && param->default_value != NULL &&
           !clock_is_date(param->default_value);
}

void check_defaults(const struct definition *def, struct problems *problems)
{
    struct buf value;

    buf_init(&value, REPORT_LISTS_MAX);
    for (size_t i = 0; i < def->param_count; i++) {
        const struct param *param = &def->params[i];
        struct err why = {0};

        buf_reset(&value);
        if (param->least != NULL && param->most != NULL &&
            param_compare(def, param->type, param->least, param->most) > 0)
            problems_add(problems, param->line, false,
                         "no value of '%s' is at least %.40s and at most %.40s; correct min or max",
                         param->name, param->least, param->most);
        else if (!defaults_to_day(param) &&
                 param_default(def, param, clock_now_ms(), &value, &why) == -E_PARAM)
            problems_add(problems, param->line, false, "the default is rejected: %s", why.text);
    }
    buf_done(&value);
}

int header_finish(struct parser *p)
{
    if (!is_seen(p, "report"))
        parser_fail(p, 1, "the report has no name; write '-- report: NAME' at the top");
    if (!is_seen(p, "source"))
        parser_fail(p, 1,
                    "the report has no source; write '-- source: NAME', a source of the "
                    "configuration, at the top");
    check_defaults(p->def, p->problems);
    for (size_t i = 0; !p->unclosed && i < p->def->param_count; i++) {
        if (!p->params[i].used && p->params[i].quoted > 0)
            parser_fail(p, p->params[i].quoted,
                        ":%s inside quotes is text, not the parameter; write it without quotes, or "
                        "'…' || :%s || '…'",
                        p->def->params[i].name, p->def->params[i].name);
        else if (!p->params[i].used)
            parser_fail(p, p->params[i].line,
                        "nothing uses parameter '%s'; use :%s in the SQL or remove this line",
                        p->def->params[i].name, p->def->params[i].name);
    }
    return p->def->description != NULL ? 0 : parser_copy(p, "", &p->def->description);
}
