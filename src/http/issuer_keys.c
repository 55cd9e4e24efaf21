/* src/http/issuer_keys.c -- reads, fetches and replaces the keys of an identity provider. */
#include "http/issuer_keys.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/log_trouble.h"
#include "base/seam.h"
#include "base/str.h"
#include "base/thread.h"
#include "core/rights.h"
#include "proc/fetch.h"

/* A set of keys, for as long as somebody verifies with it. */
struct key_set {
    atomic_int holders;
    unsigned char digest[crypto_generichash_BYTES]; /* of its text */
    struct jwks *keys;
};

struct issuer_keys {
    const struct config_issuer *config;
    struct token_cache *token_cache;
    struct streams *streams;
    struct log_trouble trouble; /* of fetching */
    bool has_thread;            /* it is fetched */
    pthread_t thread;
    struct fetch fetch;
    struct lock reading; /* a file; taken before `lock` */
    struct lock lock;    /* guards the members below */
    pthread_cond_t wake;
    struct key_set *set;
    int64_t tried_ms; /* when it was read or fetched, or tried to */
    int64_t due_ms;   /* when it is fetched without being asked */
    int64_t pause_ms; /* from one failure to the next try; 0: the last one was none */
    bool asked, fetching, stopped;
    struct issuer_keys_wait *waits;
};

/* ---- sets ---- */

static void key_set_release(struct key_set *set)
{
    if (set == NULL || atomic_fetch_sub(&set->holders, 1) != 1)
        return;
    jwks_free(set->keys);
    free(set);
}

static int key_set_new(const char *text, size_t len, struct key_set **ret, struct err *err)
{
    struct key_set *set = calloc(1, sizeof(*set));
    int rc = set == NULL ? err_no_memory(err) : jwks_read(text, len, &set->keys, err);

    if (rc < 0) {
        free(set);
        return rc;
    }
    atomic_init(&set->holders, 1);
    crypto_generichash(set->digest, sizeof(set->digest), (const unsigned char *)text, len, NULL, 0);
    *ret = set;
    return 0;
}

static struct key_set *hold_keys(struct issuer_keys *keys)
{
    struct key_set *set;

    lock_take(&keys->lock);
    set = keys->set;
    atomic_fetch_add(&set->holders, 1);
    lock_release(&keys->lock);
    return set;
}

/* Takes `set`. */
static void adopt_keys(struct issuer_keys *keys, struct key_set *set)
{
    size_t count = jwks_count(set->keys);
    struct key_set *old;
    bool same;

    lock_take(&keys->lock);
    old = keys->set;
    same = memcmp(old->digest, set->digest, sizeof(set->digest)) == 0;
    keys->set = set;
    lock_release(&keys->lock);
    key_set_release(old);
    if (same)
        return;
    token_cache_forget(keys->token_cache);
    streams_end_external(keys->streams);
    log_info("issuer.keys", "issuer=%s keys=%zu", keys->config->name, count);
}

int issuer_keys_verify(struct issuer_keys *keys, const struct jwt *jwt)
{
    struct key_set *set = hold_keys(keys);
    int answer = jwt_verify(jwt, set->keys);

    key_set_release(set);
    return answer;
}

/* ---- reading ---- */

static int read_jwks_file(const char *path, struct buf *ret, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int rc = fd < 0 || file_append(fd, ret) < 0 ? err_errno(err, -E_IO, "it can't be read") : 0;

    if (fd >= 0)
        close(fd);
    return rc == 0 && buf_failed(ret)
               ? err_set(err, -E_INVALID, "it has more than %d bytes", JWKS_TEXT_MAX)
               : rc;
}

/* `fetch` may be NULL for a file. */
static int read_keys_text(const struct config_issuer *config, struct fetch *fetch, struct buf *ret,
                          struct err *err)
{
    if (!config_is_url(config->keys))
        return rights_check_file("the file", config->keys, err)
                   ?: read_jwks_file(config->keys, ret, err);
    return (config->keys_ca != NULL ? rights_check_file("keys_ca", config->keys_ca, err) : 0)
               ?: fetch_url(fetch, config->keys, config->keys_ca, ret, err);
}

static int read_issuer_keys(const struct config_issuer *config, struct fetch *fetch,
                            struct key_set **ret, struct err *err)
{
    struct buf text;
    struct err why = {0};
    int rc;

