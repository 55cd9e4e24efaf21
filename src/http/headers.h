/* src/http/headers.h -- what request headers say: Accept, Prefer, media types. Pure text. */
#pragma once

#include <stdbool.h>

/* How well a media type fits what Accept says (RFC 9110, 12.5.1): the most specific range that
 * names it decides. Start from zero, feed every Accept header. */
struct accept_fit {
    int specificity; /* 0: no range fits, 1: any, 2: type/any, 3: the type itself */
    int q;           /* of that range, in thousandths; 0: refused */
};
void accept_feed(struct accept_fit *fit, const char *header, const char *type);

/* N of `wait=N` in one Prefer header (RFC 7240), at most `most`; -1 if it is not there. */
int prefer_wait(const char *header, int most);

/* True if a Content-Type header names `type`, whatever its parameters. NULL names nothing. */
bool media_type_is(const char *header, const char *type);
