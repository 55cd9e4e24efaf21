/* src/http/shares.h -- how much one address, or one user, has of what all clients share. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"

enum share_kind { SHARE_CONNECTIONS, SHARE_LOGINS, SHARE_WAITS, SHARE_KINDS };

/* Of whom, and of what. */
struct share {
    uint8_t kind;         /* enum share_kind */
    struct address owner; /* or the number of a user */
};

struct share share_of_user(enum share_kind kind, int64_t user_id);
/* All addresses of one client are one owner: address_site(). */
struct share share_of_address(enum share_kind kind, const struct address *address);

struct shares;
struct shares *shares_new(void);         /* NULL: no memory */
void shares_free(struct shares *shares); /* NULL is fine */

/* One more, unless its owner has `most`. False: it has, or there is no memory. Any thread. */
bool shares_take(struct shares *shares, const struct share *share, int most);
/* The same of what there are `places` of: no owner gets more than it leaves free, so that one who
 * takes all that he can get leaves room for others. */
bool shares_take_of(struct shares *shares, const struct share *share, int places);
/* Give one back. Any thread. */
void shares_give(struct shares *shares, const struct share *share);
