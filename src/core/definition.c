/* src/core/definition.c -- reads one annotated .sql file into a definition. */
#include "core/definition.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "core/definition_impl.h"

/* Bytes for the names, texts and values that are copied from a file of `len` bytes. */
#define COPIES_SIZE(len) ((len) + 2)

int parser_fail(struct parser *p, int line, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (!p->muted)
        problems_add_list(p->problems, line, false, format, args);
    va_end(args);
    return -E_DEFINITION;
}

int parser_copy(struct parser *p, const char *text, char **ret)
{
    size_t size = strlen(text) + 1;

    /* This cannot happen: each is a separate piece of the file, with a byte between it and the
     * next. */
    if (size > p->room)
        return err_set(p->err, -E_INTERNAL, "the texts of a definition are longer than its file");
    *ret = memcpy(p->copies, text, size);
    p->copies += size;
    p->room -= size;
    return 0;
}

/* In the order in which they appear in a file. */
enum section {
    SECTION_WITH,
    SECTION_VALUES,
    SECTION_CHECK,
    SECTION_RESULTS,
    SECTION_SET,
    SECTION_SUMMARY,
    SECTION_COUNT
};

/* End the open section: its statement becomes a text of its own. */
static int close_section(struct parser *p)
{
    if (p->section == NULL || p->section == &p->stray)
        return 0;
    if (p->sql == NULL)
        return parser_fail(p, p->section_line,
                           "'%s' has no statement; write one SELECT after this line",
                           p->section_name);
    p->section->sql = strndup(p->sql, (size_t)(p->sql_end - p->sql));
    if (p->section->sql == NULL)
        return err_set(p->err, -E_NOMEM, "out of memory");
    if (p->section == &p->def->with)
        return with_close(p, p->section);
    return p->def->with.sql != NULL && p->place >= SECTION_RESULTS
               ? with_join(p, &p->def->with, p->section)
               : 0;
}

static int open_section(struct parser *p, struct statement *section, const char *name)
{
    p->section = section;
    p->section_name = name;
    p->section_line = p->line;
    p->sql = NULL;
    p->sql_complete = p->sql_surplus = false;
    p->last = (struct sql_token){0};
    return 0;
}

/* A section that is not allowed here: its statement is read and discarded. */
#define stray_section(p, name, ...)                                                                \
    (open_section((p), &(p)->stray, (name)), parser_fail((p), (p)->line, __VA_ARGS__))

/* A name is used: a parameter, or else one that is reported once, at the end of the file, unless it
 * is declared by then. `name` must live as long as the definition. */
static void use_name(struct parser *p, const char *name, size_t len, int line, bool in_message)
{
    if (header_use(p, name, len) || p->unknown_count == UNKNOWN_MAX)
        return;
    for (size_t i = 0; i < p->unknown_count; i++) {
        if (p->unknown[i].len == len && memcmp(p->unknown[i].text, name, len) == 0 &&
            p->unknown[i].in_message == in_message)
            return;
    }
    p->unknown[p->unknown_count++] =
        (struct unknown_name){.text = name, .len = len, .line = line, .in_message = in_message};
}

static int open_check(struct parser *p, char *message)
{
    struct definition *def = p->def;
    struct check *check = &def->checks[def->check_count];
    const char *colon;
    size_t len;
    int rc;

    if (def->check_count == DEFINITION_CHECKS_MAX)
        return stray_section(p, "-- check", "there are more than %d checks; combine some of them",
                             DEFINITION_CHECKS_MAX);
    rc = parser_copy(p, message, &check->message);
    if (rc != 0)
        return rc;
    def->check_count++;
    /* The message is shown with the values of the :Names in it. */
    for (message = check->message; (colon = sql_mention(message, &len)) != NULL;
         message = (char *)colon + 1 + len)
        use_name(p, colon + 1, len, p->line, true);
    return open_section(p, &check->statement, "-- check");
}

static int open_with(struct parser *p, char *rest)
{
    (void)rest;
    return open_section(p, &p->def->with, "-- with");
}

static int open_values(struct parser *p, char *name)
{
    struct param *param = (struct param *)definition_param(p->def, name);

    if (param == NULL)
        return stray_section(p, "-- values",
                             "'-- values: %.40s' names no parameter of this report; declare it at "
                             "the top of the file, or correct the name",
                             name);
    if (param->type == PARAM_ENUM || param->type == PARAM_BOOLEAN)
        return stray_section(p, "-- values",
                             "'%s' is of type %s, whose values are known; remove this section, or "
                             "declare it as string",
                             name, param_type_name(param->type));
    if (param->values.sql != NULL)
        return stray_section(p, "-- values", "duplicate '-- values: %s'; remove one", name);
    return open_section(p, &param->values, "-- values");
}

