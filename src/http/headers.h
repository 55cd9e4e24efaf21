/* src/http/headers.h -- what request headers say: Accept, Accept-Encoding, Prefer, media types,
 * conditions and ranges (RFC 9110, 13 and 14). Pure text. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "render/coding.h"

/* How well a media type matches Accept (RFC 9110, 12.5.1): the most specific range that
 * names it decides. Start from zero, feed every Accept header. */
struct accept_fit {
    int specificity; /* 0: no range fits, 1: any, 2: type/any, 3: the type, or coding, itself */
    int q;           /* of that range, in thousandths; 0: refused */
};
void accept_feed(struct accept_fit *fit, const char *header, const char *type);
/* Is it better than `best`: of greater quality, or, of the same, named more precisely? */
bool accept_is_better(const struct accept_fit *fit, const struct accept_fit *best);

/* The preferences of Accept-Encoding for each coding (RFC 9110, 12.5.3). Start from zero, feed
 * every header; without one, or with an empty one, only identity is acceptable. */
struct codings {
    struct accept_fit of[CODING_COUNT];
};
void codings_feed(struct codings *codings, const char *header);
/* Identity is, unless it is refused; the others only if they are listed. */
bool codings_accept(const struct codings *codings, enum coding coding);
/* The best by accept_is_better(), of these the last of CODINGS; an identity that is not listed
 * comes last. CODING_COUNT: none is acceptable. */
enum coding codings_best(const struct codings *codings);

/* N of `wait=N` in one Prefer header (RFC 7240), at most `most`; -1 if it is not there. */
int prefer_wait(const char *header, int most);

/* True if a Content-Type header names `type`, whatever its parameters. NULL names nothing. */
bool media_type_is(const char *header, const char *type);

/* True if the list of an If-None-Match header has `etag` (quoted, maybe W/) or is "*", by weak
 * comparison; of an If-Match header: by strong comparison. NULL (no header) has nothing. */
bool etag_listed(const char *list, const char *etag);
bool etag_listed_strongly(const char *list, const char *etag);

/* What a request depends on; NULL: there is no such header. */
struct conditions {
    const char *match, *unmodified_since, *none_match, *modified_since;
};
/* What there is to compare with. */
struct validators {
    const char *etag;      /* of what would be sent; NULL: there is nothing */
    const char *stored[2]; /* strong ones, for If-Match; NULL if there is none */
    int64_t modified_ms;
    int64_t now_ms; /* for years of two digits */
};
/* In the order of RFC 9110, 13.2.2; `reads`: by GET or HEAD. */
enum conditions_outcome {
    CONDITIONS_HOLD,
    CONDITIONS_CACHED, /* 304 */
    CONDITIONS_FAIL    /* 412 */
};
enum conditions_outcome conditions_check(const struct conditions *conditions,
                                         const struct validators *validators, bool reads);

/* True if a Range may be honoured: there is no If-Range, or it is the strong tag or exactly the
 * date. */
bool if_range_holds(const char *header, const struct validators *validators);

/* The bytes that a Range header asks for, of `size`. RANGE_WHOLE: there is no header, or one to be
 * ignored (several ranges, another unit, malformed); RANGE_NONE: unsatisfiable. */
enum range_kind { RANGE_WHOLE, RANGE_PART, RANGE_NONE };
enum range_kind range_read(const char *header, int64_t size, int64_t *ret_first,
                           int64_t *ret_length);
