/* src/http/report_choices.c -- GET /Report/Types?values=NAME.Param: the choices of a form. */
#include "http/report.h"

#include <stdlib.h>
#include <string.h>

#include "proc/choices.h"

/* One request for choices; it holds the definition while it exists. */
struct question {
    struct choices_ask ask;
    struct catalog *catalog;
};

static void question_free(void *state)
{
    struct question *question = state;

    free(question->ask.json);
    catalog_release(question->catalog, question->ask.def);
    free(question);
}

/* The JSON is from choices_list(): quotes within strings are escaped, so this text appears only at
 * the start of a choice. */
static size_t count_choices(const char *json)
{
    static const char begin[] = "{\"value\":";
    size_t count = 0;

    for (; (json = strchr(json, '{')) != NULL; json++)
        count += strncmp(json, begin, sizeof(begin) - 1) == 0;
    return count;
}

/* Back on an HTTP thread. */
static void choices_known(struct exchange *ex)
{
    const struct choices_ask *ask = &((struct question *)ex->state)->ask;

    if (ask->json != NULL)
        exchange_reply_records(ex, count_choices(ask->json), ask->json);
    else
        exchange_reply_error(ex, &ask->err, NULL);
}

/* Called on the choices thread. */
static void choices_woken(struct choices_ask *ask)
{
    exchange_wake(ask->owner);
}

/* May the user run the report, and does the parameter have choices? */
static int check_choices(struct exchange *ex, const struct definition *def, const char *name)
{
    const struct param *param = definition_param(def, name);

    if (!user_may_run(ex->user, def->name))
        return err_set(&ex->err, -E_FORBIDDEN,
                       "You may not run the report '%s'. GET /Report/Types lists the reports you "
                       "may run; the operator can grant more.",
                       def->name);
    if (param == NULL)
        return err_set(&ex->err, -E_PARAM,
                       "Report '%s' has no parameter '%.*s'. Names are case-sensitive; GET "
                       "/Report/Types lists them.",
                       def->name, DEFINITION_NAME_MAX, name);
    if (param->values.sql == NULL)
        return err_set(&ex->err, -E_PARAM,
                       "Parameter '%s' of report '%s' has no list of values: where 'values' is "
                       "null in GET /Report/Types there is none.",
                       name, def->name);
    return exchange_check_claims(ex, def);
}

static int ask_choices(struct exchange *ex, const struct definition *def, const char *name)
{
    struct question *question;
    int rc = check_choices(ex, def, name);

    if (rc < 0)
        return rc;
    question = calloc(1, sizeof(*question));
    if (question == NULL)
        return err_set(&ex->err, -E_NOMEM, "No memory for the request.");
    question->catalog = ex->services->catalog;
    question->ask = (struct choices_ask){.def = def,
                                         .param = definition_param(def, name),
                                         .user = ex->user->name,
                                         .claims = ex->cached_token->session_claims ?: "",
                                         .fd = exchange_socket(ex),
                                         .tls = exchange_tls(ex) != NULL,
                                         .done = choices_woken,
                                         .owner = ex};
    ex->state = question;
    ex->state_free = question_free;
    exchange_await(ex, choices_known);
    choices_ask(ex->services->choices, &question->ask);
    return 0;
}

/* `values` is NAME.Param; neither name contains a dot. */
void report_choices(struct exchange *ex, const char *values)
{
    const char *point = strchr(values, '.');
    char name[REPORT_NAME_MAX + 1] = "";
    const struct definition *def;

    if (point == NULL || point == values || point[1] == '\0') {
        exchange_fail(
            ex, -E_INVALID,
            "Give the report and its parameter, as in /Report/Types?values=Orders.CustomerID.");
        return;
    }
    if (point - values <= REPORT_NAME_MAX)
        memcpy(name, values, (size_t)(point - values));
    def = catalog_hold(ex->services->catalog, name);
    if (def == NULL) {
        err_set(&ex->err, -E_UNKNOWN_REPORT,
                "Unknown report '%.*s'. Names are case-sensitive; GET /Report/Types lists the "
                "reports you may run.",
                (int)(point - values < REPORT_NAME_MAX ? point - values : REPORT_NAME_MAX), values);
        exchange_reply_error(ex, &ex->err, NULL);
    } else if (ask_choices(ex, def, point + 1) < 0) {
        catalog_release(ex->services->catalog, def);
        exchange_reply_error(ex, &ex->err, NULL);
    }
}
