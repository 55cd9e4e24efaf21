/* src/http/external.c -- the user that a token of an identity provider stands for. */
#include "http/external.h"

#include <limits.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "core/claims.h"
#include "http/exchange_impl.h"
#include "http/issuers.h"

enum {
    ROW_LIFE_MS = 24 * 3600 * 1000, /* of a session: nobody can fill the store with tokens */
    SUBJECT_MAX = 255,
    GROUP_MAX = USER_NAME_MAX - CONFIG_ISSUER_NAME_MAX - 1,
    GROUPS_BYTES_MAX = 2 * JWT_TEXT_MAX, /* of one token; each has its issuer's name before it */
    SUFFIX_BYTES = 8,                    /* of a name that was taken */
};

/* What must outlive the steps of the first request. */
struct enrolment {
    char issuer_name[CONFIG_ISSUER_NAME_MAX + 1];
    char subject[SUBJECT_MAX + 1];
    char name[USER_NAME_MAX + 1], other_name[USER_NAME_MAX + 1];
    char address[ADDRESS_TEXT];
    struct buf groups;
    struct buf retentions; /* of the reports that lose a group */
    exchange_step *next;
};

bool external_is(const struct exchange *ex, const char *text)
{
    return ex->services->issuers != NULL && strchr(text, '.') != NULL;
}

static void refuse_external(struct exchange *ex, const char *why)
{
    exchange_add_text(ex, MHD_HTTP_HEADER_WWW_AUTHENTICATE,
                      "Bearer realm=\"reportd\", error=\"invalid_token\"");
    exchange_fail(ex, -E_AUTH,
                  "The token is neither this server's nor one of an identity provider that holds "
                  "here: %s.",
                  why);
}

/* A session of 128 bits, which nobody can choose to be another one's. */
static struct guid session_of(const char *text)
{
    unsigned char hash[SHA256_DIGEST_LENGTH];
    struct guid id;

    SHA256((const unsigned char *)text, strlen(text), hash);
    memcpy(&id, hash, sizeof(id));
    return id;
}

static void refuse_unknown_key(struct exchange *ex)
{
    exchange_add_header(ex, MHD_HTTP_HEADER_RETRY_AFTER, "%d", ISSUER_KEYS_AGAIN_MS / 1000);
    exchange_fail(ex, -E_BUSY,
                  "The key of the token is not known here, and the keys of its identity provider "
                  "cannot be fetched: try again later, with the same token.");
}

/* As issuers_verify(); replied unless it is GOOD, or LATER and the exchange may wait for that. */
static int verify_or_refuse(struct exchange *ex, const char *text, bool may_wait,
                            struct issuers_token *ret)
{
    jwt_why why = "";
    int64_t now_s = store_now_ms(ex->services->store) / 1000;
    int rc = issuers_verify(ex->services->issuers, text, now_s, ret, &why);

    if (rc == -E_BUSY || (rc == ISSUERS_LATER && !may_wait))
        refuse_unknown_key(ex);
    else if (rc < 0)
        exchange_fail(ex, rc, "no memory to verify a token");
    else if (rc == ISSUERS_WRONG)
        refuse_external(ex, why);
    return rc;
}

/* ---- claims for definitions ---- */

/* A list, an object, null and the empty text are no value that SQL could compare. */
static void add_session_claim(struct buf *json, const struct jwt *jwt, const char *name, size_t len)
{
    char key[DEFINITION_CLAIM_TEXT], number[24];
    const json_t *value;
    const char *text;

    snprintf(key, sizeof(key), DEFINITION_CLAIM_PREFIX "%.*s", (int)len, name);
    value = json_object_get(jwt->payload, key + strlen(DEFINITION_CLAIM_PREFIX));
    text = json_string_value(value);
    if (json_is_integer(value)) {
        snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        text = number;
    } else if (json_is_boolean(value)) {
        text = json_is_true(value) ? "true" : "false";
    }
    if (text != NULL && *text != '\0')
        json_add_member(json, key, text);
}

/* False: no memory. */
static bool take_session_claims(struct exchange *ex, const struct issuers_token *token)
{
    const char *list = token->issuer->session_claims, *name;
    struct buf json;
    size_t len;

    free(ex->session_claims);
    ex->session_claims = NULL;
    buf_init(&json, CLAIMS_TEXT_MAX);
    while ((name = config_next_claim(&list, &len)) != NULL) {
        buf_add_str(&json, json.len == 0 ? "{" : "");
        add_session_claim(&json, &token->jwt, name, len);
    }
    if (json.len > 1 || buf_failed(&json)) {
        buf_add_char(&json, '}');
        ex->session_claims = buf_take(&json);
        return ex->session_claims != NULL;
    }
    buf_done(&json);
    return true;
}