/* Only names of the session: the form asks for the choices before it has values. */
static int values_name(struct parser *p, const struct sql_token *token)
{
    if (session_has(token->text + 1, token->len - 1))
        return session_use(p, token->text + 1, token->len - 1, token->line);
    return parser_fail(p, token->line,
                       "'-- values' cannot use %.*s, since a form asks for the choices before it "
                       "has values; only :session_user can be used here, and :session_claim_NAME",
                       (int)token->len, token->text);
}

static int open_results(struct parser *p, char *rest)
{
    (void)rest;
    return open_section(p, &p->def->results, "-- results");
}

/* The other names in the report's data. */
static bool is_set_name_taken(const struct definition *def, const char *name)
{
    static const char *const taken[] = {"results", "summary", "parameters", "reportName",
                                        "generatedDate"};

    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
        if (str_eq_nocase(name, taken[i]))
            return true;
    }
    for (size_t i = 0; i < def->set_count; i++) {
        if (str_eq_nocase(name, def->sets[i].name))
            return true;
    }
    return false;
}

static int open_set(struct parser *p, char *name)
{
    struct definition *def = p->def;
    struct set *set = &def->sets[def->set_count];
    int rc;

    if (*name != '\0' && !header_is_name(name))
        return stray_section(p, "-- set",
                             "'%.40s' is not a valid name for a set; use at most %d letters, "
                             "digits and _, and begin with a letter",
                             name, DEFINITION_NAME_MAX);
    if (is_set_name_taken(def, name))
        return stray_section(
            p, "-- set",
            "the name '%s' is taken in the report's data, where case does not count; "
            "give the set another name",
            name);
    if (def->set_count == DEFINITION_SETS_MAX)
        return stray_section(p, "-- set", "there are more than %d sets; make two reports",
                             DEFINITION_SETS_MAX);
    rc = parser_copy(p, name, &set->name);
    if (rc != 0)
        return rc;
    def->set_count++;
    return open_section(p, &set->statement, "-- set");
}

static int open_summary(struct parser *p, char *rest)
{
    (void)rest;
    return open_section(p, &p->def->summary, "-- summary");
}

/* The lines that begin a section, and misspellings of them that would otherwise pass as
 * comments. */
static const struct {
    const char *line;
    const char *slips[2]; /* with or without a colon, in any case */
    int (*open)(struct parser *p, char *rest);
    const char *rest; /* what follows the colon; NULL: nothing does, and it appears once */
} sections[SECTION_COUNT] = {
    [SECTION_WITH] = {"with", {"with", "with recursive"}, open_with, NULL},
    [SECTION_VALUES] = {"values:", {"values", "value"}, open_values, "PARAMETER"},
    [SECTION_CHECK] = {"check:", {"check", "checks"}, open_check, "MESSAGE"},
    [SECTION_RESULTS] = {"results", {"results", "result"}, open_results, NULL},
    [SECTION_SET] = {"set:", {"set", "sets"}, open_set, "NAME"},
    [SECTION_SUMMARY] = {"summary", {"summary", "summaries"}, open_summary, NULL},
};

/* Begin the section, if it is allowed here. */
static int begin_section(struct parser *p, enum section section, char *rest)
{
    static const char order[] =
        "the order of sections is with, values, checks, results, sets, summary";
    const char *line = sections[section].line;

    if (p->sections != 0 && (int)section < p->place)
        return stray_section(p, line, "'-- %s' comes after '-- %s'; move it up: %s", line,
                             sections[p->place].line, order);
    if ((p->sections & (1u << section)) != 0 && sections[section].rest == NULL)
        return stray_section(p, line, "duplicate '-- %s'; remove one, or combine them", line);
    if (section > SECTION_RESULTS && p->place < SECTION_RESULTS)
        return stray_section(p, line, "'-- %s' comes before '-- results'; move it down: %s", line,
                             order);
    p->sections |= 1u << section;
    p->place = (int)section;
    return sections[section].open(p, rest);
}

/* One word, or two, alone or before a colon. */
static bool is_slip(const char *text, const char *word)
{
    size_t len = strcspn(text, ":");

    return hint_is_slip(text, len, word);
}

