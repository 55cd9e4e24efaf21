/* src/cli/user_import.c -- `reportd user import`: users from a CSV file. */
#include "cli/user_import.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/str.h"
#include "cli/trail_line.h"
#include "core/password.h"

enum { IMPORT_MAX = 4 << 20 };         /* bytes of a file */
#define BYTE_ORDER_MARK "\xef\xbb\xbf" /* written by spreadsheet programs */

enum column { NAME, PASSWORD, GRANTS, ALLOW, OPERATOR, ACTIVE, RUNNING, COLUMN_COUNT };
static const char *const column_names[COLUMN_COUNT] = {"name",     "password", "grants", "allow",
                                                       "operator", "active",   "running"};

struct import {
    const char *path; /* for messages */
    const struct config *config;
    struct store *store;
    struct trail *trail;
    struct buf text;
    struct buf names;                /* of the lines so far, each between two newlines */
    struct buf granted;              /* the reports of the lines so far, a line for each */
    char *at;                        /* the unread rest of `text` */
    long line, next_line;            /* from 1: where the record begins, and where `at` is */
    enum column order[COLUMN_COUNT]; /* of the fields */
    size_t columns;                  /* columns in the file */
    char *fields[COLUMN_COUNT];      /* of the record, in `text`, by column; NULL: missing */
    struct words reports;            /* those that are granted, in `text` */
    char *grants, *allow;            /* made from them */
    bool is_operator;
    int active, running; /* limits; 0 or less: those of the configuration */
    long added;
};

static int wrong(const struct import *in, struct err *err, const char *what)
{
    return err_set(err, -E_INVALID, "%s:%ld: %s", in->path, in->line, what);
}

/* ---- CSV (RFC 4180) ---- */

/* Read a quoted field, after its first quote; returns its end, after the last quote. NULL: there is
 * none. */
static char *take_quoted_field(struct import *in, char *out)
{
    for (; *in->at != '\0'; in->at++) {
        in->next_line += *in->at == '\n';
        if (*in->at == '"' && *++in->at != '"')
            return out;
        *out++ = *in->at;
    }
    return NULL;
}

/* Read the next field of the record, ended by a NUL. NULL: it is malformed. */
static char *take_field(struct import *in, bool *ret_last)
{
    char *field = in->at, *end;

    if (*in->at == '"') {
        in->at++;
        end = take_quoted_field(in, field);
        if (end == NULL || strchr(",\r\n", *in->at) == NULL)
            return NULL;
    } else {
        in->at += strcspn(in->at, ",\r\n");
        end = in->at;
    }
    *ret_last = *in->at != ',';
    if (*in->at == '\r' && in->at[1] == '\n')
        in->at++;
    in->next_line += *in->at == '\n';
    if (*in->at != '\0')
        in->at++;
    *end = '\0';
    return field;
}

/* Read *ret_count fields, at most COLUMN_COUNT. */
static int take_record(struct import *in, char **ret, size_t *ret_count, struct err *err)
{
    bool last = false;
    size_t count = 0;

    in->line = in->next_line;
    while (!last) {
        char *field = take_field(in, &last);

        if (field == NULL)
            return wrong(in, err, "a field with a quote is not RFC 4180");
        if (count == COLUMN_COUNT)
            return wrong(in, err, "there are more fields than columns");
        ret[count++] = field;
    }
    *ret_count = count;
    return 0;
}

static int read_columns(struct import *in, struct err *err)
{
    char *names[COLUMN_COUNT];
    bool seen[COLUMN_COUNT] = {false};
    int rc = take_record(in, names, &in->columns, err);

    for (size_t i = 0; rc == 0 && i < in->columns; i++) {
        int column = 0;

        while (column < COLUMN_COUNT && !str_eq_nocase(column_names[column], names[i]))
            column++;
        if (column == COLUMN_COUNT || seen[column])
            return err_set(
                err, -E_INVALID,
                "%s:1: '%.64s' is not a column, or occurs twice: use name, password, grants, "
                "allow, operator, active and running",
                in->path, names[i]);
        seen[column] = true;
        in->order[i] = (enum column)column;
    }
    if (rc == 0 && (!seen[NAME] || !seen[PASSWORD]))
        rc = wrong(in, err, "the columns name and password are needed");
    return rc;
}

