/* src/http/form_choice.h -- which form of a result a request asks for, with which options, and in
 * which coding. */
#pragma once

#include "http/exchange.h"
#include "http/headers.h"
#include "render/coding.h"
#include "render/form.h"

struct form_choice {
    enum form form;
    struct form_options options;
    bool download;          /* Content-Disposition for JSON too */
    struct codings codings; /* from Accept-Encoding */
    enum coding coding;     /* form_choose_coding() */
    bool packed;            /* with that the result is stored in its coding, too */
};

/* Read from `format=`, or without it from Accept: the type with the greatest quality, of these the
 * one that is named most precisely, of these the first of FORMS. -E_NOT_ACCEPTABLE: there is no
 * such form; -E_INVALID: an option has a bad value, or is not for this form. */
int form_choose(struct exchange *ex, struct form_choice *ret, struct err *err);

/* The same from the members of the body, a text each, or for an option a truth value or 1 or 0;
 * JSON without `format`. */
int form_choose_body(struct exchange *ex, struct form_choice *ret, struct err *err);

/* Read Accept-Encoding, for form_choose_coding(). -E_NOT_ACCEPTABLE: none of ours is acceptable. */
int form_read_codings(struct exchange *ex, struct form_choice *choice, struct err *err);
/* Set `coding` and `packed` of a choice. What is stored in a coding is sent in that, if it is the
 * best one. Otherwise: identity, if it is acceptable, of XLSX,
 * which is compressed itself, of a result of less than FORM_CODED_MIN bytes of JSON, which is sent
 * in one packet either way, and of a range of JSON, since ranges are those of what is stored. */
enum { FORM_CODED_MIN = 1024 };
void form_choose_coding(struct exchange *ex, struct form_choice *choice,
                        const struct report *report);
/* Is what is stored sent, byte by byte? */
bool form_is_stored(const struct form_choice *choice);

/* The form's media type, static; "csv", as in `format=` and at the end of a file's name. */
const char *form_media_type(enum form form);
const char *form_word(enum form form);

enum { FORM_TAG_TEXT = 32 };
/* What sets the entity tag of this choice apart from that of the JSON: "-csv-l3b-zstd". */
void form_tag(const struct form_choice *choice, char out[FORM_TAG_TEXT]);
