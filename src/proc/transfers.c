/* src/proc/transfers.c -- transfers, in a hash table by report; a deletion resets the connections
 * of the transfers that it ends. */
#include "proc/transfers.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/tcp.h> /* that of netinet/ lacks tcpi_bytes_acked … */
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/guid.h"
#include "base/str.h"
#include "base/thread.h"

enum {
    BUCKETS = 1024,     /* a power of two */
    STALLED_MS = 60000, /* a closed connection is reset if its client takes nothing for this long */
    SOON_MS = 20,       /* clients that read receive the rest within a few round trips */
    LATER_MS = 250,     /* the others are checked less often … */
    YOUNG_MS = 1000,    /* … from this age on */
    STOP_MS = 2000,     /* at the end of the server */
    TCP_CLOSE = 7,      /* … and this state */
};

struct transfer {
    struct guid id;
    struct peer *peer;
    bool sending, ended;
    bool done;                     /* by the server; the kernel may still have bytes, … */
    uint64_t end;                  /* … until the client has acknowledged this many in all */
    struct transfer *next, **link; /* in its bucket */
    struct transfer *sibling;      /* of the same connection, once it is done */
    struct transfers *transfers;
    /* In a shared store. */
    bool entered;
    struct guid row;
    char node[GUID_TEXT];
    struct store_op op[]; /* 1, for SENT; otherwise 0 */
};

struct peer {
    struct transfers *transfers;
    int fd;
    bool local; /* a Unix socket, whose bytes belong to the client as soon as it reads them */
    _Atomic(struct transfer *) done; /* in the order in which they end, … */
    struct transfer *last;           /* … up to this one, if there are any */
    /* Once the connection is closed and lingers, `fd` belongs to this struct. */
    struct peer *next;
    int left;                    /* number of unacknowledged bytes when … */
    int64_t moved_ms, closed_ms; /* … it last decreased; both monotonic */
};

struct transfers {
    struct store *store; /* NULL: not shared */
    struct lock lock;    /* while it is held, no socket is closed */
    pthread_cond_t named;
    char node[GUID_TEXT];    /* "": the node has no name */
    struct transfer *untold; /* transfers for which the store has not taken SENT, by `next` */
    struct peer *lingering;
    int64_t due_ms; /* when they have to be checked */
    struct transfer *buckets[BUCKETS];
};

struct transfers *transfers_new(struct store *store)
{
    struct transfers *transfers = calloc(1, sizeof(*transfers));

    if (transfers == NULL)
        return NULL;
    if (store != NULL && store_is_shared(store))
        transfers->store = store;
    lock_init(&transfers->lock);
    lock_cond_init(&transfers->named);
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
    lock_done(&transfers->lock);
    free(transfers);
}

static struct transfer **transfer_bucket(struct transfers *transfers, const struct guid *id)
{
    return &transfers->buckets[guid_hash(id) % BUCKETS];
}

static void on_sent(struct store_op *op)
{
    struct transfer *transfer = op->owner;
    struct transfers *transfers = transfer->transfers;

    if (op->rc == 0) {
        free(transfer);
        return;
    }
    lock_take(&transfers->lock);
    transfer->next = transfers->untold;
    transfers->untold = transfer;
    lock_release(&transfers->lock);
}

/* A deletion of the report on another node may be waiting for this. */
static void tell_sent(struct transfer *transfer)
{
    struct store_op *op = transfer->op;

    *op = (struct store_op){.verb = STORE_SENT, .done = on_sent, .owner = transfer};
    op->sent = (struct store_sent){.id = transfer->id, .transfer = transfer->row};
    store_post(transfer->transfers->store, op);
}

static void forget(struct transfer *transfer)
{
    lock_check_held(&transfer->transfers->lock);
    *transfer->link = transfer->next;
    if (transfer->next != NULL)
        transfer->next->link = transfer->link;
    if (transfer->entered)
        tell_sent(transfer);
    else
        free(transfer);
}

