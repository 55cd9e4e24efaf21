/* src/http/external.h -- tokens of identity providers, for auth.c. For the store each is a session,
 * whose id is a hash of the token, from its first request until it expires. */
#pragma once

#include "http/exchange.h"

/* Does `text` have the form of one? Then it is not one of ours. */
bool external_is(const struct exchange *ex, const char *text);
/* Set ex->claims from a valid one. False: replied; or, unless `again` is NULL, its key may be among
 * those that are being fetched: `again` will be the next step, once for each exchange. */
bool external_read(struct exchange *ex, const char *text, exchange_step *again);

/* The store knows no such session: look its user up, or add it, and go on with `next`; or reply
 * that the user is not permitted. */
void external_enrol(struct exchange *ex, const char *text, exchange_step *next);

/* The token is from an identity provider, and only that can do `what` ("end it"): 403. True:
 * replied. */
bool external_refuse(struct exchange *ex, const char *what);
