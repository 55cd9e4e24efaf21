/* src/http/login_cookie.h -- the cookie of POST /User/Login?cookie=1: a refresh token that no
 * script of a page can read (RFC 6265), and the Origin that has to come with it (RFC 6454). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "http/exchange.h"

enum { LOGIN_COOKIE_TEXT = GUID_TEXT + TOKEN_SECRET_TEXT }; /* the session, a dot, the secret */

struct login_cookie {
    struct guid session;
    uint8_t hash[STORE_HASH_BYTES]; /* of all of its text */
};

/* Whether there is one, right or wrong. */
bool login_cookie_is_given(struct exchange *ex);

/* Read it. It counts only from a page of this server. False: replied 400 (two cookies), 401 (not
 * one of this server's) or 403 (another Origin, or none). */
bool login_cookie_read(struct exchange *ex, struct login_cookie *ret);

/* Whether it is given and of this session, as far as that can be read. */
bool login_cookie_is_of(struct exchange *ex, const struct guid *session);

/* May it be set? The Origin has to be this server's, or missing, as from a client that is not a
 * browser. False: replied 403. */
bool login_cookie_check_origin(struct exchange *ex);

/* Its text, for the secret of a refresh token. */
void login_cookie_format(const struct guid *session, const char *secret,
                         char out[LOGIN_COOKIE_TEXT]);

/* Add the header that sets it, for as long as a refresh token lives; NULL: that removes it. */
void login_cookie_set(struct exchange *ex, const char *text);