/* The number of bytes that the client's machine has not acknowledged; -1: unknown. */
static int unacknowledged(const struct peer *peer)
{
    int left;

    return ioctl(peer->fd, SIOCOUTQ, &left) == 0 ? left : -1;
}

static bool read_info(const struct peer *peer, struct tcp_info *info)
{
    socklen_t len = sizeof(*info);

    return getsockopt(peer->fd, IPPROTO_TCP, TCP_INFO, info, &len) == 0 &&
           len > offsetof(struct tcp_info, tcpi_bytes_acked);
}

/* Of all bytes sent on the connection. A Unix socket does not count them, but knows when none are
 * left. */
static uint64_t acknowledged(const struct peer *peer)
{
    struct tcp_info info;

    if (peer->local)
        return unacknowledged(peer) == 0 ? UINT64_MAX : 0;
    return read_info(peer, &info) ? info.tcpi_bytes_acked : 0;
}

/* The same count at the end of what the kernel has been given so far. */
static uint64_t end_of_bytes(const struct peer *peer)
{
    uint64_t before, after = acknowledged(peer);
    int left;

    if (peer->local)
        return after == 0 ? 1 : 0;
    do { /* until both are from the same moment */
        before = after;
        left = unacknowledged(peer);
        after = acknowledged(peer);
    } while (after != before);
    return left >= 0 ? after + (uint64_t)left : UINT64_MAX;
}

/* For example by a reset: then the kernel has dropped its bytes. */
static bool is_broken(const struct peer *peer)
{
    struct pollfd polled = {.fd = peer->fd};
    struct tcp_info info;

    if (peer->local)
        return poll(&polled, 1, 0) > 0 && (polled.revents & (POLLHUP | POLLERR)) != 0;
    return read_info(peer, &info) && info.tcpi_state == TCP_CLOSE;
}

/* Remove the transfers that end at this count, or before it. */
static void forget_until(struct peer *peer, uint64_t end)
{
    struct transfer *transfer;

    lock_check_held(&peer->transfers->lock);
    while ((transfer = peer->done) != NULL && transfer->end <= end) {
        peer->done = transfer->sibling;
        forget(transfer);
    }
}

static void forget_done(struct peer *peer)
{
    lock_check_held(&peer->transfers->lock);
    forget_until(peer, UINT64_MAX);
}

/* Remove the transfers that the client's machine has received completely. */
static void forget_received(struct peer *peer)
{
    lock_check_held(&peer->transfers->lock);
    if (peer->done != NULL)
        forget_until(peer, acknowledged(peer));
}

/* Connecting a TCP socket to AF_UNSPEC disconnects it at once: the client gets a reset, and unsent
 * bytes are dropped (connect(2)); shutdown() would send them first. The library sees a broken
 * connection and closes it. Sockets of other kinds have nothing that waits for the network. */
static void reset_peer(const struct peer *peer)
{
    const struct sockaddr nowhere = {.sa_family = AF_UNSPEC};

    if (connect(peer->fd, &nowhere, sizeof(nowhere)) < 0)
        shutdown(peer->fd, SHUT_RDWR);
}

struct peer *peer_new(struct transfers *transfers, int fd)
{
    struct peer *peer = calloc(1, sizeof(*peer));
    int domain = AF_UNSPEC;
    socklen_t len = sizeof(domain);

    if (peer == NULL)
        return NULL;
    getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len);
    *peer = (struct peer){.transfers = transfers, .fd = fd, .local = domain == AF_UNIX};
    return peer;
}

/* A closed connection whose client may still be receiving a result lingers: its socket is kept, so
 * that a deletion can reset it. After close() this would be impossible, and the kernel would go on
 * sending. False: there is no descriptor left, and the connection is reset. */
