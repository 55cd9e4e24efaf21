/* src/core/report.c -- the states of a report and what it owns. */
#include "core/report.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    unsigned moves;
} states[REPORT_STATE_COUNT] = {
#define X(state, text, to) [REPORT_##state] = {text, to},
    REPORT_STATES(X)
#undef X
};

const char report_not_permitted[] =
    "You may no longer run this report. Ask the operator for permission, then submit it again.";

const char *report_state_name(enum report_state state)
{
    return states[state].name;
}

bool report_state_parse(const char *name, enum report_state *ret)
{
    for (int i = 0; i < REPORT_STATE_COUNT; i++) {
        if (strcmp(states[i].name, name) == 0) {
            *ret = (enum report_state)i;
            return true;
        }
    }
    return false;
}

bool report_may_move(enum report_state from, enum report_state to)
{
    return (states[from].moves & (1u << to)) != 0;
}

bool report_is_active(enum report_state state)
{
    return state == REPORT_QUEUED || state == REPORT_PROCESSING;
}

void report_take_parameters(struct report *report, char *text)
{
    char *line = text != NULL ? strchr(text, '\n') : NULL; /* JSON escapes those of values */

    report->parameters = text;
    if (line == NULL)
        return;
    *line = '\0';
    report->has_claims = true;
}

const char *report_claims(const struct report *report)
{
    return report->has_claims ? report->parameters + strlen(report->parameters) + 1 : "";
}

char *report_join_claims(char *parameters, const char *claims)
{
    size_t len = strlen(parameters), more = strlen(claims) + 1;
    char *text = realloc(parameters, len + 1 + more);

    if (text == NULL) {
        free(parameters);
        return NULL;
    }
    text[len] = '\n';
    memcpy(text + len + 1, claims, more);
    return text;
}

void report_done(struct report *report)
{
    if (report == NULL)
        return;
    free(report->user_name);
    free(report->name);
    free(report->parameters);
    free(report->message);
    sodium_memzero(report, sizeof(*report)); /* it may contain a key */
}
