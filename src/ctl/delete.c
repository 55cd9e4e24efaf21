/* src/ctl/delete.c -- the command delete: one report, or all that match, and the receipt. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/str.h"
#include "cli/prompt.h"
#include "ctl/commands.h"

/* ---- the receipt ---- */

/* Opened before anything is deleted: a receipt that cannot be written would be lost. NULL with 0:
 * no receipt is wanted. */
static int open_receipt(const struct ctl *ctl, FILE **ret, struct err *err)
{
    const char *path = ctl->options.receipt;

    *ret = NULL;
    if (path == NULL)
        return 0;
    *ret = str_eq(path, "-") ? stdout : fopen(path, "w");
    return *ret != NULL ? 0 : err_errno(err, -E_IO, "cannot write %s; nothing was deleted", path);
}

/* Closes `file`, if it is not NULL. A receipt is of letters, digits and marks. */
static int save_receipt(const struct ctl *ctl, FILE *file, const char *receipt, struct err *err)
{
    bool good;

    if (file == NULL)
        return 0;
    if (receipt != NULL && str_has_control(receipt))
        receipt = NULL;
    good = receipt == NULL || fprintf(file, "%s\n", receipt) > 0;
    good = (file == stdout ? fflush(file) : fclose(file)) == 0 && good;
    if (!good)
        return err_errno(err, -E_IO, "deleted, but the receipt cannot be written to %s",
                         ctl->options.receipt);
    return receipt != NULL ? 0 : err_set(err, -E_IO, "deleted, but the answer had no receipt");
}

/* Print on standard output, unless the receipt is written there. */
static void say(const struct ctl *ctl, const struct api *api, const char *words)
{
    if (ctl->options.json != NULL)
        api_print(api);
    else if (!str_eq(ctl->options.receipt, "-"))
        puts(words);
}

/* ---- one ---- */

static int delete_one(struct ctl *ctl, struct api *api, FILE *file, struct err *err)
{
    int rc = step_delete(api, ctl->admin ? "Admin/Report" : "Report", ctl->arguments[0], err);

    if (rc != 0) {
        if (file != NULL && file != stdout) {
            fclose(file);
            unlink(ctl->options.receipt); /* nothing was written to it */
        }
        return rc;
    }
    say(ctl, api, "deleted");
    return save_receipt(ctl, file, http_header(api_http(api), "X-Deletion-Receipt"), err);
}

/* ---- many ---- */

static int make_path(const struct ctl *ctl, bool dry, struct buf *path, struct err *err)
{
    const struct ctl_options *options = &ctl->options;

    buf_reset(path);
    buf_add_str(path, ctl->admin ? "/Admin/Reports?" : "/Report/List?");
    return api_add_query(path, "State", options->state, err)
               ?: api_add_query(path, "ReportName", options->name, err)
               ?: api_add_query(path, "Before", options->before, err)
               ?: api_add_query(path, "User", options->user, err)
               ?: api_add_query(path, "Source", options->source, err)
               ?: api_add_query(path, "dryRun", dry ? "1" : NULL, err);
}

static int64_t sum_of(const json_t *deleted)
{
    int64_t sum = 0;
    const char *state;
    json_t *count;

    json_object_foreach((json_t *)(uintptr_t)deleted, state, count)
    {
        int64_t more = json_integer_value(count);

        if (more < 0 || more > INT64_MAX - sum)
            return INT64_MAX;
        sum += more;
    }
    return sum;
}

/* Not repeated if the connection breaks: the counts and the receipt would lack what the first try
 * deleted. */
static int send_many(const struct ctl *ctl, struct api *api, bool dry, json_t **ret,
                     struct err *err)
{
    struct http_request request = {.method = "DELETE"};
    struct buf path;
    int rc;

    buf_init(&path, API_QUERY_MAX);
    rc = make_path(ctl, dry, &path, err);
    request.path = buf_str(&path);
    request.repeatable = dry;
    if (rc == 0)
        rc = api_call(api, &request, ret, err);
    buf_done(&path);
    if (rc == 0 && !json_is_object(json_object_get(json_object_get(*ret, "data"), "deleted"))) {
        json_decref(*ret);
        *ret = NULL;
        rc = api_unexpected(api, err);
    }
    return rc;
}