/* ---- waiting for a key ---- */

struct key_wait {
    struct issuer_keys_wait wait;
    struct exchange *ex;
    exchange_step *again;
};

static void on_keys(struct issuer_keys_wait *wait)
{
    exchange_wake(container_of(wait, struct key_wait, wait)->ex);
}

static void keys_came(struct exchange *ex)
{
    struct key_wait *wait = ex->state;
    exchange_step *again = wait->again;

    exchange_drop_state(ex);
    ex->awaited_keys = true;
    again(ex);
}

static void await_keys(struct exchange *ex, struct issuer_keys *keys, exchange_step *again)
{
    struct key_wait *wait = exchange_new_state(ex, sizeof(*wait), free);

    if (wait == NULL)
        return;
    *wait = (struct key_wait){.wait.done = on_keys, .ex = ex, .again = again};
    exchange_await(ex, keys_came);
    issuer_keys_await(keys, &wait->wait);
}

bool external_read(struct exchange *ex, const char *text, exchange_step *again)
{
    bool may_wait = again != NULL && !ex->awaited_keys, taken;
    struct issuers_token token;
    int answer = verify_or_refuse(ex, text, may_wait, &token);

    if (answer == ISSUERS_LATER && may_wait)
        await_keys(ex, token.keys, again);
    if (answer != ISSUERS_GOOD)
        return false;
    ex->claims = (struct token_claims){.session = session_of(text),
                                       .access = session_of(text),
                                       .issued_s = token.times.issued_s,
                                       .expires_s = token.times.expires_s,
                                       .external = true};
    taken = take_session_claims(ex, &token);
    jwt_done(&token.jwt);
    if (!taken)
        exchange_fail(ex, -E_NOMEM, "no memory for the claims of a token");
    return taken;
}

/* ---- the first request ---- */

static void enrolment_free(void *state)
{
    struct enrolment *enrolment = state;

    buf_done(&enrolment->groups);
    buf_done(&enrolment->retentions);
    free(enrolment);
}

/* A newline would make two groups of one; a name that is too long is none that an operator has
 * made. */
static void add_token_group(struct enrolment *enrolment, const char *group)
{
    struct buf *groups = &enrolment->groups;

    if (group == NULL || *group == '\0' || strlen(group) > GROUP_MAX || str_has_control(group))
        return;
    buf_add_format(groups, "%s%s:%s", groups->len > 0 ? "\n" : "", enrolment->issuer_name, group);
}

/* One text, or several. */
static void take_groups(struct enrolment *enrolment, const struct issuers_token *token)
{
    const char *claim = token->issuer->groups_claim;
    const json_t *groups = claim != NULL ? json_object_get(token->jwt.payload, claim) : NULL, *one;
    size_t i;

    add_token_group(enrolment, json_string_value(groups));
    json_array_foreach(groups, i, one)
    {
        add_token_group(enrolment, json_string_value(one));
    }
}

/* Does the name end as one with a hash does? */
static bool has_suffix(const char *name)
{
    size_t len = strlen(name), digits = (size_t)2 * SUFFIX_BYTES;

    return len > digits && name[len - digits - 1] == '#' &&
           strspn(name + len - digits, "0123456789abcdefABCDEF") == digits;
}

/* ISSUER:SUBJECT; and, if a local user is called so, or another one of the provider's whose subject
 * differs only in case or in its end, one that has a hash of all of it. A subject that looks like
 * that gets its own hash at once, so that nobody takes the name that another one will need. */
static void take_names(struct enrolment *enrolment, const struct issuers_token *token)
{
    char whole[CONFIG_ISSUER_NAME_MAX + SUBJECT_MAX + 2], suffix[2 * SUFFIX_BYTES + 2] = "#";
    unsigned char hash[SHA256_DIGEST_LENGTH];
    struct buf identity;
    bool fits;
    size_t len;

    buf_init(&identity, SUBJECT_MAX + JWT_TEXT_MAX);
    buf_add_format(&identity, "%s\n%s", token->issuer->url, enrolment->subject);
    SHA256((const unsigned char *)buf_str(&identity), identity.len, hash);
    buf_done(&identity);
    for (size_t i = 0; i < SUFFIX_BYTES; i++)
        snprintf(suffix + 1 + 2 * i, 3, "%02x", hash[i]);
    snprintf(whole, sizeof(whole), "%s:%s", enrolment->issuer_name, enrolment->subject);
    fits = str_copy(enrolment->name, sizeof(enrolment->name) - sizeof(suffix) + 1, whole);
    len = strlen(enrolment->name);
    memcpy(enrolment->other_name, enrolment->name, len);
    memcpy(enrolment->other_name + len, suffix, sizeof(suffix));
    if (!fits || has_suffix(whole))
        memcpy(enrolment->name, enrolment->other_name, sizeof(enrolment->name));
}