    buf_init(&text, JWKS_TEXT_MAX);
    rc = read_keys_text(config, fetch, &text, &why)
             ?: key_set_new(buf_str(&text), text.len, ret, &why);
    buf_done(&text);
    return rc == 0 ? 0
                   : err_set(err, rc == -E_NOMEM || rc == -E_CANCELLED ? rc : -E_CONFIG,
                             "the keys of the issuer %s, '%s', are of no use: %.300s", config->name,
                             config->keys, why.text);
}

static int read_again(struct issuer_keys *keys, struct err *err)
{
    struct key_set *set = NULL;
    int rc = read_issuer_keys(keys->config, &keys->fetch, &set, err);

    SEAM_STEP("issuer", "keys", "read");
    if (rc == 0)
        adopt_keys(keys, set);
    return rc;
}

/* One thread at a time, so that none puts back what another one has read later. */
static void read_file_again(struct issuer_keys *keys)
{
    struct err err = {0};

    lock_check_held(&keys->reading);
    if (read_again(keys, &err) < 0)
        log_error("issuer.unusable", "issuer=%s error=%s", keys->config->name, err.text);
}

/* No provider is needed for a start: of a URL there are no keys yet. */
static int read_first(const struct config_issuer *config, struct key_set **ret, struct err *err)
{
    static const char none[] = "{\"keys\": []}";

    if (!config_is_url(config->keys))
        return read_issuer_keys(config, NULL, ret, err);
    if (config->keys_ca != NULL && access(config->keys_ca, R_OK) < 0)
        return err_errno(err, -E_CONFIG, "keys_ca of the issuer %s, '%s', can't be read",
                         config->name, config->keys_ca);
    return (config->keys_ca != NULL ? rights_check_file("keys_ca", config->keys_ca, err) : 0)
               ?: key_set_new(none, sizeof(none) - 1, ret, err);
}

/* ---- fetching: the thread ---- */

static void fetch_again(struct issuer_keys *keys)
{
    struct err err = {0};
    int rc = read_again(keys, &err);

    if (rc == 0)
        log_trouble_over(&keys->trouble);
    else if (rc != -E_CANCELLED)
        log_trouble(&keys->trouble, &err);
    lock_take(&keys->lock);
    if (rc == 0)
        keys->pause_ms = 0;
    else if (keys->pause_ms == 0)
        keys->pause_ms = ISSUER_KEYS_AGAIN_MS;
    else if (keys->pause_ms < ISSUER_KEYS_FRESH_MS / 2)
        keys->pause_ms *= 2;
    else
        keys->pause_ms = ISSUER_KEYS_FRESH_MS;
    keys->due_ms = clock_steady_ms() + (rc == 0 ? ISSUER_KEYS_FRESH_MS : keys->pause_ms);
    keys->fetching = false;
    lock_release(&keys->lock);
}

static void release_waits(struct issuer_keys *keys)
{
    struct issuer_keys_wait *wait, *next;

    lock_take(&keys->lock);
    wait = keys->waits;
    keys->waits = NULL;
    lock_release(&keys->lock);
    for (; wait != NULL; wait = next) {
        next = wait->next;
        wait->done(wait);
    }
}

/* False: it is over. */
static bool await_turn(struct issuer_keys *keys)
{
    bool over;

    lock_take(&keys->lock);
    while (!keys->stopped && !keys->asked && clock_steady_ms() < keys->due_ms)
        lock_wait_until(&keys->lock, &keys->wake,
                        clock_mono_ms() + SEAM_PATIENCE_MS(keys->due_ms - clock_steady_ms()));
    over = keys->stopped;
    keys->asked = false;
    keys->fetching = !over;
    keys->tried_ms = clock_steady_ms();
    lock_release(&keys->lock);
    return !over;
}

static bool is_asked(struct issuer_keys *keys)
{
    bool asked;

    lock_take(&keys->lock);
    asked = keys->asked;
    lock_release(&keys->lock);
    return asked;
}

/* Asked meanwhile, it may have fetched what was replaced: who waits gets what comes next. */
static void *fetch_thread(void *arg)
{
    struct issuer_keys *keys = arg;

    while (await_turn(keys)) {
        fetch_again(keys);
        if (!is_asked(keys))
            release_waits(keys);
    }
    release_waits(keys);
    return NULL;
}

/* ---- start and end ---- */

int issuer_keys_check(const struct config_issuer *config, struct err *err)
{
    struct key_set *set = NULL;
    int rc = read_first(config, &set, err);

    key_set_release(set);
    return rc;
}