static bool linger(struct peer *peer)
{
    struct transfers *transfers = peer->transfers;
    int fd = fcntl(peer->fd, F_DUPFD_CLOEXEC, 0);

    lock_check_held(&peer->transfers->lock);
    if (fd < 0) {
        reset_peer(peer);
        return false;
    }
    shutdown(fd, SHUT_WR); /* the end follows the remaining bytes, as with close() */
    peer->fd = fd;
    peer->left = INT32_MAX;
    peer->closed_ms = peer->moved_ms = clock_mono_ms();
    if (transfers->lingering == NULL || transfers->due_ms > peer->closed_ms + SOON_MS)
        transfers->due_ms = peer->closed_ms + SOON_MS;
    peer->next = transfers->lingering;
    transfers->lingering = peer;
    return true;
}

void peer_asked(struct peer *peer)
{
    if (peer == NULL || peer->done == NULL)
        return;
    lock_take(&peer->transfers->lock);
    forget_received(peer);
    lock_release(&peer->transfers->lock);
}

bool peer_close(struct peer *peer)
{
    struct transfers *transfers;
    bool lingers;

    if (peer == NULL)
        return true;
    transfers = peer->transfers;
    lock_take(&transfers->lock);
    forget_received(peer);
    lingers = peer->done != NULL && !is_broken(peer) && linger(peer);
    if (!lingers)
        forget_done(peer);
    lock_release(&transfers->lock);
    if (!lingers)
        free(peer);
    return !lingers;
}

/* Has the client received the results, or is the connection broken, possibly after a stall? */
static bool is_over(struct peer *peer, int64_t now_ms)
{
    int left = unacknowledged(peer);

    lock_check_held(&peer->transfers->lock);
    forget_received(peer);
    if (left < peer->left) {
        peer->left = left;
        peer->moved_ms = now_ms;
    } else if (now_ms - peer->moved_ms >= STALLED_MS) {
        reset_peer(peer);
    }
    return peer->done == NULL || is_broken(peer);
}

/* Close the connections that are over; returns how many. */
static int check_lingering(struct transfers *transfers, int64_t now_ms)
{
    struct peer **link = &transfers->lingering, *peer;
    int gone = 0;

    lock_check_held(&transfers->lock);
    transfers->due_ms = now_ms + LATER_MS;
    while ((peer = *link) != NULL) {
        if (!is_over(peer, now_ms)) {
            if (now_ms - peer->closed_ms < YOUNG_MS)
                transfers->due_ms = now_ms + SOON_MS;
            link = &peer->next;
            continue;
        }
        *link = peer->next;
        forget_done(peer);
        close(peer->fd);
        free(peer);
        gone++;
    }
    return gone;
}

int transfers_maintain(struct transfers *transfers, int64_t now_ms, int *ret_gone)
{
    int wait_ms = -1;

    *ret_gone = 0;
    lock_take(&transfers->lock);
    if (transfers->lingering != NULL && transfers->due_ms <= now_ms)
        *ret_gone = check_lingering(transfers, now_ms);
    if (transfers->lingering != NULL)
        wait_ms = (int)(transfers->due_ms - now_ms);
    lock_release(&transfers->lock);
    return wait_ms;
}

void transfers_finish(struct transfers *transfers)
{
    int64_t now_ms = clock_mono_ms(), until_ms = now_ms + STOP_MS;
    int wait_ms, gone;

    while ((wait_ms = transfers_maintain(transfers, now_ms, &gone)) >= 0 && now_ms < until_ms) {
        poll(NULL, 0, wait_ms);
        now_ms = clock_mono_ms();
    }
    lock_take(&transfers->lock);
    for (struct peer *peer = transfers->lingering; peer != NULL; peer = peer->next)
        reset_peer(peer);
    check_lingering(transfers, now_ms);
    lock_release(&transfers->lock);
}

static void add(struct transfers *transfers, struct transfer *transfer)
{
    lock_check_held(&transfers->lock);
    transfer->link = transfer_bucket(transfers, &transfer->id);
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

    lock_take(&transfers->lock);
    named = transfers->store == NULL || transfers->node[0] != '\0';
    if (named)
        add(transfers, transfer);
    lock_release(&transfers->lock);
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
    lock_take(&transfer->transfers->lock);
    transfer->entered = transfer->transfers->store != NULL;
    lock_release(&transfer->transfers->lock);
    find->node = transfer->entered ? transfer->node : NULL;
    find->transfer = transfer->row;
}