/* 1: in->fields is the next line that is not empty; 0: there is none. */
static int next_user(struct import *in, struct err *err)
{
    char *fields[COLUMN_COUNT];
    size_t count;
    int rc;

    while (*in->at == '\n' || *in->at == '\r')
        in->next_line += *in->at++ == '\n';
    if (*in->at == '\0')
        return 0;
    rc = take_record(in, fields, &count, err);
    if (rc < 0)
        return rc;
    if (count != in->columns)
        return wrong(in, err, "the line does not have as many fields as the first one");
    memset(in->fields, 0, sizeof(in->fields));
    for (size_t i = 0; i < count; i++)
        in->fields[in->order[i]] = *fields[i] != '\0' ? fields[i] : NULL;
    return 1;
}

/* ---- the fields ---- */

/* Cut `text`, which may be NULL, at each `separator`, and leave out the spaces around it. */
static int split_entries(char *text, char separator, struct words *ret, struct err *err)
{
    ret->count = 0;
    while (text != NULL) {
        char *end = strchrnul(text, separator), *next = *end != '\0' ? end + 1 : NULL;

        if (ret->count == WORDS_MAX)
            return err_set(err, -E_INVALID, "the list is too long");
        text += strspn(text, " ");
        while (end > text && end[-1] == ' ')
            end--;
        *end = '\0';
        ret->items[ret->count++] = text;
        text = next;
    }
    return 0;
}

static void note_granted(struct import *in)
{
    for (size_t i = 0; i < in->reports.count; i++) {
        const char *report = in->reports.items[i];

        if (in->granted.len > 0 && str_has_line(buf_str(&in->granted), report))
            continue;
        buf_add_str(&in->granted, report);
        buf_add_char(&in->granted, '\n');
    }
}

/* As `user add` does, but once for all lines. */
static void warn_of_unknown_grants(struct import *in)
{
    struct words reports = {0};
    struct err err;

    if (in->granted.len == 0 || buf_failed(&in->granted))
        return;
    in->granted.data[in->granted.len - 1] = '\0';
    split_entries(in->granted.data, '\n', &reports, &err);
    user_warn_of_unknown("user", in->config, &reports);
}

/* The name must be neither in the store nor on an earlier line; case (a to z) does not matter. */
static int check_new_user(struct import *in, struct err *err)
{
    struct store_op op = {.verb = STORE_USER_FIND, .user_find = {.name = in->fields[NAME]}};
    size_t begin = in->names.len;
    int rc = store_ask(in->store, &op, err);
    bool found = rc == 0 && op.user_find.found, twice;

    store_op_done(&op);
    if (found)
        return err_set(err, -E_EXISTS, "There is a user '%s' already.", in->fields[NAME]);
    buf_add_char(&in->names, '\n');
    for (const char *c = in->fields[NAME]; *c != '\0'; c++)
        buf_add_char(&in->names, (char)(*c >= 'A' && *c <= 'Z' ? *c | ' ' : *c));
    buf_add_char(&in->names, '\n');
    note_granted(in);
    if (buf_failed(&in->names))
        return err_set(err, -E_NOMEM, "out of memory");
    twice = memmem(buf_str(&in->names), begin, buf_str(&in->names) + begin,
                   in->names.len - begin) != NULL;
    return twice ? err_set(err, -E_INVALID, "the user '%s' occurs twice", in->fields[NAME]) : rc;
}

static int read_operator(struct import *in, struct err *err)
{
    const char *text = in->fields[OPERATOR];

    if (text != NULL && !str_eq(text, "yes") && !str_eq(text, "no"))
        return err_set(err, -E_INVALID, "operator is yes or no, not '%.64s'", text);
    in->is_operator = str_eq(text, "yes");
    return 0;
}

/* Set the members that are made from the fields. */
static int read_csv_user(struct import *in, struct err *err)
{
    struct words allow;

    free(in->grants);
    free(in->allow);
    in->grants = in->allow = NULL;
    if (in->fields[NAME] == NULL || in->fields[PASSWORD] == NULL)
        return err_set(err, -E_INVALID, "a name and a password are needed");
    return user_check_local(in->config, in->fields[NAME], err)
               ?: password_check(in->fields[PASSWORD], in->fields[NAME], err)
               ?: split_entries(in->fields[GRANTS], ';', &in->reports, err)
               ?: user_grants_with("", &in->reports, &in->grants, err)
               ?: split_entries(in->fields[ALLOW], ';', &allow, err)
               ?: user_allow_list(&allow, &in->allow, err)
               ?: read_operator(in, err)
               ?: user_read_limit(in->fields[ACTIVE], &in->active, err)
               ?: user_read_limit(in->fields[RUNNING], &in->running, err);
}

