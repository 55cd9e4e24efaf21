/* src/http/password_work.h -- passwords checked by argon2id, on threads of their own. */
#pragma once

#include "core/password.h"
#include "core/user.h"
#include "http/exchange.h"
#include "http/shares.h"
#include "store/store.h"

/* One check, in the state of its exchange, which clears the passwords when it ends. */
struct password_work {
    char password[USER_PASSWORD_MAX + 1];
    char hash[PASSWORD_HASH_TEXT]; /* that it is to match; "": nothing can */
    int64_t user_id;               /* 0: no user who may log in from there */
    char address[ADDRESS_TEXT], site[ADDRESS_TEXT];
    char new_password[USER_PASSWORD_MAX + 1]; /* "": none; hashed if the other one matches */
    char new_hash[PASSWORD_HASH_TEXT];        /* out; "": no memory */
    int verified;                             /* out: what password_verify() says … */
    struct err err;                           /* … and why it does not know */
    struct exchange *ex;                      /* the three are the work's own */
    struct work_item item;
    struct share share; /* of the queue */
};

/* The threads, off those of HTTP: pushing can be refused. NULL: no memory. */
struct work_queue *password_work_queue_new(void);

/* The user whose password is checked, NULL: none; and where the client is. From an address that is
 * not permitted nobody can log in, and nobody is locked either. */
void password_work_take_user(struct exchange *ex, struct password_work *work,
                             const struct user *user);

/* Check, then `next`; or reply that there are too many, of all or of the client's address. Clears
 * `password`. */
void password_work_start(struct exchange *ex, struct password_work *work, exchange_step *next);

/* The outcome, as STORE_LOGIN takes it, with a session and an access token that are new. */
struct store_login password_work_login(struct exchange *ex, const struct password_work *work);

/* Copy a text of the body and clear it there; false: replied. */
bool password_work_take(struct exchange *ex, const char *key, char *out, size_t cap);
