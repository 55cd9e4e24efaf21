/* src/core/config_section.c -- identity providers, read and checked; sections found by name. */
#include "core/config_impl.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/address.h"
#include "base/str.h"
#include "core/definition.h"

enum { KEYS_URL_MAX = 2048 };

cfg_opt_t config_issuer_section(void)
{
    static cfg_opt_t options[] = {CFG_STR("url", NULL, CFGF_NODEFAULT),
                                  CFG_STR("audience", NULL, CFGF_NODEFAULT),
                                  CFG_STR("keys", NULL, CFGF_NODEFAULT),
                                  CFG_STR("keys_ca", NULL, CFGF_NODEFAULT),
                                  CFG_STR("user_claim", "sub", CFGF_NONE),
                                  CFG_STR("groups_claim", NULL, CFGF_NODEFAULT),
                                  CFG_STR("session_claims", NULL, CFGF_NODEFAULT),
                                  CFG_END()};

    return (cfg_opt_t)CFG_SEC("issuer", options, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES);
}

/* It is followed by a colon in the names of users and groups. */
static bool is_issuer_name(const char *name)
{
    size_t len = strlen(name);

    return len > 0 && len <= CONFIG_ISSUER_NAME_MAX &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") == len;
}

/* NULL: out of memory, or there is no such value. */
static char *copy_value(cfg_t *section, const char *key)
{
    const char *text = cfg_getstr(section, key);

    return text != NULL && *text != '\0' ? strdup(text) : NULL;
}

const char *config_next_claim(const char **list, size_t *ret_len)
{
    const char *name = *list != NULL ? *list + strspn(*list, " \t\n") : "";

    *ret_len = strcspn(name, " \t\n");
    *list = name + *ret_len;
    return *ret_len > 0 ? name : NULL;
}

const char *config_find_claim(const char *list, const char *name, size_t len)
{
    const char *other;
    size_t other_len;

    while ((other = config_next_claim(&list, &other_len)) != NULL) {
        if (other_len == len && strncasecmp(other, name, len) == 0)
            return other;
    }
    return NULL;
}

static int check_session_claims(const struct config *config, const struct config_issuer *issuer,
                                struct err *err)
{
    const char *list = issuer->session_claims, *name;
    size_t len, count = 0;

    while ((name = config_next_claim(&list, &len)) != NULL) {
        if (!claim_is_name(name, len) ||
            config_find_claim(issuer->session_claims, name, len) != name)
            return err_set(
                err, -E_CONFIG,
                "%s: issuer %s: session_claims: '%.*s' is no name, or there twice, be it "
                "in another case; a claim for definitions is called by at most %d "
                "letters, digits and _",
                config->file, issuer->name, (int)(len < 80 ? len : 80), name, DEFINITION_CLAIM_MAX);
        if (++count > DEFINITION_CLAIMS_MAX)
            return err_set(err, -E_CONFIG, "%s: issuer %s: session_claims are at most %d",
                           config->file, issuer->name, DEFINITION_CLAIMS_MAX);
    }
    return 0;
}

/* NULL: as copy_value(). */
static char *copy_path(const struct config *config, cfg_t *section, const char *key)
{
    char *value = copy_value(section, key), *path;

    if (value == NULL || config_is_url(value))
        return value;
    path = config_join_path(config->folder, value);
    free(value);
    return path;
}

bool config_is_url(const char *keys)
{
    return str_starts(keys, "https://") || str_starts(keys, "http://");
}

/* Whoever can change what comes over the network makes the keys: only on this machine nobody can
 * without TLS. */
static bool is_safe_url(const char *url)
{
    const char *host = strchr(url, '/') + 2;
    size_t len = strcspn(host, "/?"), name_len = strcspn(host, ":/?");
    char text[ADDRESS_TEXT] = "";
    struct address address;

    if (strlen(url) > KEYS_URL_MAX || len == 0 || strpbrk(url, " #\\") != NULL ||
        memchr(host, '@', len) != NULL)
        return false;
    if (str_starts(url, "https:"))
        return true;
    if (host[0] == '[')
        name_len = strcspn(++host, "]");
    if (name_len >= sizeof(text))
        return false;
    memcpy(text, host, name_len);
    return str_eq(text, "localhost") ||
           (address_read(text, &address) && address_is_loopback(&address));
}

