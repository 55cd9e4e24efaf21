/* tests/fuzz/headers.c -- whatever a header says, what is made of it stays within its bounds. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "http/headers.h"

static void check_conditions(const char *text)
{
    const struct validators here = {
        .etag = "\"abc\"", .stored = {"\"abc\""}, .modified_ms = 1000000, .now_ms = 2000000};
    const struct conditions all = {text, text, text, text};
    int64_t ms;

    if (clock_parse_http(text, here.now_ms, &ms))
        CHECK(ms % 1000 == 0);
    if (if_range_holds(text, &here))
        CHECK(strcmp(text, here.etag) == 0 ||
              (clock_parse_http(text, 2000000, &ms) && ms == 1000000));
    conditions_check(&all, &here, true);
    CHECK(conditions_check(&all, &here, false) != CONDITIONS_CACHED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = strndup((const char *)data, size);
    struct accept_fit fit = {0};
    struct codings codings = {0};
    enum coding best;
    int64_t first = 0, length = 0;
    int wait;

    if (text == NULL)
        return 0;
    accept_feed(&fit, text, "application/json");
    CHECK(fit.specificity >= 0 && fit.specificity <= 3 && fit.q >= 0 && fit.q <= 1000);
    accept_feed(&fit, text, "text/csv");
    codings_feed(&codings, text);
    best = codings_best(&codings);
    if (best == CODING_COUNT)
        CHECK(!codings_accept(&codings, CODING_IDENTITY));
    else
        CHECK(codings_accept(&codings, best));
    wait = prefer_wait(text, 60);
    CHECK(wait >= -1 && wait <= 60);
    media_type_is(text, "application/json");
    etag_listed(text, "\"abc\"");
    if (etag_listed_strongly(text, "\"abc\""))
        CHECK(etag_listed(text, "\"abc\""));
    check_conditions(text);
    if (range_read(text, 1000, &first, &length) == RANGE_PART)
        CHECK(first >= 0 && length > 0 && first < 1000 && length <= 1000 - first);
    if (range_read(text, 0, &first, &length) == RANGE_PART)
        abort();
    free(text);
    return 0;
}
