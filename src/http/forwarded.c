/* src/http/forwarded.c -- the headers in which trusted proxies name the client. */
#include "http/forwarded.h"

#include <string.h>
#include <strings.h>

#include "base/str.h"

static const char unix_word[] = "unix:";
enum { NODE_TEXT = 64 };

static bool is_other(void *context, const char *word)
{
    return !str_eq(word, context);
}

static bool trusts_unix(const char *trusted)
{
    char word[sizeof(unix_word)];

    memcpy(word, unix_word, sizeof(word));
    return !network_each_word(trusted, is_other, word);
}

bool client_is_proxy(const char *trusted, const struct sockaddr *peer)
{
    struct address address;

    if (peer == NULL)
        return false;
    if (peer->sa_family == AF_UNIX)
        return trusts_unix(trusted);
    address = address_of_peer(peer);
    return network_list_has(trusted, &address);
}

/* A node that the request has passed, the client first. */
struct node {
    char name[NODE_TEXT]; /* "": none, or too long */
    bool https;
};

/* 192.0.2.1, 192.0.2.1:80, 2001:db8::1, [2001:db8::1], [2001:db8::1]:80. */
static bool read_node(const char *name, struct address *ret)
{
    char host[NODE_TEXT];
    const char *colon = strchr(name, ':');
    size_t len = strlen(name);

    if (*name == '[') {
        name++;
        len = strcspn(name, "]");
        if (name[len] != ']' || (name[len + 1] != '\0' && name[len + 1] != ':'))
            return false;
    } else if (colon != NULL && strchr(colon + 1, ':') == NULL) {
        len = (size_t)(colon - name);
    }
    memcpy(host, name, len);
    host[len] = '\0';
    return address_read(host, ret);
}

static void pass_node(struct forwarded *forwarded, const struct node *node)
{
    const struct sockaddr here = {.sa_family = AF_UNIX};
    struct address address = address_of_peer(&here);
    bool local = strcasecmp(node->name, unix_word) == 0;
    bool good = local || read_node(node->name, &address);
    bool trusted = good && (local ? trusts_unix(forwarded->trusted)
                                  : network_list_has(forwarded->trusted, &address));

    if (trusted && forwarded->any)
        return;
    forwarded->any = true;
    forwarded->bad = !good;
    forwarded->address = address;
    forwarded->https = node->https;
}

/* The length of the text before the first of `ends` that is not quoted; *rest is what follows it,
 * NULL: nothing. */
static size_t cut(const char *text, const char *ends, const char **rest)
{
    bool quoted = false;
    size_t n = 0;

    for (; text[n] != '\0' && (quoted || strchr(ends, text[n]) == NULL); n++)
        quoted ^= text[n] == '"';
    *rest = text[n] != '\0' ? text + n + 1 : NULL;
    return n;
}

/* If a client leaves a quote open, the client that the proxy adds to the line ends up inside the
 * quote: the last node of such a line is the client's invention. */
static bool has_open_quote(const char *text, size_t len)
{
    bool quoted = false;

    for (size_t i = 0; i < len; i++)
        quoted ^= text[i] == '"';
    return quoted;
}

/* "" if it does not fit: it is then not an address. */
static void copy_name(const char *text, size_t len, char out[NODE_TEXT])
{
    if (len >= 2 && text[0] == '"' && text[len - 1] == '"') {
        text++;
        len -= 2;
    }
    str_copy(out, len < NODE_TEXT ? len + 1 : NODE_TEXT, len < NODE_TEXT ? text : "");
}

static void read_node_pair(struct node *node, const char *text, size_t len)
{
    char proto[NODE_TEXT];

    str_trim(&text, &len);
    if (len >= 4 && strncasecmp(text, "for=", 4) == 0) {
        copy_name(text + 4, len - 4, node->name);
    } else if (len >= 6 && strncasecmp(text, "proto=", 6) == 0) {
        copy_name(text + 6, len - 6, proto);
        node->https = strcasecmp(proto, "https") == 0;
    }
}

static void read_element(struct forwarded *forwarded, const char *text, size_t len)
{
    struct node node = {.name = ""};
    const char *end = text + len;
    bool open = has_open_quote(text, len);

    while (text != NULL && text < end) {
        const char *next;
        size_t n = cut(text, ";,", &next);

        read_node_pair(&node, text, n);
        text = next;
    }
    if (open)
        node.name[0] = '\0';
    pass_node(forwarded, &node);
}

static void read_node_address(struct forwarded *forwarded, const char *text, size_t len)
{
    struct node node = {.name = ""};

    copy_name(text, len, node.name);
    pass_node(forwarded, &node);
}

static void each_element(struct forwarded *forwarded, const char *header,
                         void (*read)(struct forwarded *forwarded, const char *text, size_t len))
{
    while (header != NULL) {
        const char *text = header;
        size_t n = cut(text, ",", &header);

        str_trim(&text, &n);
        if (n > 0) /* lists may have empty elements: RFC 9110, 5.6.1.2 */
            read(forwarded, text, n);
    }
}

void forwarded_feed(struct forwarded *forwarded, const char *header)
{
    each_element(forwarded, header, read_element);
}

void forwarded_feed_x(struct forwarded *forwarded, const char *header)
{
    each_element(forwarded, header, read_node_address);
}