/* The statement of a section that was refused is read all the same. */
static int refuse_section(struct parser *p, int i, char *text)
{
    const char *follows = sections[i].rest;
    int rc = parser_fail(
        p, p->line, "'-- %.40s' is not understood; write '-- %s%s%s'%s", text, sections[i].line,
        follows != NULL ? " " : "", follows != NULL ? follows : "",
        i == SECTION_WITH && strchr(text, ' ') != NULL ? ", and RECURSIVE before the first name"
                                                       : "");
    char *rest = strchr(text, ':');

    p->muted = true;
    begin_section(p, (enum section)i, rest != NULL ? rest + 1 : text + strlen(text));
    p->muted = false;
    return rc;
}

/* 1: the line begins a section; 0: it does not; <0: it is misspelled, or not allowed here. */
static int section_line(struct parser *p, char *text)
{
    for (int i = 0; i < SECTION_COUNT; i++) {
        size_t len = strlen(sections[i].line);
        bool follows = sections[i].rest != NULL;
        char *rest = text + len;
        int rc;

        if (follows ? str_starts(text, sections[i].line) : str_eq(text, sections[i].line)) {
            rc = close_section(p);
            if (rc != 0 && rc != -E_DEFINITION)
                return rc;
            rest += strspn(rest, " \t");
            if (follows && *rest == '\0')
                parser_fail(p, p->line, "'-- %s' has nothing after the colon; write '-- %s %s'",
                            sections[i].line, sections[i].line, sections[i].rest);
            p->muted = follows && *rest == '\0';
            rc = begin_section(p, (enum section)i, rest);
            p->muted = false;
            return rc != 0 ? rc : 1;
        }
        if (is_slip(text, sections[i].slips[0]) || is_slip(text, sections[i].slips[1])) {
            rc = close_section(p);
            return rc != 0 && rc != -E_DEFINITION ? rc : refuse_section(p, i, text);
        }
    }
    return 0;
}

/* An annotation that comes too late is read all the same, so that what it declares is known. */
static int late_annotation(struct parser *p, char *text)
{
    int rc = parser_fail(p, p->line,
                         "'-- %.40s' comes after '%s'; annotations belong at the top of the "
                         "file, before the first section",
                         text, p->section_name);

    p->muted = true;
    header_line(p, text);
    p->muted = false;
    return rc;
}

static int comment_text(struct parser *p, char *text)
{
    int rc = section_line(p, text);

    if (rc != 0)
        return rc < 0 ? rc : 0;
    if (p->section == NULL)
        return header_line(p, text);
    return header_owns(text) ? late_annotation(p, text) : 0;
}

/* A comment on a line of its own may be an annotation. */
static int comment_line(struct parser *p, const struct sql_token *token)
{
    const char *start = token->text + 2, *end = token->text + token->len;

    while (start < end && strchr(" \t", *start) != NULL)
        start++;
    while (end > start && strchr(" \t\r", end[-1]) != NULL)
        end--;
    buf_reset(&p->text);
    buf_add(&p->text, start, (size_t)(end - start));
    if (buf_failed(&p->text))
        return err_set(p->err, -E_NOMEM, "out of memory");
    p->line = token->line;
    return comment_text(p, p->text.data);
}

/* Text outside of any section: reported once, and read as a section without a name. */
static int stray_sql(struct parser *p, int line)
{
    int rc = parser_fail(p, line,
                         "SQL comes before the first section; write '-- results' (or "
                         "'-- check: MESSAGE') above it");

    p->has_stray = true;
    open_section(p, &p->stray, "the first SQL");
    return rc;
}

/* One more token of the statement, or of a second statement, which is reported once. */
static int statement_token(struct parser *p, const struct sql_token *token)
{
    bool first = p->sql == NULL;

    if (p->sql_complete || (first && token->kind == SQL_SEMICOLON)) {
        if (p->sql_surplus || p->section == &p->stray)
            return 0;
        p->sql_surplus = true;
        if (!first)
            return parser_fail(p, token->line,
                               "'%s' has a second statement; write one per section, with at most "
                               "one semicolon, at its end",
                               p->section_name);
        p->sql = p->sql_end = token->text;
        return parser_fail(p, token->line, "the statement of '%s' is empty; write one SELECT",
                           p->section_name);
    }
    if (token->kind == SQL_SEMICOLON) {
        p->sql_complete = true;
        if (p->section != &p->def->with)
            return 0;
        p->sql_surplus = true;
        return parser_fail(
            p, token->line,
            "'-- with' has a semicolon; remove it: this text is put in front of other statements");
    }
    if (first) {
        p->sql = token->text;
        p->section->line = token->line;
    }
    p->sql_end = token->text + token->len;
    return 0;
}

