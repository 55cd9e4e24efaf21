/* src/core/definition_column.c -- `-- column:`: how a column is printed, and its label; and `--
 * with`. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/decimal.h"
#include "base/str.h"
#include "core/definition_impl.h"

/* ---- `-- with`: written once and put before several statements ---- */

enum { JOINED_MAX = DEFINITION_FILE_MAX + 64 }; /* bytes; both are in one file */

/* If `text` begins with the words, one after another, cut them off; returns how many there were. */
static int cut_words(const char **text, const char *const *words, int count)
{
    struct sql_walk walk;
    struct sql_token token;
    int cut = 0;

    sql_walk_init(&walk, *text, strlen(*text), 1);
    while (cut < count && sql_walk_solid(&walk, &token) && sql_is_word(&token, words[cut])) {
        *text = token.text + token.len;
        cut++;
    }
    return cut;
}

int with_close(struct parser *p, struct statement *with)
{
    struct sql_walk walk;
    struct sql_token token;

    sql_walk_init(&walk, with->sql, strlen(with->sql), 1);
    if (!sql_walk_solid(&walk, &token)) /* already reported */
        return 0;
    if (sql_is_word(&token, "with"))
        return parser_fail(p, with->line,
                           "'-- with' begins with WITH; leave the word out: name AS (SELECT …)");
    if (sql_is_word(&token, "select") || sql_is_word(&token, "values"))
        return parser_fail(p, with->line,
                           "'-- with' holds named queries; write name AS (SELECT …), …");
    if (p->sql_end[-1] == ',')
        return parser_fail(p, with->line, "'-- with' ends in a comma; remove it");
    return 0;
}

static int count_lines(const char *text, const char *end)
{
    int lines = 0;

    for (; text < end; text++)
        lines += *text == '\n';
    return lines;
}

int with_join(struct parser *p, const struct statement *with, struct statement *section)
{
    static const char *const words[] = {"with", "recursive"};
    const char *first = with->sql, *own = section->sql;
    bool recursive = cut_words(&first, words + 1, 1) > 0;
    int cut = cut_words(&own, words, 2);
    struct buf sql;
    char *joined;

    section->above = section->line - with->line;
    buf_init(&sql, JOINED_MAX);
    buf_add_str(&sql, recursive || cut == 2 ? "WITH RECURSIVE " : "WITH ");
    buf_add_str(&sql, first);
    for (int line = count_lines(with->sql, with->sql + strlen(with->sql)); line < section->above;
         line++)
        buf_add_char(&sql, '\n');
    for (int line = count_lines(section->sql, own); line > 0; line--)
        buf_add_char(&sql, '\n');
    buf_add_str(&sql, cut > 0 ? ", " : " ");
    buf_add_str(&sql, own);
    joined = buf_take(&sql);
    if (joined == NULL)
        return err_set(p->err, -E_NOMEM, "out of memory");
    free(section->sql);
    section->sql = joined;
    return 0;
}

/* ---- columns ---- */

/* Read N of "WORD(N)"; false: it is something else. */
static bool read_scale(const char *text, const char *word, int *ret_scale)
{
    int64_t scale;
    char digits[3];
    size_t len = strlen(word), all = strlen(text);

    if (!str_starts(text, word) || all < len + 3 || all > len + 4 || text[len] != '(' ||
        text[all - 1] != ')')
        return false;
    str_copy(digits, all - len - 1, text + len + 1);
    if (digits[0] < '0' || !str_to_int64(digits, &scale) || scale > DECIMAL_SCALE_MAX)
        return false;
    *ret_scale = (int)scale;
    return true;
}

static const char *const type_words[] = {[COLUMN_DECIMAL] = "decimal",
                                         [COLUMN_SCALED] = "scaled",
                                         [COLUMN_JSON] = "json",
                                         [COLUMN_BOOLEAN] = "boolean",
                                         [COLUMN_STRING] = "string"};

/* The declared type of a column: decimal(N), scaled(N), json, boolean, string. */
static bool read_type(const char *word, struct column *column)
{
    for (int i = COLUMN_DECIMAL; i <= COLUMN_STRING; i++) {
        if (i <= COLUMN_SCALED ? !read_scale(word, type_words[i], &column->scale)
                               : !str_eq(word, type_words[i]))
            continue;
        column->type = (enum column_type)i;
        return true;
    }
    return false;
}

/* A misspelled type that is not part of a name: Decimal(2), decimal, scaled(19) … */
static bool is_like_type(const char *word)
{
    for (int i = COLUMN_DECIMAL; i <= COLUMN_STRING; i++) {
        size_t len = strlen(type_words[i]);

        if (strncasecmp(word, type_words[i], len) == 0 && (word[len] == '\0' || word[len] == '('))
            return true;
    }
    return false;
}

