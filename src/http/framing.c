/* src/http/framing.c -- checks targets, header fields and lengths of requests: what RFC 9112
 * rejects. */
#include "http/framing.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/address.h"
#include "base/str.h"

enum field_rule { FIELD_SINGLE, FIELD_LIST };

static const struct {
    const char *name;
    enum field_rule rule;
} fields[FIELD_COUNT] = {
#define X(id, name, rule) {name, FIELD_##rule},
    REQUEST_FIELDS(X)
#undef X
};

const char *field_name(enum request_field field)
{
    return fields[field].name;
}

size_t field_length(const char *value)
{
    size_t len = strlen(value);

    str_trim(&value, &len);
    return len;
}

/* ---- HOST[:PORT] ---- */

static bool is_port(const char *text, size_t len)
{
    long port = 0;

    for (size_t i = 0; i < len; i++) {
        if (!isdigit((unsigned char)text[i]) || i == 5)
            return false;
        port = port * 10 + (text[i] - '0');
    }
    return port <= 65535;
}

static bool is_ipv6(const char *text, size_t len)
{
    char copy[ADDRESS_TEXT];
    struct address address;

    if (len >= sizeof(copy) || memchr(text, ':', len) == NULL)
        return false;
    memcpy(copy, text, len);
    copy[len] = '\0';
    return address_read(copy, &address);
}

/* RFC 3986, 3.2.2 and 3.2.3, without percent-encoding, which no DNS name needs, and not empty (RFC
 * 9110, 4.2.1). */
static bool is_authority(const char *text, size_t len)
{
    static const char plain[] = "-._~!$&'()*+,;=";
    size_t host = 0;

    if (len > 0 && *text == '[') {
        const char *end = memchr(text, ']', len);

        if (end == NULL || !is_ipv6(text + 1, (size_t)(end - text) - 1))
            return false;
        host = (size_t)(end - text) + 1;
    } else {
        while (host < len && (isalnum((unsigned char)text[host]) ||
                              (text[host] != '\0' && strchr(plain, text[host]) != NULL)))
            host++;
    }
    if (host == 0 || host == len)
        return host > 0;
    return text[host] == ':' && is_port(text + host + 1, len - host - 1);
}

/* ---- the target ---- */

static const char fault_form[] =
    "The request target must be a path that begins with `/`, or an http URL with a host.";

/* Where the HOST of an http URL begins; 0: it is not one. */
static size_t scheme_length(const char *text)
{
    if (strncasecmp(text, "http://", 7) == 0)
        return 7;
    return strncasecmp(text, "https://", 8) == 0 ? 8 : 0;
}

static const char *character_fault(const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
        if (*c <= ' ' || *c >= 0x7f || *c == '#')
            return "The request target has a character that must be percent-encoded: a blank, a "
                   "control character, `#` or one outside of ASCII.";
        if (*c != '%')
            continue;
        if (!isxdigit(c[1]) || !isxdigit(c[2]))
            return "The request target has a `%` without two hexadecimal digits after it: send "
                   "`%25` for the character itself.";
        if (c[1] == '0' && c[2] == '0')
            return "The path or the query has a NUL (%00): leave it out.";
    }
    return NULL;
}

static const char *query_fault(const char *text)
{
    int count = 1;

    for (const char *c = text + strcspn(text, "?"); *c != '\0'; c++)
        count += *c == '&';
    return count > TARGET_PARAMETERS_MAX ? "The query has more than 64 parameters." : NULL;
}

static bool has_encoded_slash(const char *path)
{
    for (size_t len = strcspn(path, "?"); len >= 3; len--, path++) {
        if (strncasecmp(path, "%2F", 3) == 0)
            return true;
    }
    return false;
}

static void read_absolute_form(const char *text, struct target *ret)
{
    ret->host = scheme_length(text);
    if (ret->host == 0) {
        ret->fault = fault_form;
        return;
    }
    ret->host_len = strcspn(text + ret->host, "/?");
    ret->path = ret->host + ret->host_len;
    if (text[ret->path] != '/')
        ret->path = ret->len;
    if (!is_authority(text + ret->host, ret->host_len))
        ret->fault = fault_form;
}

void target_read(const char *text, struct target *ret)
{
    *ret = (struct target){.len = strlen(text), .fault = character_fault(text)};
    if (ret->fault == NULL)
        ret->fault = query_fault(text);
    ret->asterisk = strcmp(text, "*") == 0;
    if (ret->fault == NULL && *text != '/' && !ret->asterisk)
        read_absolute_form(text, ret);
    ret->has_escape = memchr(text + ret->path, '%', strcspn(text + ret->path, "?")) != NULL;
    ret->of_operators = str_starts(text + ret->path, "/Admin/");
    ret->hides_slash = has_encoded_slash(text + ret->path);
}