/* Can a condition, or a separate expression, begin after this token? */
static bool begins_condition(const struct sql_token *token)
{
    static const char *const words[] = {"(",      ",",  "WHERE", "AND",  "OR",   "NOT",
                                        "HAVING", "ON", "WHEN",  "THEN", "ELSE", "SELECT"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (sql_is_word(token, words[i]))
            return true;
    }
    return false;
}

/* A list is bound as one value, so only these forms mean what they say. */
static int check_list(struct parser *p, const struct sql_walk *walk, const struct sql_token *token)
{
    int len = (int)token->len;

    if (token->text == p->in_name || (begins_condition(&p->last) && sql_null_test_follows(walk)))
        return 0;
    return parser_fail(p, token->line,
                       "%.*s is a list; write IN (%.*s), NOT IN (%.*s) or %.*s IS NULL", len,
                       token->text, len, token->text, len, token->text, len, token->text);
}

static int use_parameter(struct parser *p, const struct sql_walk *walk,
                         const struct sql_token *token)
{
    const struct definition *def = p->def;
    const char *name = token->text + 1;
    size_t len = token->len - 1;

    use_name(p, name, len, token->line, false);
    for (size_t i = 0; i < def->param_count; i++) {
        if (def->params[i].list && strlen(def->params[i].name) == len &&
            memcmp(def->params[i].name, name, len) == 0)
            return check_list(p, walk, token);
    }
    return session_use(p, name, len, token->line);
}

/* Keep what the checks of later tokens need. */
static void remember_token(struct parser *p, const struct sql_walk *walk,
                           const struct sql_token *token)
{
    struct sql_in in;

    if (sql_in_begins(walk, token, &in))
        p->in_name = in.name.text;
    p->last = *token;
}

static int sql_token(struct parser *p, const struct sql_walk *walk, const struct sql_token *token)
{
    int rc = 0, used = 0;

    if (token->kind == SQL_UNCLOSED) {
        p->unclosed = true;
        return parser_fail(p, token->line,
                           "the quote or comment that begins here is never closed; close it");
    }
    if (token->kind == SQL_LINE_COMMENT || token->kind == SQL_BLOCK_COMMENT)
        return 0;
    if (token->kind == SQL_PARAMETER && p->section != NULL && p->section != &p->stray &&
        p->place == SECTION_VALUES)
        used = values_name(p, token);
    else if (token->kind == SQL_PARAMETER)
        used = use_parameter(p, walk, token);
    else if (token->kind == SQL_QUOTED)
        hint_quoted(p, token);
    else
        used = hint_placeholder(p, walk, token);
    if (p->section == NULL)
        rc = stray_sql(p, token->line);
    if (rc == 0)
        rc = statement_token(p, token);
    remember_token(p, walk, token);
    return rc != 0 ? rc : used;
}

/* Refuse bytes that no database should get as text: NUL, and invalid UTF-8. */
static int check_bytes(struct parser *p, const char *text, size_t len)
{
    int line = 1;
    size_t step;

    for (size_t at = 0; at < len; at += step) {
        step = str_utf8_length(text + at, len - at);
        if (step == 0)
            return parser_fail(p, line, "this line is not UTF-8; save the file as UTF-8");
        if (text[at] == '\0')
            return parser_fail(p, line, "this line has a NUL byte; save the file as UTF-8 text");
        line += text[at] == '\n';
    }
    return 0;
}

static void tell_unknown(struct parser *p)
{
    for (size_t i = 0; i < p->unknown_count; i++) {
        const struct unknown_name *name = &p->unknown[i];
        int shown = (int)(name->len < DEFINITION_NAME_MAX ? name->len : DEFINITION_NAME_MAX);

        const char *other;

        if (header_use(p, name->text, name->len) ||
            (!name->in_message && session_has(name->text, name->len)))
            continue;
        other = header_use_nocase(p, name->text, name->len);
        if (session_has(name->text, name->len))
            parser_fail(p, name->line, "a message cannot show :%.*s; remove it", shown, name->text);
        else if (other != NULL)
            parser_fail(p, name->line, ":%.*s is not declared, but :%s is; use the same case",
                        shown, name->text, other);
        else
            parser_fail(p, name->line,
                        name->in_message
                            ? "the message mentions :%.*s, which is not declared; add '-- "
                              "parameter: %.*s TYPE' at the top of the file, or correct the name"
                            : ":%.*s is not declared; add '-- parameter: %.*s TYPE' at the top of "
                              "the file, or correct the name",
                        shown, name->text, shown, name->text);
    }
}

