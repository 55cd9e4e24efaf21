/* src/proc/transfers.c -- transfers in a hash table by report; the connections of those that a
 * deletion ends are reset. */
#include "proc/transfers.h"

#include <linux/sockios.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/str.h"

enum { BUCKETS = 1024 }; /* a power of two */

struct transfer {
    struct guid id;
    struct peer *peer;
    bool sending, ended;
    bool done;                     /* by the server; the kernel may still have bytes */
    struct transfer *next, **link; /* of its bucket */
    struct transfer *sibling;      /* of its connection, once it is done */
    struct transfers *transfers;
    /* In a shared store. */
    bool entered;
    struct guid row;
    char node[GUID_TEXT];
    struct store_op op[]; /* 1: SENT; otherwise 0 */
};

struct peer {
    struct transfers *transfers;
    int fd;
    struct transfer *done;
};

struct transfers {
    struct store *store;   /* NULL: it is not shared */
    pthread_mutex_t mutex; /* while it is held, no socket is closed */
    pthread_cond_t named;
    char node[GUID_TEXT];    /* "": the node has no name */
    struct transfer *untold; /* that the store did not take SENT of, by `next` */
    struct transfer *buckets[BUCKETS];
};

struct transfers *transfers_new(struct store *store)
{
    struct transfers *transfers = calloc(1, sizeof(*transfers));
    pthread_condattr_t monotonic;

    if (transfers == NULL)
        return NULL;
    if (store != NULL && store_is_shared(store))
        transfers->store = store;
    pthread_mutex_init(&transfers->mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&transfers->named, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return transfers;
}

void transfers_free(struct transfers *transfers)
{
    if (transfers == NULL)
        return;
    while (transfers->untold != NULL) {
        struct transfer *transfer = transfers->untold;

        transfers->untold = transfer->next;
        free(transfer);
    }
    pthread_cond_destroy(&transfers->named);
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

static void on_sent(struct store_op *op)
{
    struct transfer *transfer = op->owner;
    struct transfers *transfers = transfer->transfers;

    if (op->rc == 0) {
        free(transfer);
        return;
    }
    pthread_mutex_lock(&transfers->mutex);
    transfer->next = transfers->untold;
    transfers->untold = transfer;
    pthread_mutex_unlock(&transfers->mutex);
}

/* Whoever deletes the report on another node may be waiting for this. */
static void tell(struct transfer *transfer)
{
    struct store_op *op = transfer->op;

    *op = (struct store_op){.verb = STORE_SENT, .done = on_sent, .owner = transfer};
    op->sent = (struct store_sent){.id = transfer->id, .transfer = transfer->row};
    store_post(transfer->transfers->store, op);
}

/* The mutex is held. */
static void forget(struct transfer *transfer)
{
    *transfer->link = transfer->next;
    if (transfer->next != NULL)
        transfer->next->link = transfer->link;
    if (transfer->entered)
        tell(transfer);
    else
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

/* The mutex is held. */
static void add(struct transfers *transfers, struct transfer *transfer)
{
    transfer->link = bucket_of(transfers, &transfer->id);
    transfer->next = *transfer->link;
    if (transfer->next != NULL)
        transfer->next->link = &transfer->next;
    *transfer->link = transfer;
    memcpy(transfer->node, transfers->node, sizeof(transfer->node));
}

/* False: the node has no name. */
static bool add_named(struct transfers *transfers, struct transfer *transfer)
{
    bool named;

    pthread_mutex_lock(&transfers->mutex);
    named = transfers->store == NULL || transfers->node[0] != '\0';
    if (named)
        add(transfers, transfer);
    pthread_mutex_unlock(&transfers->mutex);
    return named;
}

int transfer_out_of_touch(struct err *err)
{
    return err_set(err, -E_BUSY,
                   "This node has lost touch with the others: try again in a moment.");
}

int transfer_begin(struct peer *peer, const struct guid *id, struct transfer **ret, struct err *err)
{
    struct transfer *transfer = NULL;

    if (peer != NULL)
        transfer = calloc(1, sizeof(*transfer) +
                                 (peer->transfers->store != NULL ? sizeof(struct store_op) : 0));
    if (transfer == NULL)
        return err_set(err, -E_NOMEM, "No memory for the transfer of a result.");
    transfer->id = *id;
    transfer->peer = peer;
    transfer->transfers = peer->transfers;
    transfer->row = guid_new();
    if (!add_named(peer->transfers, transfer)) {
        free(transfer);
        return transfer_out_of_touch(err);
    }
    *ret = transfer;
    return 0;
}

void transfer_enter(struct transfer *transfer, struct store_find *find)
{
    transfer->entered = transfer->transfers->store != NULL;
    find->node = transfer->entered ? transfer->node : NULL;
    find->transfer = transfer->row;
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

/* False: it is over already, and gone, with others of its connection. The mutex is held. */
static bool end(struct transfer *transfer)
{
    bool received = transfer->done && is_received(transfer->peer);

    if (received)
        forget_done(transfer->peer);
    else if (transfer->sending && !transfer->ended)
        break_off(transfer->peer);
    if (!received)
        transfer->ended = true;
    return !received;
}

/* Those of one report, or, if `id` is NULL, all. The mutex is held. */
static void end_bucket(struct transfer **bucket, const struct guid *id)
{
    struct transfer *transfer = *bucket;

    while (transfer != NULL) {
        bool there = (id != NULL && !guid_eq(&transfer->id, id)) || end(transfer);

        transfer = there ? transfer->next : *bucket;
    }
}

void transfers_end(struct transfers *transfers, const struct guid *id)
{
    pthread_mutex_lock(&transfers->mutex);
    end_bucket(bucket_of(transfers, id), id);
    pthread_mutex_unlock(&transfers->mutex);
}

/* The mutex is held. */
static void end_all(struct transfers *transfers)
{
    for (int i = 0; i < BUCKETS; i++)
        end_bucket(&transfers->buckets[i], NULL);
}

void transfers_name(struct transfers *transfers, const char *node)
{
    pthread_mutex_lock(&transfers->mutex);
    if (node == NULL || !str_eq(transfers->node, node))
        end_all(transfers);
    str_copy(transfers->node, sizeof(transfers->node), node != NULL ? node : "");
    while (node != NULL && transfers->untold != NULL) {
        struct transfer *transfer = transfers->untold;

        transfers->untold = transfer->next;
        tell(transfer);
    }
    pthread_cond_broadcast(&transfers->named);
    pthread_mutex_unlock(&transfers->mutex);
}

void transfers_await_name(struct transfers *transfers, int64_t patience_ms)
{
    int64_t until_ms = clock_mono_ms() + patience_ms;
    struct timespec until = {until_ms / 1000, until_ms % 1000 * 1000000};
    int rc = 0;

    pthread_mutex_lock(&transfers->mutex);
    while (transfers->store != NULL && transfers->node[0] == '\0' && rc == 0)
        rc = pthread_cond_timedwait(&transfers->named, &transfers->mutex, &until);
    pthread_mutex_unlock(&transfers->mutex);
}