static int check_keys_place(const struct config *config, const struct config_issuer *issuer,
                            struct err *err)
{
    if (config_is_url(issuer->keys) && !is_safe_url(issuer->keys))
        return err_set(err, -E_CONFIG,
                       "%s: issuer %s: keys is a file or an https URL without a user and a #; http "
                       "only on this machine (http://127.0.0.1:8000/jwks)",
                       config->file, issuer->name);
    if (issuer->keys_ca != NULL && !str_starts(issuer->keys, "https://"))
        return err_set(err, -E_CONFIG, "%s: issuer %s: keys_ca is for an https URL in keys",
                       config->file, issuer->name);
    return 0;
}

static int take_issuer(struct config *config, cfg_t *section, struct config_issuer *ret,
                       struct err *err)
{
    const char *name = cfg_title(section);

    ret->name = strdup(name);
    ret->url = copy_value(section, "url");
    ret->audience = copy_value(section, "audience");
    ret->keys = copy_path(config, section, "keys");
    ret->keys_ca = copy_path(config, section, "keys_ca");
    ret->user_claim = copy_value(section, "user_claim");
    ret->groups_claim = copy_value(section, "groups_claim");
    ret->session_claims = copy_value(section, "session_claims");
    if (!is_issuer_name(name))
        return err_set(err, -E_CONFIG,
                       "%s: issuer '%s': a name has 1 to %d letters, digits and _ - .",
                       config->file, name, CONFIG_ISSUER_NAME_MAX);
    if (ret->url == NULL || ret->audience == NULL || ret->keys == NULL || ret->user_claim == NULL)
        return err_set(err, -E_CONFIG,
                       "%s: issuer %s takes url, the iss of its tokens; audience, which their aud "
                       "has for this server; and keys, a file or https URL with its public keys "
                       "(a JWK Set)",
                       config->file, name);
    return check_keys_place(config, ret, err) ?: check_session_claims(config, ret, err);
}

/* A token names its issuer by the url. */
static int check_twins(const struct config *config, struct err *err)
{
    const struct config_issuer *issuers = config->issuers;

    for (size_t i = 0; i < config->issuer_count; i++) {
        for (size_t j = 0; j < i; j++) {
            if (str_eq(issuers[i].url, issuers[j].url) ||
                str_eq_nocase(issuers[i].name, issuers[j].name))
                return err_set(err, -E_CONFIG,
                               "%s: the issuers %s and %s have the same name or url: tokens of one "
                               "provider are of one section",
                               config->file, issuers[j].name, issuers[i].name);
        }
    }
    return 0;
}

int config_issuers_take(struct config *config, cfg_t *cfg, struct err *err)
{
    unsigned count = cfg_size(cfg, "issuer");
    int rc = 0;

    config->issuers = calloc(count + 1, sizeof(*config->issuers));
    if (config->issuers == NULL)
        return err_no_memory(err);
    while (rc == 0 && config->issuer_count < count) {
        cfg_t *section = cfg_getnsec(cfg, "issuer", (unsigned)config->issuer_count);

        rc = take_issuer(config, section, &config->issuers[config->issuer_count++], err);
    }
    return rc ?: check_twins(config, err);
}

void config_issuers_free(struct config *config)
{
    for (size_t i = 0; i < config->issuer_count; i++) {
        struct config_issuer *issuer = &config->issuers[i];

        free(issuer->name);
        free(issuer->url);
        free(issuer->audience);
        free(issuer->keys);
        free(issuer->keys_ca);
        free(issuer->user_claim);
        free(issuer->groups_claim);
        free(issuer->session_claims);
    }
    free(config->issuers);
}

const char *config_source_url(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->source_count; i++) {
        if (strcmp(config->sources[i].name, name) == 0)
            return config->sources[i].url;
    }
    return NULL;
}

const struct config_issuer *config_find_issuer(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->issuer_count; i++) {
        if (str_eq_nocase(config->issuers[i].name, name))
            return &config->issuers[i];
    }
    return NULL;
}
