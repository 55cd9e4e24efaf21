/* src/core/claims.c -- the claims of a session, from their JSON text to values. */
#include "core/claims.h"

#include <string.h>

#include "base/str.h"
#include "core/definition_impl.h"
#include "core/json_read.h"

static int refuse_claims(struct err *err)
{
    return err_set(err, -E_PARAM, "The claims of the session are not what was stored.");
}

int claims_read(const char *text, struct claims *ret, struct err *err)
{
    const char *name;
    json_t *value;
    bool starved;

    *ret = (struct claims){.count = 0};
    if (text == NULL || *text == '\0')
        return 0;
    ret->root = json_read(text, strlen(text), NULL, &starved);
    if (starved)
        return err_no_memory(err);
    json_object_foreach(ret->root, name, value)
    {
        if (!json_is_string(value) || ret->count == CLAIMS_MAX || !session_has(name, strlen(name)))
            return refuse_claims(err);
        ret->values[ret->count++] = (struct param_value){
            .name = name, .type = PARAM_STRING, .text = (char *)json_string_value(value)};
    }
    return json_is_object(ret->root) ? 0 : refuse_claims(err);
}

void claims_done(struct claims *claims)
{
    json_decref(claims->root);
    *claims = (struct claims){.count = 0};
}

static bool has_claim(const struct claims *claims, const char *name)
{
    for (size_t i = 0; i < claims->count; i++) {
        if (str_eq(claims->values[i].name, name))
            return true;
    }
    return false;
}

int claims_check(const struct claims *claims, const struct definition *def, struct err *err)
{
    for (size_t i = 0; i < def->claim_count; i++) {
        if (!has_claim(claims, def->claims[i]))
            return err_set(err, -E_FORBIDDEN,
                           "The report '%s' is for sessions with the claim '%s', and yours has "
                           "none: it takes the token of an identity provider that has it as a "
                           "text, integer or boolean, and of which the operator passes it on.",
                           def->name, def->claims[i] + strlen(DEFINITION_CLAIM_PREFIX));
    }
    return 0;
}
