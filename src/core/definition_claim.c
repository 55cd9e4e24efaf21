/* src/core/definition_claim.c -- names that the session has values for: :session_user,
 * :session_claim_NAME. */
#include <string.h>

#include "base/str.h"
#include "core/definition_impl.h"

static const char user[] = "session_user", prefix[] = DEFINITION_CLAIM_PREFIX;

/* Whether it is the name of a claim; not `session_claim_` alone. */
static bool is_claim(const char *name, size_t len)
{
    size_t skip = strlen(prefix);

    return len > skip && memcmp(name, prefix, skip) == 0 && claim_is_name(name + skip, len - skip);
}

bool session_has(const char *name, size_t len)
{
    return (len == strlen(user) && memcmp(name, user, len) == 0) || is_claim(name, len);
}

int session_use(struct parser *p, const char *name, size_t len, int line)
{
    struct definition *def = p->def;

    if (!is_claim(name, len))
        return 0;
    for (size_t i = 0; i < def->claim_count; i++) {
        if (strlen(def->claims[i]) == len && memcmp(def->claims[i], name, len) == 0)
            return 0;
    }
    if (def->claim_count == DEFINITION_CLAIMS_MAX)
        return parser_fail(p, line, "more than %d claims are used; use fewer",
                           DEFINITION_CLAIMS_MAX);
    memcpy(def->claims[def->claim_count++], name, len); /* it was zeroed */
    return 0;
}

int session_reserves(struct parser *p, const char *name)
{
    char begin[sizeof(prefix)];

    str_copy(begin, sizeof(begin), name);
    if (str_eq_nocase(name, user))
        return parser_fail(p, p->line,
                           "session_user is reserved for the name of the calling user; give this "
                           "parameter another name");
    if (str_eq_nocase(begin, prefix))
        return parser_fail(p, p->line,
                           "session_claim_… is reserved for claims of the calling session; give "
                           "this parameter another name");
    return 0;
}
