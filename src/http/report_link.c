/* src/http/report_link.c -- POST /Report/Link makes a link to a result, GET /Report/Link follows
 * it; and the format of its token. */
#include <endian.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/clock.h"
#include "http/form_choice.h"
#include "http/query.h"
#include "http/report.h"
#include "http/report_find.h"
#include "http/report_result.h"
#include "http/token.h"

/* ---- the token: XChaCha20-Poly1305. It contains the whole link, so that nothing is stored ---- */

enum {
    LINK_LIFE_S = 5 * 60,
    LINK_TEXT = 118, /* characters of the token */
};

struct link {
    struct guid reference, session; /* the session that made it, with which it ends */
    int64_t expires_s;              /* UTC seconds */
    struct form_choice choice;
};

/* The plaintext, the same on every machine. */
struct content {
    struct guid reference, session;
    uint64_t expires_s; /* little-endian */
    uint8_t form, labels, bom, formulas_text, delimiter, unused[3];
};

enum {
    NONCE = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
    SEALED = sizeof(struct content) + crypto_aead_xchacha20poly1305_ietf_ABYTES,
};

/* Authenticated with each token, so that a token of another format is not accepted. */
static const unsigned char format[] = "link 1";
static const char purpose[8] = "rd-links";

_Static_assert(sizeof(struct content) == 2 * GUID_BYTES + 16, "no gaps");
_Static_assert(sodium_base64_ENCODED_LEN(NONCE + SEALED,
                                         sodium_base64_VARIANT_URLSAFE_NO_PADDING) == LINK_TEXT + 1,
               "the length of a token");
_Static_assert((int)TOKEN_DERIVED_BYTES == (int)crypto_aead_xchacha20poly1305_ietf_KEYBYTES,
               "the key that is derived encrypts");

struct sealed {
    struct content content;
    unsigned char token[NONCE + SEALED];
};

static int seal(void *context, const struct token_key *key)
{
    struct sealed *sealed = context;
    unsigned char own[TOKEN_DERIVED_BYTES];

    token_key_derive(key, purpose, own);
    randombytes_buf(sealed->token, NONCE);
    crypto_aead_xchacha20poly1305_ietf_encrypt(
        sealed->token + NONCE, NULL, (const unsigned char *)&sealed->content,
        sizeof(sealed->content), format, sizeof(format), NULL, sealed->token, own);
    sodium_memzero(own, sizeof(own));
    return 1;
}

/* Append the token, in base64url, so that it can be used in a URL as it is. On failure the buffer
 * has failed. */
static void link_issue(struct token_keys *keys, const struct link *link, struct buf *out)
{
    const struct form_options *options = &link->choice.options;
    struct sealed sealed = {.content = {.reference = link->reference,
                                        .session = link->session,
                                        .expires_s = htole64((uint64_t)link->expires_s),
                                        .form = (uint8_t)link->choice.form,
                                        .labels = options->labels,
                                        .bom = options->bom,
                                        .formulas_text = options->formulas_text,
                                        .delimiter = (uint8_t)options->delimiter}};

    token_keys_sign(keys, seal, &sealed);
    base64url_add(out, sealed.token, sizeof(sealed.token));
}

static int opens(void *context, const struct token_key *key)
{
    struct sealed *sealed = context;
    unsigned char own[TOKEN_DERIVED_BYTES];
    int rc;

    token_key_derive(key, purpose, own);
    rc = crypto_aead_xchacha20poly1305_ietf_decrypt((unsigned char *)&sealed->content, NULL, NULL,
                                                    sealed->token + NONCE, SEALED, format,
                                                    sizeof(format), sealed->token, own);
    sodium_memzero(own, sizeof(own));
    return rc == 0;
}

/* Did a server with one of these keys issue it? The caller checks whether it has expired. */
static bool link_read(struct token_keys *keys, const char *text, struct link *ret)
{
    struct sealed sealed;
    const struct content *content = &sealed.content;

    if (strlen(text) != LINK_TEXT ||
        base64url_read(text, LINK_TEXT, sealed.token, sizeof(sealed.token)) != NONCE + SEALED ||
        token_keys_find(keys, opens, &sealed) != 1 || content->form >= FORM_COUNT)
        return false;
    *ret = (struct link){.reference = content->reference,
                         .session = content->session,
                         .expires_s = (int64_t)le64toh(content->expires_s),
                         .choice = {.form = (enum form)content->form,
                                    .options = {.labels = content->labels != 0,
                                                .bom = content->bom != 0,
                                                .formulas_text = content->formulas_text != 0,
                                                .delimiter = (char)content->delimiter},
                                    .download = true}};
    return true;
}

