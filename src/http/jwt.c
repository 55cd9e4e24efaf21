/* src/http/jwt.c -- three parts, header, claims, signature: each is checked, in that order. */
#include "http/jwt.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/base64.h"
#include "base/str.h"
#include "core/json_read.h"

static const char byte_order_mark = '\xef'; /* its first byte, with which no JSON begins */
static const double time_max = 9e15;        /* a double has all integers up to it */

/* ---- parts ---- */

/* A part that is a JSON object. */
static int read_json_part(const char *text, size_t len, json_t **ret, jwt_why *ret_why)
{
    char json[JWT_TEXT_MAX];
    int got = base64url_read(text, len, json, sizeof(json));
    bool starved;
    json_t *root;

    if (got < 0) {
        *ret_why = "a part is not base64url";
        return 0;
    }
    if (got > 0 && json[0] == byte_order_mark) { /* json_read() would skip it */
        *ret_why = "a part begins with a byte order mark";
        return 0;
    }
    root = json_read(json, (size_t)got, NULL, &starved);
    if (starved)
        return -E_NOMEM;
    if (!json_is_object(root)) {
        *ret_why = "a part is not a JSON object, or has a member twice";
        json_decref(root);
        return 0;
    }
    *ret = root;
    return 1;
}

/* RFC 8725, 3.11: what is signed for another purpose is no access token. */
static bool is_known_type(const json_t *typ)
{
    const char *text = json_string_value(typ);

    if (typ == NULL)
        return true;
    if (text != NULL && strncasecmp(text, "application/", strlen("application/")) == 0)
        text += strlen("application/");
    return text != NULL && (str_eq_nocase(text, "JWT") || str_eq_nocase(text, "at+jwt"));
}

static int check_header(struct jwt *jwt, jwt_why *ret_why)
{
    const json_t *header = jwt->header;
    const char *kid = jwt_kid(jwt);

    jwt->algorithm = jwks_algorithm_find(json_string_value(json_object_get(header, "alg")));
    if (jwt->algorithm == JWKS_ALGORITHM_COUNT)
        *ret_why = "its alg is none of RS256, PS256, ES256 and EdDSA";
    else if (json_object_get(header, "crit") != NULL || json_object_get(header, "b64") != NULL)
        *ret_why = "its header has crit or b64, which are not supported";
    else if (kid == NULL || *kid == '\0' || strlen(kid) > JWKS_KID_MAX)
        *ret_why = "its header has no kid";
    else if (!is_known_type(json_object_get(header, "typ")))
        *ret_why = "its typ is neither JWT nor at+jwt";
    else
        return 1;
    return 0;
}

static int read_signature(struct jwt *jwt, const char *text, size_t len, jwt_why *ret_why)
{
    int got = base64url_read(text, len, jwt->signature, sizeof(jwt->signature));

    if (got <= 0) {
        *ret_why = "its signature is not base64url, or missing";
        return 0;
    }
    jwt->signature_len = (size_t)got;
    return 1;
}

static int read_parts(struct jwt *jwt, const char *first_dot, const char *last_dot, size_t len,
                      jwt_why *ret_why)
{
    const char *payload = first_dot + 1, *signature = last_dot + 1;
    int rc = read_json_part(jwt->text, (size_t)(first_dot - jwt->text), &jwt->header, ret_why);

    if (rc == 1)
        rc = check_header(jwt, ret_why);
    if (rc == 1)
        rc = read_json_part(payload, (size_t)(last_dot - payload), &jwt->payload, ret_why);
    if (rc == 1)
        rc = read_signature(jwt, signature, len - (size_t)(signature - jwt->text), ret_why);
    return rc;
}

int jwt_read(const char *text, struct jwt *ret, jwt_why *ret_why)
{
    size_t len = strnlen(text, JWT_TEXT_MAX + 1);
    const char *first = strchr(text, '.'), *last = strrchr(text, '.');
    struct jwt jwt = {.text = text};
    int rc;

    if (len > JWT_TEXT_MAX) {
        *ret_why = "it has more than 8 KiB";
        return 0;
    }
    if (first == NULL || first == last || memchr(first + 1, '.', (size_t)(last - first - 1))) {
        *ret_why = "it does not have three parts";
        return 0;
    }
    jwt.signed_len = (size_t)(last - text);
    rc = read_parts(&jwt, first, last, len, ret_why);
    if (rc == 1)
        *ret = jwt;
    else
        jwt_done(&jwt);
    return rc;
}

void jwt_done(struct jwt *jwt)
{
    json_decref(jwt->header);
    json_decref(jwt->payload);
    *jwt = (struct jwt){0};
}

const char *jwt_text(const struct jwt *jwt, const char *claim)
{
    return json_string_value(json_object_get(jwt->payload, claim));
}

const char *jwt_kid(const struct jwt *jwt)
{
    return json_string_value(json_object_get(jwt->header, "kid"));
}

/* ---- claims ---- */

/* RFC 7519, 4.1.3: one text, or several. */
static bool is_for(const json_t *aud, const char *audience)
{
    bool found = str_eq(json_string_value(aud), audience);
    const json_t *one;
    size_t i;

    json_array_foreach(aud, i, one)
    {
        if (!json_is_string(one))
            return false;
        found = found || str_eq(json_string_value(one), audience);
    }
    return found;
}

/* A NumericDate, in whole seconds; false: it is something else. Without one *ret stays. */
static bool read_time(const json_t *payload, const char *name, int64_t *ret)
{
    const json_t *value = json_object_get(payload, name);
    double seconds = json_number_value(value);

    if (value == NULL)
        return true;
    if (!json_is_number(value) || !(seconds >= 0 && seconds <= time_max))
        return false;
    *ret = (int64_t)floor(seconds);
    return true;
}

int jwt_check(const struct jwt *jwt, const struct jwt_terms *terms, struct jwt_times *ret,
              jwt_why *ret_why)
{
    int64_t now_s = terms->now_s, not_before_s = 0;
    struct jwt_times times = {.expires_s = -1};

    if (!str_eq(jwt_text(jwt, "iss"), terms->issuer))
        *ret_why = "its iss is not the issuer's url";
    else if (!is_for(json_object_get(jwt->payload, "aud"), terms->audience))
        *ret_why = "its aud does not have the audience of this server";
    else if (!read_time(jwt->payload, "exp", &times.expires_s) ||
             !read_time(jwt->payload, "nbf", &not_before_s) ||
             !read_time(jwt->payload, "iat", &times.issued_s) || times.expires_s < 0)
        *ret_why = "it has no exp, or one of exp, nbf and iat is not a time";
    else if (times.expires_s + JWT_LEEWAY_S <= now_s)
        *ret_why = "it has expired";
    else if (not_before_s > now_s + JWT_LEEWAY_S || times.issued_s > now_s + JWT_LEEWAY_S)
        *ret_why = "it is not valid yet";
    else {
        *ret = times;
        return 1;
    }
    return 0;
}

int jwt_verify(const struct jwt *jwt, const struct jwks *keys)
{
    return jwks_verify(keys, &(struct jwks_signed){.algorithm = jwt->algorithm,
                                                   .kid = jwt_kid(jwt),
                                                   .text = jwt->text,
                                                   .len = jwt->signed_len,
                                                   .signature = jwt->signature,
                                                   .signature_len = jwt->signature_len});
}