bool transfer_send(struct transfer *transfer)
{
    struct transfers *transfers = transfer->peer->transfers;

    lock_take(&transfers->lock);
    CHECK(!transfer->sending && !transfer->done);
    transfer->sending = !transfer->ended;
    lock_release(&transfers->lock);
    return transfer->sending;
}

bool transfer_is_ended(struct transfer *transfer)
{
    struct transfers *transfers = transfer->peer->transfers;
    bool ended;

    lock_take(&transfers->lock);
    ended = transfer->ended;
    lock_release(&transfers->lock);
    return ended;
}

void transfer_break_off(struct transfer *transfer)
{
    struct transfers *transfers = transfer->peer->transfers;

    lock_take(&transfers->lock);
    reset_peer(transfer->peer);
    lock_release(&transfers->lock);
}

int transfer_left(const struct transfer *transfer)
{
    return unacknowledged(transfer->peer);
}

void transfer_done(struct transfer *transfer)
{
    struct peer *peer;

    if (transfer == NULL)
        return;
    peer = transfer->peer;
    lock_take(&peer->transfers->lock);
    CHECK(!transfer->done);
    if (transfer->sending) {
        transfer->done = true;
        transfer->end = end_of_bytes(peer);
        if (peer->done == NULL)
            peer->done = transfer;
        else
            peer->last->sibling = transfer;
        peer->last = transfer;
        forget_received(peer);
    } else {
        forget(transfer);
    }
    lock_release(&peer->transfers->lock);
}

/* A transfer that is done is over once the connection is reset, since the kernel has dropped the
 * rest. Nothing else would report this while a later request on the connection waits, possibly for
 * this very deletion. */
static void end_done(const struct transfer *transfer)
{
    struct peer *peer = transfer->peer;
    uint64_t acked = acknowledged(peer);

    lock_check_held(&transfer->transfers->lock);
    if (transfer->end <= acked) {
        forget_until(peer, acked);
    } else {
        reset_peer(peer);
        forget_done(peer);
    }
}

/* False: it is gone, possibly with others of its connection. */
static bool end_transfer(struct transfer *transfer)
{
    lock_check_held(&transfer->transfers->lock);
    if (transfer->done) {
        end_done(transfer);
        return false;
    }
    if (transfer->sending && !transfer->ended)
        reset_peer(transfer->peer);
    transfer->ended = true;
    return true;
}

/* End the transfers of one report, or, if `id` is NULL, all. */
static void end_bucket(struct transfer **bucket, const struct guid *id)
{
    struct transfer *transfer = *bucket;

    while (transfer != NULL) {
        bool there = (id != NULL && !guid_eq(&transfer->id, id)) || end_transfer(transfer);

        transfer = there ? transfer->next : *bucket;
    }
}

void transfers_end(struct transfers *transfers, const struct guid *id)
{
    lock_take(&transfers->lock);
    end_bucket(transfer_bucket(transfers, id), id);
    lock_release(&transfers->lock);
}

/* ---- what the store knows about them ---- */

/* A request to the store about one transfer, which may be over when the answer arrives. */
struct inquiry {
    struct store_op op;
    struct transfers *transfers;
    struct guid id, row;
    char node[GUID_TEXT];
    struct inquiry *next;
};

static struct inquiry *inquire(struct transfers *transfers, const struct guid *id,
                               const struct guid *row)
{
    struct inquiry *inquiry = calloc(1, sizeof(*inquiry));

    if (inquiry != NULL)
        *inquiry = (struct inquiry){.transfers = transfers, .id = *id, .row = *row};
    return inquiry;
}