static int add_imported_user(struct import *in, struct err *err)
{
    char hash[PASSWORD_HASH_TEXT];
    struct store_op add = {.verb = STORE_USER_ADD};
    int rc;

    if (!password_hash(in->fields[PASSWORD], hash))
        return err_set(err, -E_NOMEM, "no memory for the password's hash");
    add.user_add = (struct store_user_add){.name = in->fields[NAME],
                                           .password_hash = hash,
                                           .allow = in->allow,
                                           .grants = in->grants,
                                           .is_operator = in->is_operator,
                                           .active_limit = in->active > 0 ? in->active : 0,
                                           .running_limit = in->running > 0 ? in->running : 0};
    rc = store_ask(in->store, &add, err);
    in->added += rc == 0;
    if (rc == 0)
        trail_line_user_added(in->trail, in->fields[NAME], in->grants, in->is_operator);
    return rc;
}

/* ---- the file ---- */

typedef int user_fn(struct import *in, struct err *err);

/* Reading changes the text, so each pass has a copy of it. */
static int each_user(struct import *in, user_fn *each, struct err *err)
{
    char *copy = strdup(buf_str(&in->text));
    int rc = copy != NULL ? 0 : err_set(err, -E_NOMEM, "out of memory");

    in->at = copy;
    in->next_line = 1;
    if (rc == 0 && strncmp(copy, BYTE_ORDER_MARK, strlen(BYTE_ORDER_MARK)) == 0)
        in->at += strlen(BYTE_ORDER_MARK);
    if (rc == 0)
        rc = read_columns(in, err);
    while (rc == 0 && (rc = next_user(in, err)) == 1) {
        struct err why;

        rc = read_csv_user(in, &why) ?: each(in, &why);
        if (rc < 0)
            err_set(err, rc, "%s:%ld: %s", in->path, in->line, why.text);
    }
    if (copy != NULL)
        explicit_bzero(copy, in->text.len);
    free(copy);
    return rc;
}

/* The file contains passwords. */
static int check_private(const struct import *in, int fd, struct err *err)
{
    struct stat st;

    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 077) != 0)
        return err_set(err, -E_INVALID,
                       "%s has passwords and is open to others; type: chmod 600 '%s'", in->path,
                       in->path);
    return 0;
}

static int read_csv(struct import *in, struct err *err)
{
    int fd = str_eq(in->path, "-") ? dup(STDIN_FILENO) : open(in->path, O_RDONLY | O_CLOEXEC);
    int rc = fd < 0 ? err_errno(err, -E_INVALID, "cannot read %s", in->path)
                    : check_private(in, fd, err);

    if (rc == 0 && file_append(fd, &in->text) < 0)
        rc = err_errno(err, -E_INVALID, "cannot read %s", in->path);
    if (rc == 0 && (buf_failed(&in->text) || memchr(buf_str(&in->text), 0, in->text.len) != NULL))
        rc = err_set(err, -E_INVALID, "%s has more than %d bytes, or a NUL", in->path, IMPORT_MAX);
    if (fd >= 0)
        close(fd);
    return rc;
}

int user_import(const char *path, const struct config *config, struct store *store,
                struct trail *trail, struct err *err)
{
    struct import in = {.path = path, .config = config, .store = store, .trail = trail};
    struct err why;
    int rc;

    buf_init(&in.text, IMPORT_MAX);
    buf_init(&in.names, (size_t)3 * IMPORT_MAX);
    buf_init(&in.granted, IMPORT_MAX);
    rc = read_csv(&in, &why) ?: each_user(&in, check_new_user, &why);
    if (rc == 0)
        warn_of_unknown_grants(&in);
    if (rc < 0)
        err_set(err, rc, "%s; nothing was added", why.text);
    else if ((rc = each_user(&in, add_imported_user, &why)) < 0)
        err_set(err, rc, "%s; the %ld users before that line were added: import the rest", why.text,
                in.added);
    else
        printf("%ld users added\n", in.added);
    if (in.text.data != NULL)
        explicit_bzero(in.text.data, in.text.len);
    buf_done(&in.text);
    buf_done(&in.names);
    buf_done(&in.granted);
    free(in.grants);
    free(in.allow);
    return rc;
}
