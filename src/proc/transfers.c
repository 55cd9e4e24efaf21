/* src/proc/transfers.c -- transfers in a hash table by report; the connections of those that a
 * deletion ends are reset. */
#include "proc/transfers.h"

#include <linux/sockios.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum { BUCKETS = 1024 }; /* a power of two */

struct transfer {
    struct guid id;
    struct peer *peer;
    bool sending, ended;
    bool done;                     /* by the server; the kernel may still have bytes */
    struct transfer *next, **link; /* of its bucket */
    struct transfer *sibling;      /* of its connection, once it is done */
};

struct peer {
    struct transfers *transfers;
    int fd;
    struct transfer *done;
};

struct transfers {
    pthread_mutex_t mutex; /* while it is held, no socket is closed */
    struct transfer *buckets[BUCKETS];
};

struct transfers *transfers_new(void)
{
    struct transfers *transfers = calloc(1, sizeof(*transfers));

    if (transfers != NULL)
        pthread_mutex_init(&transfers->mutex, NULL);
    return transfers;
}

void transfers_free(struct transfers *transfers)
{
    if (transfers == NULL)
        return;
    pthread_mutex_destroy(&transfers->mutex);
    free(transfers);
}

static struct transfer **bucket_of(struct transfers *transfers, const struct guid *id)
{
    unsigned index;

    /* The last bytes of a version 7 GUID are the random ones. */
    memcpy(&index, id->bytes + GUID_BYTES - sizeof(index), sizeof(index));
    return &transfers->buckets[index % BUCKETS];
}

/* The mutex is held. */
static void forget(struct transfer *transfer)
{
    *transfer->link = transfer->next;
    if (transfer->next != NULL)
        transfer->next->link = transfer->link;
    free(transfer);
}

/* The mutex is held. */
static void forget_done(struct peer *peer)
{
    while (peer->done != NULL) {
        struct transfer *transfer = peer->done;

        peer->done = transfer->sibling;
        forget(transfer);
    }
}

/* Has the client's machine acknowledged all that was sent? */
static bool is_received(const struct peer *peer)
{
    int unacknowledged = 0;

    return ioctl(peer->fd, SIOCOUTQ, &unacknowledged) == 0 && unacknowledged == 0;
}

struct peer *peer_new(struct transfers *transfers, int fd)
{
    struct peer *peer = calloc(1, sizeof(*peer));

    if (peer != NULL)
        *peer = (struct peer){.transfers = transfers, .fd = fd};
    return peer;
}

void peer_free(struct peer *peer)
{
    if (peer == NULL)
        return;
    pthread_mutex_lock(&peer->transfers->mutex);
    forget_done(peer);
    pthread_mutex_unlock(&peer->transfers->mutex);
    free(peer);
}

struct transfer *transfer_begin(struct peer *peer, const struct guid *id)
{
    struct transfer *transfer = peer != NULL ? calloc(1, sizeof(*transfer)) : NULL;
    struct transfers *transfers;

    if (transfer == NULL)
        return NULL;
    transfers = peer->transfers;
    transfer->id = *id;
    transfer->peer = peer;
    transfer->link = bucket_of(transfers, id);
    pthread_mutex_lock(&transfers->mutex);
    transfer->next = *transfer->link;
    if (transfer->next != NULL)
        transfer->next->link = &transfer->next;
    *transfer->link = transfer;
    pthread_mutex_unlock(&transfers->mutex);
    return transfer;
}

bool transfer_send(struct transfer *transfer)
{
    struct transfers *transfers = transfer->peer->transfers;

    pthread_mutex_lock(&transfers->mutex);
    transfer->sending = !transfer->ended;
    pthread_mutex_unlock(&transfers->mutex);
    return transfer->sending;
}

bool transfer_is_ended(struct transfer *transfer)
{
    struct transfers *transfers = transfer->peer->transfers;
    bool ended;

    pthread_mutex_lock(&transfers->mutex);
    ended = transfer->ended;
    pthread_mutex_unlock(&transfers->mutex);
    return ended;
}

void transfer_done(struct transfer *transfer)
{
    struct peer *peer;

    if (transfer == NULL)
        return;
    peer = transfer->peer;
    pthread_mutex_lock(&peer->transfers->mutex);
    if (transfer->sending) {
        transfer->done = true;
        transfer->sibling = peer->done;
        peer->done = transfer;
        if (is_received(peer))
            forget_done(peer);
    } else {
        forget(transfer);
    }
    pthread_mutex_unlock(&peer->transfers->mutex);
}

/* To AF_UNSPEC a TCP socket disconnects at once: the client gets a reset, and what was not sent is
 * dropped (connect(2)); shutdown() would have it sent first. The library sees a broken connection,
 * and closes it. Sockets of another kind have nothing that waits for the network. */
static void break_off(const struct peer *peer)
{
    const struct sockaddr nowhere = {.sa_family = AF_UNSPEC};

    if (connect(peer->fd, &nowhere, sizeof(nowhere)) < 0)
        shutdown(peer->fd, SHUT_RDWR);
}

void transfers_end(struct transfers *transfers, const struct guid *id)
{
    pthread_mutex_lock(&transfers->mutex);
    for (struct transfer *transfer = *bucket_of(transfers, id); transfer != NULL;
         transfer = transfer->next) {
        if (transfer->ended || !guid_eq(&transfer->id, id))
            continue;
        transfer->ended = true;
        if (transfer->sending && !(transfer->done && is_received(transfer->peer)))
            break_off(transfer->peer);
    }
    pthread_mutex_unlock(&transfers->mutex);
}
