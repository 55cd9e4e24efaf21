/* src/http/client.c -- where a request comes from: its peer, or the client that a trusted proxy
 * names. */
#include "http/exchange_impl.h"

#include <strings.h>

#include "http/forwarded.h"

static const struct sockaddr *peer_of(const struct exchange *ex)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(ex->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);

    return info != NULL ? info->client_addr : NULL;
}

static bool is_forwarded(struct exchange *ex)
{
    static const char *const names[] = {MHD_HTTP_HEADER_FORWARDED, "X-Forwarded-For", "X-Real-IP",
                                        MHD_HTTP_HEADER_VIA};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (exchange_header(ex, names[i]) != NULL)
            return true;
    }
    return false;
}

/* A client can add the header that the proxy does not set, so if both are there, neither is
 * used. */
static void believe(struct exchange *ex, struct client *client)
{
    struct forwarded standard = {.trusted = ex->services->config->trusted_proxies.text};
    struct forwarded usual = standard, *named = &standard;
    const char *proto = exchange_header(ex, "X-Forwarded-Proto");
    const char *value = exchange_header(ex, MHD_HTTP_HEADER_FORWARDED);
    const char *usual_value = exchange_header(ex, "X-Forwarded-For");

    if (value != NULL)
        forwarded_feed(&standard, value);
    if (usual_value != NULL)
        forwarded_feed_x(&usual, usual_value);
    if (usual.any)
        named = &usual;
    if (standard.any && usual.any)
        client->wrong = "has both Forwarded and X-Forwarded-For: let the proxy remove the one that "
                        "it does not set";
    else if (named->bad)
        client->wrong = standard.any
                            ? "has a Forwarded header that does not name the client's address"
                            : "has an X-Forwarded-For that does not name the client's "
                              "address";
    if (named->any && client->wrong == NULL)
        client->address = named->address;
    client->https |= named->https || (proto != NULL && strcasecmp(proto, "https") == 0);
    client->here &= (named->any && address_is_loopback(&client->address)) || !is_forwarded(ex);
}

struct client client_of(struct exchange *ex)
{
    const struct sockaddr *peer = peer_of(ex);
    struct client client = {.address = address_of_peer(peer), .https = exchange_tls(ex) != NULL};

    client.here = address_is_loopback(&client.address);
    if (ex->from_proxy)
        believe(ex, &client);
    else
        client.here = client.here && !is_forwarded(ex);
    return client;
}