/* A problem is added to p->problems, and reading continues; any other failure ends it. */
static int parse_tokens(struct parser *p, const char *text, size_t len)
{
    struct sql_walk walk;
    struct sql_token token;
    int rc = 0;

    sql_walk_init(&walk, text, len, 1);
    while ((rc == 0 || rc == -E_DEFINITION) && sql_walk_next(&walk, &token))
        rc = token.kind == SQL_LINE_COMMENT && token.starts_line ? comment_line(p, &token)
                                                                 : sql_token(p, &walk, &token);
    if (rc != 0 && rc != -E_DEFINITION)
        return rc;
    rc = p->unclosed ? 0 : close_section(p);
    if (rc != 0 && rc != -E_DEFINITION)
        return rc;
    tell_unknown(p);
    rc = header_finish(p);
    if ((p->sections & (1u << SECTION_RESULTS)) == 0 && !p->has_stray && !p->unclosed)
        parser_fail(p, walk.line,
                    "the file ends without a '-- results' line and its SELECT; add them");
    return rc;
}

/* A definition with room for its lists. */
struct whole {
    struct definition def; /* first */
    struct param params[DEFINITION_PARAMETERS_MAX];
    struct column columns[DEFINITION_COLUMNS_MAX];
    struct check checks[DEFINITION_CHECKS_MAX];
    struct set sets[DEFINITION_SETS_MAX];
    char claims[DEFINITION_CLAIMS_MAX][DEFINITION_CLAIM_TEXT];
};

static struct definition *definition_alloc(const char *file, const char *text, size_t len)
{
    struct whole *whole = calloc(1, sizeof(*whole));
    struct definition *def;

    if (whole == NULL)
        return NULL;
    def = &whole->def;
    def->params = whole->params;
    def->columns = whole->columns;
    def->checks = whole->checks;
    def->sets = whole->sets;
    def->claims = whole->claims;
    def->file = strdup(file);
    def->text = malloc(len + 1 + COPIES_SIZE(len));
    if (def->file == NULL || def->text == NULL) {
        definition_free(def);
        return NULL;
    }
    memcpy(def->text, text, len);
    def->text[len] = '\0';
    return def;
}

static void set_version(struct definition *def, size_t len)
{
    unsigned char hash[crypto_generichash_BYTES];

    crypto_generichash(hash, sizeof(hash), (const unsigned char *)def->text, len, NULL, 0);
    sodium_bin2hex(def->version, sizeof(def->version), hash, (sizeof(def->version) - 1) / 2);
}

/* Put the first problem that was found into `err`. */
static int conclude(struct parser *p, const char *file, int rc, struct err *err)
{
    if (rc != 0 && rc != -E_DEFINITION)
        return rc;
    if (p->problems->starved)
        return err_set(err, -E_NOMEM, "out of memory");
    problems_sort(p->problems);
    return p->problems->count > 0 ? problem_err(&p->problems->list[0], file, err) : 0;
}

static int parse_text(struct parser *p, const char *file, const char *text, size_t len)
{
    static const char bom[] = "\xef\xbb\xbf";
    size_t skip;
    int rc;

    if (len > DEFINITION_FILE_MAX)
        return parser_fail(p, 1, "the file is larger than %d bytes; shorten it",
                           DEFINITION_FILE_MAX);
    rc = check_bytes(p, text, len);
    if (rc != 0)
        return rc;
    p->def = definition_alloc(file, text, len);
    if (p->def == NULL)
        return err_set(p->err, -E_NOMEM, "out of memory");
    set_version(p->def, len);
    p->copies = p->def->text + len + 1;
    p->room = COPIES_SIZE(len);
    skip = str_starts(p->def->text, bom) ? strlen(bom) : 0;
    return parse_tokens(p, p->def->text + skip, len - skip);
}

