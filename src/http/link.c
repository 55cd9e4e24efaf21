/* src/http/link.c -- the tokens of links: XChaCha20-Poly1305 by libsodium. */
#include "http/link.h"

#include <endian.h>
#include <sodium.h>
#include <string.h>

#include "http/base64url.h"

/* What is encrypted, the same on every machine. */
struct content {
    struct guid reference, session;
    uint64_t expires_s; /* little-endian */
    uint8_t form, labels, bom, formulas_text, delimiter, unused[3];
};

enum {
    NONCE = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
    SEALED = sizeof(struct content) + crypto_aead_xchacha20poly1305_ietf_ABYTES,
};

/* A token of another format is not one of these: it is authenticated with this. */
static const unsigned char format[] = "link 1";
static const char purpose[8] = "rd-links";

_Static_assert(sizeof(struct content) == 2 * GUID_BYTES + 16, "no gaps");
_Static_assert(sodium_base64_ENCODED_LEN(NONCE + SEALED,
                                         sodium_base64_VARIANT_URLSAFE_NO_PADDING) == LINK_TEXT + 1,
               "the length of a token");
_Static_assert((int)TOKEN_DERIVED_BYTES == (int)crypto_aead_xchacha20poly1305_ietf_KEYBYTES,
               "the key that is derived encrypts");

void link_issue(const struct token_key *key, const struct link *link, struct buf *out)
{
    const struct form_options *options = &link->choice.options;
    const struct content content = {.reference = link->reference,
                                    .session = link->session,
                                    .expires_s = htole64((uint64_t)link->expires_s),
                                    .form = (uint8_t)link->choice.form,
                                    .labels = options->labels,
                                    .bom = options->bom,
                                    .formulas_text = options->formulas_text,
                                    .delimiter = (uint8_t)options->delimiter};
    unsigned char own[TOKEN_DERIVED_BYTES], token[NONCE + SEALED];

    token_key_derive(key, purpose, own);
    randombytes_buf(token, NONCE);
    crypto_aead_xchacha20poly1305_ietf_encrypt(token + NONCE, NULL, (const unsigned char *)&content,
                                               sizeof(content), format, sizeof(format), NULL, token,
                                               own);
    sodium_memzero(own, sizeof(own));
    base64url_add(out, token, sizeof(token));
}

bool link_read(const struct token_key *key, const char *text, struct link *ret)
{
    unsigned char own[TOKEN_DERIVED_BYTES], token[NONCE + SEALED];
    struct content content;
    bool good;

    if (strlen(text) != LINK_TEXT ||
        base64url_read(text, LINK_TEXT, token, sizeof(token)) != NONCE + SEALED)
        return false;
    token_key_derive(key, purpose, own);
    good = crypto_aead_xchacha20poly1305_ietf_decrypt((unsigned char *)&content, NULL, NULL,
                                                      token + NONCE, SEALED, format, sizeof(format),
                                                      token, own) == 0;
    sodium_memzero(own, sizeof(own));
    if (!good || content.form >= FORM_COUNT)
        return false;
    *ret = (struct link){.reference = content.reference,
                         .session = content.session,
                         .expires_s = (int64_t)le64toh(content.expires_s),
                         .choice = {.form = (enum form)content.form,
                                    .options = {.labels = content.labels != 0,
                                                .bom = content.bom != 0,
                                                .formulas_text = content.formulas_text != 0,
                                                .delimiter = (char)content.delimiter},
                                    .download = true}};
    return true;
}

void link_refuse(struct exchange *ex)
{
    exchange_fail(ex, -E_UNKNOWN_LINK,
                  "There is no such link: it has expired, its report is gone, or its session has "
                  "ended. POST /Report/Link makes a new one.");
}