/* ---- the head ---- */

/* RFC 9110, 5.6.2. */
static bool is_token(const char *text, size_t len)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";

    for (size_t i = 0; i < len; i++) {
        if (!isalnum((unsigned char)text[i]) && text[i] != '-' &&
            (text[i] == '\0' || !strchr(marks, text[i])))
            return false;
    }
    return len > 0;
}

static void set_fault(struct head *head, int code, const char *message)
{
    if (head->err.code == 0)
        err_set(&head->err, code, "%s", message);
}

/* RFC 9110, 5.5. */
static bool has_forbidden_byte(const char *value)
{
    for (const unsigned char *c = (const unsigned char *)value; *c != '\0'; c++) {
        if ((*c < ' ' && *c != '\t') || *c == 0x7f)
            return true;
    }
    return false;
}

void head_add(struct head *head, const char *name, const char *value)
{
    if (!is_token(name, strlen(name))) {
        set_fault(
            head, -E_INVALID,
            "The name of a header is empty, or has a blank or another character that names do not "
            "have: send `Name: value`, each on one line.");
        return;
    }
    if (has_forbidden_byte(value) && head->err.code == 0)
        err_set(&head->err, -E_INVALID, "The header %.64s has a control character.", name);
    for (int i = 0; i < FIELD_COUNT; i++) {
        if ((name[0] | 0x20) != (fields[i].name[0] | 0x20) || !str_eq_nocase(name, fields[i].name))
            continue;
        head->count[i]++;
        head->value[i] = value;
        head->blank[i] = head->blank[i] || field_length(value) < strlen(value);
    }
}

static void check_counts(struct head *head)
{
    for (int i = 0; i < FIELD_COUNT; i++) {
        if (head->count[i] > 1 && fields[i].rule == FIELD_SINGLE && head->err.code == 0)
            err_set(&head->err, -E_INVALID, "The header %s occurs twice: send it once.",
                    fields[i].name);
    }
}

static void check_host(struct head *head)
{
    const char *host = head->value[FIELD_HOST];

    if (host == NULL && !head->old)
        set_fault(head, -E_INVALID, "The header Host is missing: HTTP/1.1 requires it.");
    else if (host != NULL && !is_authority(host, field_length(host)))
        set_fault(head, -E_INVALID, "The header Host must be HOST or HOST:PORT.");
}

/* Does a list of transfer codings contain one other than chunked, and no invalid one? */
static bool has_unknown_coding(const char *list)
{
    bool unknown = false;

    for (;;) {
        size_t len = strcspn(list, ",");
        const char *name = list;

        list += len;
        str_trim(&name, &len);
        if (!is_token(name, len))
            return false;
        unknown = unknown || len != 7 || strncasecmp(name, "chunked", 7) != 0;
        if (*list == '\0')
            return unknown;
        list++;
    }
}

/* The library parses Content-Length, including a trailing blank, and treats every Transfer-Encoding
 * other than `chunked` as a body without an end (RFC 9112, 6). */
static void check_framing(struct head *head)
{
    const char *codings = head->value[FIELD_TRANSFER_ENCODING];

    if (codings == NULL)
        return;
    if (head->count[FIELD_CONTENT_LENGTH] > 0)
        set_fault(head, -E_INVALID, "Send Content-Length or Transfer-Encoding, not both.");
    else if (head->old)
        set_fault(head, -E_INVALID, "HTTP/1.0 has no Transfer-Encoding: send Content-Length.");
    else if (!head->blank[FIELD_TRANSFER_ENCODING] && has_unknown_coding(codings))
        set_fault(head, -E_CODING, "The only transfer coding here is `chunked`.");
    else if (!str_eq_nocase(codings, "chunked"))
        set_fault(head, -E_INVALID,
                  "Transfer-Encoding must be `chunked`, without anything after it.");
}

int head_check(struct head *head, const struct target *target, struct err *err)
{
    if (!is_token(head->method, strlen(head->method)))
        set_fault(head, -E_INVALID, "The method of the request is not valid.");
    if (target->fault != NULL)
        set_fault(head, -E_INVALID, target->fault);
    if (target->asterisk && strcmp(head->method, "OPTIONS") != 0)
        set_fault(head, -E_INVALID, fault_form);
    check_counts(head);
    check_host(head);
    check_framing(head);
    if (head->err.code != 0)
        *err = head->err;
    return head->err.code;
}
