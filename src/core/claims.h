/* src/core/claims.h -- what a token of an identity provider says of its user, for definitions:
 * :session_claim_NAME. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "core/definition.h"
#include "core/param_check.h"

enum {
    CLAIMS_MAX = DEFINITION_CLAIMS_MAX, /* of one session */
    CLAIMS_TEXT_MAX = 32 * 1024,        /* bytes of all, as JSON: more than a token can have */
};

/* The claims of a session travel as a JSON object of strings, whose keys are the names in SQL;
 * NULL and "" are none. As values to bind they live until claims_done(). */
struct claims {
    struct param_value values[CLAIMS_MAX];
    size_t count;
    json_t *root;
};

/* -E_PARAM: it is no such text; -E_NOMEM. Zeroed is fine for claims_done(). */
int claims_read(const char *text, struct claims *ret, struct err *err);
void claims_done(struct claims *claims);

/* -E_FORBIDDEN, with a message for the user, if the definition uses a claim that is not among them.
 */
int claims_check(const struct claims *claims, const struct definition *def, struct err *err);