/* True: go on. Without a terminal only --yes confirms. */
static int confirm(int64_t count, int64_t beyond, struct err *err)
{
    char question[128], answer[16] = "";
    size_t len = 0;
    int rc;

    if (isatty(STDIN_FILENO) == 0)
        return err_set(
            err, -E_INVALID,
            "%" PRId64 " reports would be deleted; add --yes to delete them, or --dry-run", count);
    snprintf(question, sizeof(question), "Delete %" PRId64 " report%s%s? There is no undo. [y/N] ",
             count, count == 1 ? "" : "s", beyond > 0 ? " (more match)" : "");
    rc = prompt_line(question, true, answer, sizeof(answer), &len, err);
    if (rc == -E_CANCELLED || (rc == 0 && answer[0] != 'y' && answer[0] != 'Y'))
        rc = err_set(err, -E_CANCELLED, "nothing was deleted");
    return rc;
}

/* Get the number of reports, and ask whether to go on; -E_CANCELLED: no. */
static int count_many(struct ctl *ctl, struct api *api, bool *ret_go_on, struct err *err)
{
    json_t *envelope = NULL;
    const json_t *data;
    char words[64];
    int64_t count;
    int rc = send_many(ctl, api, true, &envelope, err);

    *ret_go_on = false;
    if (rc != 0)
        return rc;
    data = json_object_get(envelope, "data");
    count = sum_of(json_object_get(data, "deleted"));
    if (ctl->options.dry_run != NULL) {
        snprintf(words, sizeof(words), "%" PRId64 " would be deleted", count);
        say(ctl, api, words);
    } else {
        rc = confirm(count, json_integer_value(json_object_get(data, "remaining")), err);
        *ret_go_on = rc == 0;
    }
    json_decref(envelope);
    return rc;
}

static int delete_many(struct ctl *ctl, struct api *api, FILE *file, struct err *err)
{
    json_t *envelope = NULL;
    const json_t *data;
    int64_t count, beyond;
    char words[96];
    int rc = send_many(ctl, api, false, &envelope, err);

    if (rc != 0) {
        if (file != NULL && file != stdout)
            fclose(file);
        return rc;
    }
    data = json_object_get(envelope, "data");
    count = sum_of(json_object_get(data, "deleted"));
    beyond = json_integer_value(json_object_get(data, "remaining"));
    snprintf(words, sizeof(words), "%" PRId64 " deleted%s", count,
             beyond > 0 ? "; more match: run it again" : "");
    say(ctl, api, words);
    if (count > 0)
        rc = save_receipt(ctl, file, json_string_value(json_object_get(data, "receipt")), err);
    else if (file != NULL && file != stdout)
        fclose(file);
    json_decref(envelope);
    return rc;
}

static int check_options(const struct ctl *ctl, struct err *err)
{
    const struct ctl_options *options = &ctl->options;
    bool filtered = options->state != NULL || options->name != NULL || options->before != NULL ||
                    options->user != NULL || options->source != NULL;

    if (ctl->count > 0 && (filtered || options->dry_run != NULL || options->yes != NULL))
        return err_set(err, -E_INVALID, "delete takes a REF or filters, not both");
    if (ctl->count == 0 && !filtered)
        return err_set(err, -E_INVALID, "delete needs REF, or --state, --name or --before");
    return 0;
}

int ctl_delete(struct ctl *ctl, struct err *err)
{
    struct api *api = NULL;
    FILE *file = NULL;
    bool go_on = true;
    int rc = check_options(ctl, err) ?: api_open(&ctl->options, &api, err);

    if (rc == 0 && ctl->count == 0 && (ctl->options.yes == NULL || ctl->options.dry_run != NULL))
        rc = count_many(ctl, api, &go_on, err);
    if (rc == 0 && go_on)
        rc = open_receipt(ctl, &file, err);
    if (rc == 0 && go_on)
        rc = ctl->count > 0 ? delete_one(ctl, api, file, err) : delete_many(ctl, api, file, err);
    api_free(api);
    return rc;
}
