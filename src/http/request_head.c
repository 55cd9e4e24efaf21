/* src/http/request_head.c -- checks the head of a request from the library, and reads its
 * fields. */
#include "http/exchange_impl.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"

enum { HEAD_MAX = 64 * 1024 }; /* more than the library accepts */

/* A field whose value differs from the library's: on one line, without trailing blanks. */
struct field_copy {
    const char *name;
    struct field_copy *next;
    char value[];
};

static const char *find_value_of(struct exchange *ex, enum MHD_ValueKind kind, const char *name)
{
    const char *value = NULL;
    size_t len;

    if (MHD_lookup_connection_value_n(ex->connection, kind, name, strlen(name), &value, &len) !=
        MHD_YES)
        return NULL;
    return value != NULL ? value : "";
}

const char *exchange_query(struct exchange *ex, const char *name)
{
    return find_value_of(ex, MHD_GET_ARGUMENT_KIND, name);
}

const char *exchange_header(struct exchange *ex, const char *name)
{
    for (const struct field_copy *copy = ex->copies; copy != NULL; copy = copy->next) {
        if (str_eq_nocase(copy->name, name))
            return copy->value;
    }
    return find_value_of(ex, MHD_HEADER_KIND, name);
}

struct every {
    const char *name;
    void (*each)(void *context, const char *value);
    void *context;
};

static enum MHD_Result match_each(void *context, enum MHD_ValueKind kind, const char *name,
                                  const char *value)
{
    struct every *every = context;

    (void)kind;
    if (str_eq_nocase(name, every->name) && value != NULL)
        every->each(every->context, value);
    return MHD_YES;
}

void exchange_each_cookie(struct exchange *ex, const char *name,
                          void (*each)(void *context, const char *value), void *context)
{
    struct every every = {name, each, context};

    MHD_get_connection_values(ex->connection, MHD_COOKIE_KIND, match_each, &every);
}

struct every_query {
    void (*each)(void *context, const char *name, const char *value);
    void *context;
};

static enum MHD_Result query_each(void *context, enum MHD_ValueKind kind, const char *name,
                                  const char *value)
{
    const struct every_query *every = context;

    (void)kind;
    every->each(every->context, name, value);
    return MHD_YES;
}

void exchange_each_query(struct exchange *ex,
                         void (*each)(void *context, const char *name, const char *value),
                         void *context)
{
    struct every_query every = {each, context};

    MHD_get_connection_values(ex->connection, MHD_GET_ARGUMENT_KIND, query_each, &every);
}

/* ---- copies ---- */

static int add_copy(struct exchange *ex, const char *name, const char *value, size_t len)
{
    struct field_copy *copy = malloc(sizeof(*copy) + len + 1);

    if (copy == NULL)
        return err_set(&ex->err, -E_NOMEM, "no memory for the headers of a request");
    copy->name = name;
    memcpy(copy->value, value, len);
    copy->value[len] = '\0';
    copy->next = ex->copies;
    ex->copies = copy;
    return 0;
}

void exchange_free_copies(struct exchange *ex)
{
    while (ex->copies != NULL) {
        struct field_copy *copy = ex->copies;

        ex->copies = copy->next;
        free(copy);
    }
}

static void append_line(void *context, const char *value)
{
    struct buf *joined = context;

    if (joined->len > 0)
        buf_add_str(joined, ", ");
    buf_add(joined, value, field_length(value));
}

/* Join all lines of a field into one (RFC 9110, 5.3). */
static int copy_field(struct exchange *ex, const char *name)
{
    struct buf joined;
    struct every every = {name, append_line, &joined};
    int rc;

    buf_init(&joined, HEAD_MAX);
    MHD_get_connection_values(ex->connection, MHD_HEADER_KIND, match_each, &every);
    rc = buf_failed(&joined) ? err_set(&ex->err, -E_NOMEM, "no memory for the headers of a request")
                             : add_copy(ex, name, buf_str(&joined), joined.len);
    buf_done(&joined);
    return rc;
}

static int copy_fields(struct exchange *ex, const struct head *head)
{
    int rc = 0;

    for (int i = 0; rc == 0 && i < FIELD_COUNT; i++) {
        if (head->count[i] > 1 || head->blank[i])
            rc = copy_field(ex, field_name((enum request_field)i));
    }
    return rc;
}

/* ---- the head ---- */

/* Before 1.0 the library cuts values at a NUL, accepts a bare LF as the end of a line, and appends
 * a folded line to the name of the header. But it leaves the head in the memory in which it was
 * received, so the addresses of the parts show whether exactly one blank or CRLF is between them
 * (RFC 9112, 2.2, 3 and 5.2). */
struct scan {
    struct head head;
    const char *next; /* where the next line begins */
    bool broken;
};

static void scan_part(struct scan *scan, const char *part, size_t len, size_t end)
{
    scan->broken = scan->broken || part != scan->next;
    scan->next = part + len + end;
}

static enum MHD_Result add_header_field(void *context, enum MHD_ValueKind kind, const char *name,
                                        size_t name_len, const char *value, size_t value_len)
{
    struct scan *scan = context;

    (void)kind;
    scan_part(scan, name, name_len, 1);
    scan->next = value + value_len + strlen("\r\n"); /* any number of blanks may precede the
                                                      * value */
    head_add(&scan->head, name, value);
    return MHD_YES;
}

#if MHD_VERSION < 0x00097701
static void scan_end(struct exchange *ex, struct scan *scan)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(ex->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);

    scan_part(scan, scan->next, strlen("\r\n"), 0);
    if (info == NULL || scan->next != ex->method + info->header_size)
        scan->broken = true;
    if (scan->broken && scan->head.err.code == 0)
        err_set(&scan->head.err, -E_INVALID,
                "The head of the request has a NUL, more than one blank in its first line, or a "
                "line that ends without CRLF or continues on the next one.");
}
#else
static void scan_end(struct exchange *ex, struct scan *scan)
{
    (void)ex, (void)scan; /* the library checks this itself: server.c */
}
#endif

/* For an absolute URL: its path, and its host, which overrides the header (RFC 9112, 3.2.2). */
static int read_absolute(struct exchange *ex, const struct target *target)
{
    const char *host = ex->path + target->host;

    ex->path = target->path < target->len ? ex->path + target->path : "/";
    return add_copy(ex, field_name(FIELD_HOST), host, target->host_len);
}

int exchange_read_head(struct exchange *ex, const struct target *target, const char *version)
{
    struct scan scan = {.head = {.method = ex->method, .old = str_eq(version, "HTTP/1.0")},
                        .next = ex->method};
    const unsigned short *count = scan.head.count;
    int rc;

    scan_part(&scan, ex->method, strlen(ex->method), 1);
    scan_part(&scan, ex->path, target->len, 1);
    scan_part(&scan, version, strlen(version), strlen("\r\n"));
    MHD_get_connection_values_n(ex->connection, MHD_HEADER_KIND, add_header_field, &scan);
    scan_end(ex, &scan);
    rc = head_check(&scan.head, target, &ex->err) ?: copy_fields(ex, &scan.head);
    ex->has_escape = target->has_escape;
    ex->of_operators = target->of_operators;
    ex->hides_slash = target->hides_slash;
    ex->has_length = count[FIELD_CONTENT_LENGTH] > 0 || count[FIELD_TRANSFER_ENCODING] > 0;
    if (rc == 0 && target->host > 0)
        rc = read_absolute(ex, target);
    return rc;
}
