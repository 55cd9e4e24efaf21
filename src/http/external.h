/* src/http/external.h -- tokens of identity providers, as auth.c takes them. To the store each is a
 * session, of which the id is a hash of the token, from its first request until it expires. */
#pragma once

#include "http/exchange.h"

/* Can `text` be one? Then it is none of ours. */
bool external_is(const struct exchange *ex, const char *text);
/* ex->claims of one that holds. False: replied. */
bool external_read(struct exchange *ex, const char *text);

/* The store knows no such session: look its user up, or add it, and go on with `next`; or reply
 * that the user may not. */
void external_enrol(struct exchange *ex, const char *text, exchange_step *next);

/* The token is an identity provider's, which alone can do `what` ("end it"): 403. True: replied. */
bool external_refuse(struct exchange *ex, const char *what);