static bool transfer_is_known(struct transfers *transfers, const struct guid *id,
                              const struct guid *row)
{
    const struct transfer *transfer;

    lock_take(&transfers->lock);
    transfer = *transfer_bucket(transfers, id);
    while (transfer != NULL && !guid_eq(&transfer->row, row))
        transfer = transfer->next;
    lock_release(&transfers->lock);
    return transfer != NULL;
}

static void on_settled(struct store_op *op)
{
    free(op->owner); /* if it failed, the next heartbeat repeats it */
}

/* It does not matter whether the store was told just now that the transfer is over. */
static void settle_inquiry(struct inquiry *inquiry)
{
    if (transfer_is_known(inquiry->transfers, &inquiry->id, &inquiry->row)) {
        free(inquiry);
        return;
    }
    inquiry->op = (struct store_op){.verb = STORE_SENT, .done = on_settled, .owner = inquiry};
    inquiry->op.sent = (struct store_sent){.id = inquiry->id, .transfer = inquiry->row};
    store_post(inquiry->transfers->store, &inquiry->op);
}

void transfers_settle(struct transfers *transfers, const struct guid *id, const struct guid *row)
{
    struct inquiry *inquiry = inquire(transfers, id, row);

    if (inquiry != NULL)
        settle_inquiry(inquiry);
}

static void on_inquiry_answer(struct store_op *op)
{
    struct inquiry *inquiry = op->owner;
    bool deleted = op->rc == 0 && !op->find.found;

    store_op_done(op);
    if (deleted)
        transfers_end(inquiry->transfers, &inquiry->id);
    settle_inquiry(inquiry);
}

/* Inquire about all transfers that the store knows of; linked by `next`. */
static struct inquiry *inquire_of_all(struct transfers *transfers)
{
    struct inquiry *first = NULL;

    lock_take(&transfers->lock);
    for (int i = 0; i < BUCKETS; i++) {
        const struct transfer *transfer = transfers->buckets[i];

        for (; transfer != NULL; transfer = transfer->next) {
            struct inquiry *inquiry =
                transfer->entered ? inquire(transfers, &transfer->id, &transfer->row) : NULL;

            if (inquiry == NULL)
                continue;
            memcpy(inquiry->node, transfer->node, sizeof(inquiry->node));
            inquiry->next = first;
            first = inquiry;
        }
    }
    lock_release(&transfers->lock);
    return first;
}

void transfers_check(struct transfers *transfers)
{
    struct inquiry *inquiry = inquire_of_all(transfers), *next;

    for (; inquiry != NULL; inquiry = next) {
        next = inquiry->next;
        inquiry->op =
            (struct store_op){.verb = STORE_FIND, .done = on_inquiry_answer, .owner = inquiry};
        inquiry->op.find =
            (struct store_find){.id = inquiry->id, .node = inquiry->node, .transfer = inquiry->row};
        store_post(transfers->store, &inquiry->op);
    }
}

static void end_all(struct transfers *transfers)
{
    lock_check_held(&transfers->lock);
    for (int i = 0; i < BUCKETS; i++)
        end_bucket(&transfers->buckets[i], NULL);
}

void transfers_name(struct transfers *transfers, const char *node)
{
    lock_take(&transfers->lock);
    if (node == NULL || !str_eq(transfers->node, node))
        end_all(transfers);
    str_copy(transfers->node, sizeof(transfers->node), node != NULL ? node : "");
    while (node != NULL && transfers->untold != NULL) {
        struct transfer *transfer = transfers->untold;

        transfers->untold = transfer->next;
        tell_sent(transfer);
    }
    pthread_cond_broadcast(&transfers->named);
    lock_release(&transfers->lock);
}

void transfers_await_name(struct transfers *transfers, int64_t patience_ms)
{
    int64_t until_ms = clock_mono_ms() + patience_ms;
    bool early = true;

    lock_take(&transfers->lock);
    while (transfers->store != NULL && transfers->node[0] == '\0' && early)
        early = lock_wait_until(&transfers->lock, &transfers->named, until_ms);
    lock_release(&transfers->lock);
}