/* Cut the last word off `text` and return it; "" if it is the only one, which stays. */
static char *cut_word(char *text)
{
    char *end = text + strlen(text), *word;

    for (word = end; word > text && !str_is_blank(word[-1]);)
        word--;
    if (word == text)
        return end;
    for (end = word; end > text && str_is_blank(end[-1]);)
        end--;
    *end = '\0';
    return word;
}

void undouble_quotes(char *text)
{
    char *to = text;

    for (; *text != '\0'; text++) {
        text += text[0] == '"' && text[1] == '"';
        *to++ = *text;
    }
    *to = '\0';
}

/* Cut "label" and the unit after it off `text`; NULL: there is no label. A label begins after a
 * blank, and ends before another one or at the end of the text. */
static char *cut_label(char *text, char **ret_unit)
{
    char *open = strchr(text, '"'), *close = strrchr(text, '"');
    char *unit;

    while (open != NULL && (open == text || !str_is_blank(open[-1])))
        open = strchr(open + 1, '"');
    if (open == NULL || close <= open || (close[1] != '\0' && !str_is_blank(close[1])))
        return NULL;
    for (unit = close + 1; str_is_blank(*unit);)
        unit++;
    *close = '\0';
    undouble_quotes(open + 1);
    *ret_unit = unit;
    for (close = open; close > text && str_is_blank(close[-1]);)
        close--;
    *close = '\0';
    return open + 1;
}

/* Read NAME [TYPE], after what follows it has been cut off; *unit: the word after the label. */
static int read_name_and_type(struct parser *p, char *text, struct column *column, char **unit,
                              bool labelled)
{
    char *word = cut_word(text);

    if (!read_type(word, column) && !labelled && *word != '\0') {
        char *before = cut_word(text);

        if (strchr(word, '\'') != NULL)
            return parser_fail(p, p->line,
                               "'%.40s' is not a column type; a label is written in double quotes, "
                               "after the type",
                               word);
        if (!read_type(before, column))
            return parser_fail(p, p->line,
                               "'%.40s' is not a column type; write decimal(N) or scaled(N) with "
                               "N from 0 to %d, json, boolean or string",
                               word, DECIMAL_SCALE_MAX);
        *unit = word;
        return 0;
    }
    if (column->type != COLUMN_ANY || *word == '\0')
        return 0;
    if (is_like_type(word))
        return parser_fail(p, p->line,
                           "'%.40s' is not a column type; write decimal(N) or scaled(N) with N "
                           "from 0 to %d, json, boolean or string",
                           word, DECIMAL_SCALE_MAX);
    text[strlen(text)] = ' '; /* it is part of the name */
    return 0;
}

static int keep_column(struct parser *p, const struct column *read, const char *name,
                       const char *label, const char *unit)
{
    struct definition *def = p->def;
    struct column *column = &def->columns[def->column_count];
    int rc;

    *column = *read;
    column->line = p->line;
    rc = parser_copy(p, name, &column->name);
    if (rc == 0)
        def->column_count++; /* from here on definition_free() frees it, complete or not */
    if (rc == 0 && label != NULL)
        rc = parser_copy(p, label, &column->label);
    if (rc == 0 && *unit != '\0')
        rc = parser_copy(p, unit, &column->unit);
    return rc;
}

int column_line(struct parser *p, char *value)
{
    struct definition *def = p->def;
    struct column column = {.type = COLUMN_ANY};
    char none[] = "", *unit = none, *label = cut_label(value, &unit);
    int rc;

    rc = read_name_and_type(p, value, &column, &unit, label != NULL);
    if (rc != 0)
        return rc;
    if (*value == '\0' || strlen(value) > DEFINITION_NAME_MAX ||
        (label == NULL && column.type == COLUMN_ANY))
        return parser_fail(p, p->line,
                           "a column needs a name of at most %d bytes, then a type, a label or "
                           "both: -- column: total decimal(2) \"Total amount\" AUD",
                           DEFINITION_NAME_MAX);
    if (strchr(unit, '"') != NULL)
        return parser_fail(p, p->line, "the label %.40s is not closed; put it in double quotes",
                           unit);
    if (strpbrk(unit, " \t") != NULL || strlen(unit) > DEFINITION_UNIT_MAX)
        return parser_fail(
            p, p->line,
            "'%.40s' is not a valid unit; write one word of at most %d bytes after the label", unit,
            DEFINITION_UNIT_MAX);
    if (def->column_count == DEFINITION_COLUMNS_MAX)
        return parser_fail(p, p->line, "more than %d columns are declared; declare fewer",
                           DEFINITION_COLUMNS_MAX);
    if (definition_column(def, value) != NULL)
        return parser_fail(p, p->line, "duplicate column '%.60s'; remove one", value);
    return keep_column(p, &column, value, label, unit);
}
