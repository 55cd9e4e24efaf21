/* src/http/password_work.c -- checks passwords with argon2id, on threads of its own. */
#include "http/password_work.h"

#include <sodium.h>
#include <string.h>

#include "base/str.h"
#include "base/thread.h"
#include "base/work_queue.h"
#include "http/exchange_impl.h"

enum {
    THREADS = 2, /* checks at the same time, 19 MiB each */
    QUEUED = 64, /* … and waiting: about a second's work; beyond that 503, also for an address that
                  * has more waiting than it leaves free */
};

static void check_password(struct password_work *work)
{
    work->verified =
        password_verify(work->hash[0] != '\0' ? work->hash : NULL, work->password, &work->err);
    sodium_memzero(work->password, sizeof(work->password));
    if (work->verified != 1 || work->new_password[0] == '\0')
        return;
    if (!password_hash(work->new_password, work->new_hash))
        work->new_hash[0] = '\0';
    sodium_memzero(work->new_password, sizeof(work->new_password));
}

/* Runs on a thread of the work queue. */
static void check_passwords(void *context, struct work_item *batch)
{
    (void)context;
    while (batch != NULL) {
        struct password_work *work = container_of(batch, struct password_work, item);

        batch = batch->next;
        check_password(work);
        shares_give(server_shares(work->ex->server), &work->share);
        exchange_wake(work->ex);
    }
}

struct work_queue *password_work_queue_new(void)
{
    struct work_queue_spec spec = {.name = "password",
                                   .threads = THREADS,
                                   .batch_max = 1,
                                   .queue_max = QUEUED,
                                   .run = check_passwords};

    return work_queue_new(&spec);
}

void password_work_take_user(struct exchange *ex, struct password_work *work,
                             const struct user *user)
{
    struct address site = address_site(&ex->client.address);

    exchange_address(ex, work->address);
    address_format(&site, work->site);
    if (user == NULL)
        return;
    str_copy(work->hash, sizeof(work->hash), user->password_hash);
    if (!user->disabled && user_may_come_from(user, &ex->client.address))
        work->user_id = user->id;
}

void password_work_start(struct exchange *ex, struct password_work *work, exchange_step *next)
{
    work->ex = ex;
    work->share = share_of_address(SHARE_LOGINS, &ex->client.address);
    if (shares_take_of(server_shares(ex->server), &work->share, QUEUED)) {
        exchange_await(ex, next);
        if (work_queue_push(ex->services->passwords, &work->item))
            return;
        shares_give(server_shares(ex->server), &work->share);
    }
    exchange_count_limit(ex, LIMIT_LOGINS);
    exchange_fail(ex, -E_BUSY, "Too many logins at the same time: try again in a moment.");
}

struct store_login password_work_login(struct exchange *ex, const struct password_work *work)
{
    return (struct store_login){.user_id = work->user_id,
                                .address = work->site,
                                .password_ok = work->verified == 1 && work->user_id != 0,
                                .password_hash = work->hash,
                                .now_ms = store_now_ms(ex->services->store),
                                .session = guid_new(),
                                .access = guid_new()};
}

bool password_work_take(struct exchange *ex, const char *key, char *out, size_t cap)
{
    json_t *value = exchange_member(ex, key);
    const char *text = json_string_value(value);

    if (text != NULL && str_copy(out, cap, text)) {
        sodium_memzero((char *)(uintptr_t)text, json_string_length(value));
        return true;
    }
    exchange_fail(ex, -E_INVALID, "Send \"%s\": a text of at most %zu bytes.", key, cap - 1);
    return false;
}