int definition_parse_all(const char *file, const char *text, size_t len, struct problems *problems,
                         struct definition **ret, struct err *err)
{
    struct parser p = {.problems = problems, .err = err};
    int rc;

    buf_init(&p.text, DEFINITION_FILE_MAX);
    rc = conclude(&p, file, parse_text(&p, file, text, len), err);
    buf_done(&p.text);
    if (rc != 0) {
        definition_free(p.def);
        return rc;
    }
    *ret = p.def;
    return 0;
}

int definition_parse(const char *file, const char *text, size_t len, struct definition **ret,
                     struct err *err)
{
    struct problems problems = {0};
    int rc = definition_parse_all(file, text, len, &problems, ret, err);

    problems_done(&problems);
    return rc;
}

static void param_done(struct param *param)
{
    free(param->allowed);
    pattern_free(param->pattern);
    free(param->values.sql);
}

void definition_free(struct definition *def)
{
    if (def == NULL)
        return;
    for (size_t i = 0; i < def->param_count; i++)
        param_done(&def->params[i]);
    for (size_t i = 0; i < def->check_count; i++)
        free(def->checks[i].statement.sql);
    for (size_t i = 0; i < def->set_count; i++)
        free(def->sets[i].statement.sql);
    free(def->with.sql);
    free(def->results.sql);
    free(def->summary.sql);
    free(def->timezone);
    zone_free(def->zone);
    free(def->file);
    free(def->text);
    free(def);
}

/* Read fd to the end into a text that is yours. Of a file larger than DEFINITION_FILE_MAX one byte
 * too many is read, so that the parser refuses it. */
static int read_definition(int fd, const char *path, char **ret_text, size_t *ret_len,
                           struct err *err)
{
    char *text = malloc(DEFINITION_FILE_MAX + 1);
    ssize_t len;

    if (text == NULL)
        return err_no_memory(err);
    len = file_read_all(fd, text, DEFINITION_FILE_MAX + 1, 0);
    if (len < 0) {
        free(text);
        return err_errno(err, -E_IO, "%s: can't be read", path);
    }
    *ret_text = text;
    *ret_len = (size_t)len;
    return 0;
}

int definition_load(const char *path, struct problems *problems, struct definition **ret,
                    struct err *err)
{
    /* O_NONBLOCK: opening a FIFO must not wait for its writer. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    char *text = NULL;
    size_t len = 0;
    int rc;

    if (fd < 0)
        return err_errno(err, -E_IO, "%s: can't be opened", path);
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        rc = err_set(err, -E_IO, "%s: is not a regular file", path);
    else
        rc = read_definition(fd, path, &text, &len, err);
    close(fd);
    if (rc != 0)
        return rc;
    rc = definition_parse_all(path, text, len, problems, ret, err);
    free(text);
    return rc;
}

const struct param *definition_param(const struct definition *def, const char *name)
{
    for (size_t i = 0; i < def->param_count; i++) {
        if (str_eq(def->params[i].name, name))
            return &def->params[i];
    }
    return NULL;
}

const struct column *definition_column(const struct definition *def, const char *name)
{
    for (size_t i = 0; i < def->column_count; i++) {
        if (str_eq(def->columns[i].name, name))
            return &def->columns[i];
    }
    return NULL;
}

const char *param_type_name(enum param_type type)
{
    static const char *const names[PARAM_TYPE_COUNT] = {
#define X(name, word, takes) [PARAM_##name] = word,
        PARAM_TYPES(X)
#undef X
    };

    return names[type];
}

int definition_set_timezone(struct definition *def, const char *name, struct err *err)
{
    struct problems problems = {0};
    struct err why = {0};
    int rc = 0;

    if (def->timezone != NULL || name == NULL)
        return 0;
    def->timezone = strdup(name);
    if (def->timezone == NULL)
        return err_set(err, -E_NOMEM, "out of memory");
    rc = zone_open(name, &def->zone, &why);
    if (rc == -E_NOMEM)
        return err_set(err, rc, "out of memory");
    if (rc != 0)
        problems_add(&problems, 1, false, "%s", why.text);
    else
        check_defaults(def, &problems);
    if (problems.count > 0)
        rc = problem_err(&problems.list[0], def->file, err);
    problems_done(&problems);
    return rc;
}

void param_type_text(const struct param *param, char out[PARAM_TYPE_TEXT])
{
    snprintf(out, PARAM_TYPE_TEXT, param->list ? "list(%s)" : "%s", param_type_name(param->type));
}