enum { ANSWER_MAX = 1024 };

/* ---- making a link ---- */

static void reply_link(struct exchange *ex, const struct link *link)
{
    char expires[CLOCK_TEXT];
    struct buf data;

    clock_format(link->expires_s * 1000, expires);
    buf_init(&data, ANSWER_MAX);
    buf_add_format(&data, "{\"url\": \"%s?token=", ex->route->path);
    link_issue(ex->services->token_keys, link, &data);
    buf_add_format(&data, "\", \"expiresAt\": \"%s\"}", expires);
    exchange_reply_built(ex, &data);
}

/* It ends with the report, at the latest with its purge, and with the token of an identity
 * provider. */
static void link_found(struct exchange *ex)
{
    const struct store_find *find = &ex->op.find;
    struct link *link = ex->state;

    if (!find->found) {
        report_reply_unknown(ex);
        return;
    }
    if (!result_has_form(ex, &find->report, link->choice.form))
        return;
    link->reference = find->id;
    link->session = ex->claims.session;
    link->expires_s = store_now_ms(ex->services->store) / 1000 + LINK_LIFE_S;
    if (link->expires_s > find->report.expires_ms / 1000)
        link->expires_s = find->report.expires_ms / 1000;
    if (ex->claims.external && link->expires_s > ex->claims.expires_s)
        link->expires_s = ex->claims.expires_s;
    reply_link(ex, link);
}

void report_link(struct exchange *ex)
{
    const char *text = json_string_value(exchange_member(ex, "reference"));
    struct link *link = exchange_new_state(ex, sizeof(*link), free);
    struct guid id;

    if (link == NULL)
        return;
    if (text == NULL)
        exchange_fail(ex, -E_INVALID,
                      "Give 'reference', the GUID that POST /Report answered, as in "
                      "{\"reference\": \"0190a5b2-7c1e-7000-8000-3f2a1b4c5d6e\", \"format\": "
                      "\"csv\"}.");
    else if (form_choose_body(ex, &link->choice, &ex->err) < 0)
        exchange_reply_error(ex, &ex->err, NULL);
    else if (!guid_parse(text, &id))
        report_reply_unknown(ex);
    else
        report_find(ex, &id, link_found);
}

/* ---- following a link ---- */

/* The store knows whether the session that made it still exists, and whose it is. */
static void maker_found(struct exchange *ex)
{
    const struct link *link = ex->state;
    struct guid reference = link->reference;
    struct form_choice choice = link->choice;

    if (ex->op.rc != 0 || !ex->op.session.found) {
        report_reply_unknown(ex);
        return;
    }
    ex->cached_token = cached_token_new(&ex->claims, &ex->op.session.user, 0);
    if (ex->cached_token == NULL) {
        exchange_fail(ex, -E_NOMEM, "No memory for the session.");
        return;
    }
    ex->user = &ex->cached_token->user;
    exchange_drop_state(ex);
    result_send(ex, &reference, &choice);
}

static const char *const query_names[] = {"token"};

void report_link_open(struct exchange *ex)
{
    const char *values[QUERY_MAX];
    const struct store *store = ex->services->store;
    struct link *link;

    ex->by_link = true;
    exchange_add_header(ex, "Referrer-Policy", "no-referrer");
    link = exchange_new_state(ex, sizeof(*link), free);
    if (link == NULL)
        return;
    if (query_read(ex, query_names, 1, values, &ex->err) < 0) {
        exchange_reply_error(ex, &ex->err, NULL);
    } else if (values[0] == NULL || !link_read(ex->services->token_keys, values[0], link) ||
               link->expires_s <= store_now_ms(store) / 1000) {
        report_reply_unknown(ex);
    } else {
        exchange_op(ex, STORE_SESSION)->session = (struct store_session){
            .session = link->session, .any_access = true, .now_ms = store_now_ms(store)};
        exchange_post(ex, maker_found);
    }
}
