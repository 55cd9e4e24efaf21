/* src/http/link.h -- links to one result, which need no headers: an encrypted token that says all
 * of it, so that nothing of a link is stored. */
#pragma once

#include "http/form_choice.h"
#include "http/token.h"

enum {
    LINK_LIFE_S = 5 * 60,
    LINK_TEXT = 118, /* characters of the token */
};

struct link {
    struct guid reference, session; /* the session that made it, with which it dies */
    int64_t expires_s;              /* UTC seconds */
    struct form_choice choice;
};

/* Append the token: base64url, so that it may stand in a URL as it is. A failure is the buffer's.
 */
void link_issue(const struct token_key *key, const struct link *link, struct buf *out);
/* Did a server with this key issue it? Whether it has expired is the caller's to check. */
bool link_read(const struct token_key *key, const char *text, struct link *ret);

/* Answer 404, the same for every link that cannot be followed. */
void link_refuse(struct exchange *ex);
