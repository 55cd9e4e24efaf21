/* src/http/form_choice.h -- which form of a result a request asks for, and with which options. */
#pragma once

#include "http/exchange.h"
#include "render/form.h"

struct form_choice {
    enum form form;
    struct form_options options;
    bool download; /* Content-Disposition for JSON too */
};

/* Read from `format=`, or without it from Accept: the type with the greatest quality, of these the
 * one that is named most precisely, of these the first of FORMS. -E_NOT_ACCEPTABLE: there is no
 * such form; -E_INVALID: an option has a bad value, or is not for this form. */
int form_choose(struct exchange *ex, struct form_choice *ret, struct err *err);

/* The same from the members of the body, a text each, or for an option a truth value or 1 or 0;
 * JSON without `format`. */
int form_choose_body(struct exchange *ex, struct form_choice *ret, struct err *err);

/* The form's media type, static; "csv", as in `format=` and at the end of a file's name. */
const char *form_media_type(enum form form);
const char *form_word(enum form form);

enum { FORM_TAG_TEXT = 32 };
/* What sets the entity tag of this choice apart from that of the JSON: "-csv-l3b". */
void form_tag(const struct form_choice *choice, char out[FORM_TAG_TEXT]);