int issuer_keys_new(const struct config_issuer *config, struct token_cache *token_cache,
                    struct streams *streams, struct issuer_keys **ret, struct err *err)
{
    struct issuer_keys *keys = calloc(1, sizeof(*keys));
    int rc;

    if (keys == NULL)
        return err_no_memory(err);
    keys->config = config;
    keys->token_cache = token_cache;
    keys->streams = streams;
    keys->trouble = (struct log_trouble)LOG_TROUBLE("issuer.unusable");
    keys->tried_ms = clock_steady_ms();
    lock_init(&keys->reading);
    lock_init(&keys->lock);
    lock_cond_init(&keys->wake);
    fetch_init(&keys->fetch);
    rc = read_first(config, &keys->set, err);
    if (rc == 0 && config_is_url(config->keys)) {
        keys->asked = true;
        keys->has_thread = thread_start(&keys->thread, "issuer", fetch_thread, keys) == 0;
        if (!keys->has_thread)
            rc = err_set(err, -E_NOMEM, "can't start the thread of an issuer");
    }
    if (rc < 0) {
        issuer_keys_free(keys);
        return rc;
    }
    *ret = keys;
    return 0;
}

void issuer_keys_stop(struct issuer_keys *keys)
{
    if (!keys->has_thread)
        return;
    lock_take(&keys->lock);
    keys->stopped = true;
    pthread_cond_signal(&keys->wake);
    lock_release(&keys->lock);
    fetch_cancel(&keys->fetch);
}

void issuer_keys_free(struct issuer_keys *keys)
{
    if (keys == NULL)
        return;
    issuer_keys_stop(keys);
    if (keys->has_thread)
        pthread_join(keys->thread, NULL);
    key_set_release(keys->set);
    fetch_done(&keys->fetch);
    pthread_cond_destroy(&keys->wake);
    lock_done(&keys->lock);
    lock_done(&keys->reading);
    free(keys);
}

/* ---- unknown keys ---- */

/* Is it time, and is the caller the one who does it? With the lock held. */
static bool take_turn(struct issuer_keys *keys)
{
    int64_t now_ms = clock_steady_ms();

    lock_check_held(&keys->lock);
    if (now_ms - keys->tried_ms < ISSUER_KEYS_AGAIN_MS && now_ms >= keys->tried_ms)
        return false;
    keys->tried_ms = now_ms;
    return true;
}

static bool is_coming(const struct issuer_keys *keys)
{
    lock_check_held(&keys->lock);
    return !keys->stopped && (keys->asked || keys->fetching);
}

static enum issuer_keys_more ask_thread(struct issuer_keys *keys)
{
    if (!is_coming(keys) && !keys->stopped && take_turn(keys)) {
        keys->asked = true;
        pthread_cond_signal(&keys->wake);
    }
    if (is_coming(keys))
        return ISSUER_KEYS_COMING;
    return keys->stopped || keys->pause_ms > 0 ? ISSUER_KEYS_UNKNOWN : ISSUER_KEYS_ALL;
}

/* Whoever comes while another thread reads waits, too: its key may be in what that has read. */
static enum issuer_keys_more ask_file(struct issuer_keys *keys)
{
    bool reads;

    lock_take(&keys->reading);
    lock_take(&keys->lock);
    reads = take_turn(keys);
    lock_release(&keys->lock);
    if (reads)
        read_file_again(keys);
    lock_release(&keys->reading);
    return ISSUER_KEYS_ALL;
}

enum issuer_keys_more issuer_keys_ask(struct issuer_keys *keys)
{
    enum issuer_keys_more more;

    if (!keys->has_thread)
        return ask_file(keys);
    lock_take(&keys->lock);
    more = ask_thread(keys);
    lock_release(&keys->lock);
    return more;
}

void issuer_keys_await(struct issuer_keys *keys, struct issuer_keys_wait *wait)
{
    bool waits;

    lock_take(&keys->lock);
    waits = is_coming(keys);
    if (waits) {
        wait->next = keys->waits;
        keys->waits = wait;
    }
    lock_release(&keys->lock);
    if (!waits)
        wait->done(wait);
}

void issuer_keys_reload(struct issuer_keys *keys)
{
    if (!keys->has_thread) {
        lock_take(&keys->reading);
        read_file_again(keys);
        lock_release(&keys->reading);
        return;
    }
    lock_take(&keys->lock);
    keys->asked = true;
    pthread_cond_signal(&keys->wake);
    lock_release(&keys->lock);
}
