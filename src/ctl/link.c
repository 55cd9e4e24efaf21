/* src/ctl/link.c -- the command link: prints a URL that downloads a result. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/options.h"
#include "ctl/commands.h"

/* The body of the request; *ret is yours to free(). */
static int make_link_body(const struct ctl *ctl, char **ret, struct err *err)
{
    const struct ctl_options *options = &ctl->options;
    char path[API_PATH_MAX];
    int rc = api_reference_path("Report", ctl->arguments[0], path, err)
                 ?: step_check_format(options, err);
    json_t *body;

    if (rc != 0)
        return rc;
    body = json_pack("{ss ss* ss*}", "reference", strchr(path, '=') + 1, "format", options->format,
                     "labels", options->labels != NULL ? "1" : NULL);
    *ret = json_dumps(body, JSON_COMPACT);
    json_decref(body);
    return *ret != NULL ? 0 : err_set(err, -E_NOMEM, "out of memory");
}

int ctl_link(struct ctl *ctl, struct err *err)
{
    struct http_request request = {.method = "POST", .path = "/Report/Link", .repeatable = true};
    struct api *api = NULL;
    json_t *envelope = NULL;
    const char *url = NULL, *expires = NULL;
    char *body = NULL;
    int rc = make_link_body(ctl, &body, err) ?: api_open(&ctl->options, &api, err);

    request.body = body;
    if (rc == 0)
        rc = api_call(api, &request, &envelope, err);
    if (rc == 0 &&
        json_unpack(envelope, "{s{ss ss}}", "data", "url", &url, "expiresAt", &expires) != 0)
        rc = api_unexpected(api, err);
    else if (rc == 0 && ctl->options.json != NULL)
        api_print(api);
    else if (rc == 0) {
        say_line(stdout, "%s%s", http_server(api_http(api)), url);
        say_line(stderr, "The link works until %s.", expires);
    }
    json_decref(envelope);
    api_free(api);
    free(body);
    return rc;
}