/* NULL: replied. */
static struct enrolment *new_enrolment(struct exchange *ex, const struct issuers_token *token)
{
    const char *subject = jwt_text(&token->jwt, token->issuer->user_claim);
    struct enrolment *enrolment;
    struct address site;

    if (subject == NULL || *subject == '\0' || strlen(subject) > SUBJECT_MAX ||
        str_has_control(subject)) {
        refuse_external(
            ex, "the claim that names its user is missing, or is no text of 1 to 255 bytes");
        return NULL;
    }
    enrolment = exchange_new_state(ex, sizeof(*enrolment), enrolment_free);
    if (enrolment == NULL)
        return NULL;
    buf_init(&enrolment->groups, GROUPS_BYTES_MAX);
    buf_init(&enrolment->retentions, INT_MAX);
    catalog_add_retentions(ex->services->catalog, ex->services->config->retention.number,
                           &enrolment->retentions);
    str_copy(enrolment->issuer_name, sizeof(enrolment->issuer_name), token->issuer->name);
    str_copy(enrolment->subject, sizeof(enrolment->subject), subject);
    site = address_site(&ex->client.address);
    address_format(&site, enrolment->address);
    take_names(enrolment, token);
    take_groups(enrolment, token);
    if (buf_failed(&enrolment->groups)) {
        refuse_external(ex, "it has too many groups");
        return NULL;
    }
    return enrolment;
}

static void enrolled(struct exchange *ex)
{
    const struct store_enrol *op = &ex->op.enrol;
    struct enrolment *enrolment = ex->state;
    exchange_step *next = enrolment->next;

    if (ex->op.rc == 0 && op->created != NULL) {
        log_info("user.enrolled", "request=%s user=%s issuer=%s address=%s", ex->request_id,
                 op->created, enrolment->issuer_name, enrolment->address);
        exchange_record(ex, &(struct trail_act){
                                .event = TRAIL_USER, .change = "enrol", .subject = op->created});
    }
    if (ex->op.rc != 0 || !op->opened) {
        refuse_external(ex, "its user is disabled");
        return;
    }
    exchange_op(ex, STORE_VERB_COUNT); /* what it has borrowed goes */
    exchange_drop_state(ex);
    next(ex);
}

/* However long the token is valid: its row is made anew if it is used after that. */
static int64_t row_expires_ms(int64_t now_ms, int64_t expires_s)
{
    int64_t until_ms = (expires_s + JWT_LEEWAY_S) * 1000;

    return until_ms < now_ms + ROW_LIFE_MS ? until_ms : now_ms + ROW_LIFE_MS;
}

void external_enrol(struct exchange *ex, const char *text, exchange_step *next)
{
    struct issuers_token token;
    struct enrolment *enrolment;
    int64_t now_ms = store_now_ms(ex->services->store);

    if (verify_or_refuse(ex, text, false, &token) != ISSUERS_GOOD)
        return; /* its key has gone just now, say */
    enrolment = new_enrolment(ex, &token);
    if (enrolment != NULL) {
        ex->enrolled = true;
        enrolment->next = next;
        exchange_op(ex, STORE_ENROL)->enrol = (struct store_enrol){
            .issuer = token.issuer->url,
            .subject = enrolment->subject,
            .name = enrolment->name,
            .other_name = enrolment->other_name,
            .groups = buf_str(&enrolment->groups),
            .issued_s = token.times.issued_s,
            .session = ex->claims.session,
            .now_ms = now_ms,
            .expires_ms = row_expires_ms(now_ms, token.times.expires_s),
            .retention_ms = ex->services->config->retention.number,
            .retentions =
                buf_failed(&enrolment->retentions) ? NULL : buf_str(&enrolment->retentions),
            .address = enrolment->address};
        exchange_post(ex, enrolled);
    }
    jwt_done(&token.jwt);
}

bool external_refuse(struct exchange *ex, const char *what)
{
    if (!ex->claims.external)
        return false;
    exchange_fail(ex, -E_FORBIDDEN,
                  "You are signed in by an identity provider, and only that can %s.", what);
    return true;
}
