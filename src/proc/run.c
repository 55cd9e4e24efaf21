/* src/proc/run.c -- runs one report, from its definition to a file, which is on the disk or
 * small. */
#include "proc/run.h"

#include <endian.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/seam.h"
#include "base/str.h"
#include "core/definition.h"
#include "core/footer.h"
#include "core/param.h"
#include "proc/choices_run.h"
#include "proc/result_writer.h"
#include "render/json_rows.h"

/* What is collected about the result, for its footer, while it is written. */
struct result_footer {
    const struct definition *def; /* borrowed */
    struct footer footer;         /* owns its names and columns */
    uint64_t *offsets;            /* little-endian; owned; in the form in which they are stored */
    size_t room;                  /* capacity of `offsets` */
};

struct run {
    const struct wire_order *job;
    struct source *source;
    struct run_progress *progress;
    struct definition *def;
    struct param_value *values; /* of the parameters, then those of `claims` */
    struct claims claims;
    struct result_writer *result_writer;
    struct result_footer footer;
    int64_t rows; /* of results and sets, for the limit */
};

/* A compiled statement whose rows go into the file. */
struct part {
    struct source_query *query; /* NULL: the report has no summary */
    struct json_rows *rows;
    struct source_value *row;
};

struct parts {
    struct part results, sets[DEFINITION_SETS_MAX], summary;
};

/* ---- the footer; its index keeps every second offset whenever it is full ---- */

enum { ROOM_FIRST = 64 }; /* offsets */

/* *rf is zeroed by the caller. Prepares results, the sets and the summary of `def`. -E_NOMEM */
static int result_footer_init(struct result_footer *rf, const struct definition *def,
                              struct err *err)
{
    size_t count = def->set_count + 2;

    rf->def = def;
    rf->footer = (struct footer){.stride = FOOTER_STRIDE,
                                 .parts = calloc(count, sizeof(rf->footer.parts[0]))};
    if (rf->footer.parts == NULL)
        return err_set(err, -E_NOMEM, "Out of memory.");
    rf->footer.part_count = count;
    for (size_t i = 0; i < count; i++) {
        const char *name = i == 0 ? "results" : i == count - 1 ? "summary" : def->sets[i - 1].name;

        rf->footer.parts[i].name = strdup(name);
        if (rf->footer.parts[i].name == NULL)
            return err_set(err, -E_NOMEM, "Out of memory.");
    }
    return 0;
}

static void result_footer_done(struct result_footer *rf)
{
    footer_done(&rf->footer);
    free(rf->offsets);
}

static void halve(struct result_footer *rf)
{
    struct footer *footer = &rf->footer;

    for (int64_t i = 0; 2 * i < footer->index_count; i++)
        rf->offsets[i] = rf->offsets[2 * i];
    footer->index_count = (footer->index_count + 1) / 2;
    footer->stride *= 2;
}

static void grow_index(struct result_footer *rf)
{
    size_t room = rf->room > 0 ? 2 * rf->room : ROOM_FIRST;
    void *grown =
        room <= FOOTER_INDEX_MAX ? realloc(rf->offsets, room * sizeof(rf->offsets[0])) : NULL;

    if (grown != NULL) {
        rf->offsets = grown;
        rf->room = room;
    } else if (rf->room > 0) {
        halve(rf);
    }
}

/* Does the index have an offset of that row? */
static bool result_footer_wants(const struct result_footer *rf, int64_t row)
{
    return row % FOOTER_STRIDE == 0 && row == rf->footer.index_count * rf->footer.stride;
}

/* Row `row` of results, counted from 0, begins at this byte. Without memory the index stays as
 * coarse as it is, which only costs readers time. */
static void result_footer_row(struct result_footer *rf, int64_t row, int64_t at)
{
    struct footer *footer = &rf->footer;

    if (!result_footer_wants(rf, row))
        return;
    if ((size_t)footer->index_count == rf->room) {
        grow_index(rf);
        if (!result_footer_wants(rf, row) || rf->room == 0)
            return;
    }
    rf->offsets[footer->index_count++] = htole64((uint64_t)at);
}

/* Part `number` is written, from byte `at` to `end`; `rows` NULL: there is no summary. */
static int result_footer_part(struct result_footer *rf, size_t number, int64_t at, int64_t end,
                              const struct json_rows *rows, struct err *err)
{
    struct footer_part *part = &rf->footer.parts[number];

    part->at = at;
    part->end = end;
    if (rows == NULL)
        return 0;
    part->rows = (int64_t)json_rows_objects(rows);
    return json_rows_describe(rows, rf->def, part, err);
}

/* `sums` has the checksums of the JSON, and gets those of the index. */
static int result_footer_write(struct result_footer *rf, int64_t at, struct block_sums *sums,
                               struct buf *out, struct err *err)
{
    struct footer *footer = &rf->footer;
    size_t index = (size_t)footer_index_bytes(footer);

    if (block_sums_add(sums, rf->offsets, index) != 0 || block_sums_end(sums) != 0)
        return err_set(err, -E_NOMEM, "Out of memory.");
    footer->index_at = at;
    footer->sums_at = at + (int64_t)index;
    buf_init(out, index + sums->count * sizeof(sums->sums[0]) + FOOTER_TEXT_MAX + FOOTER_TRAILER);
    buf_add(out, rf->offsets, index);
    buf_add(out, sums->sums, sums->count * sizeof(sums->sums[0]));
    return footer_write(footer, out, err);
}

/* ---- checks ---- */

static bool is_choices(const struct wire_order *job)
{
    return *job->texts.choices != '\0';
}

static int query(struct run *run, const struct statement *statement, struct source_query **ret,
                 struct err *err)
{
    return source_query(run->source, statement, run->values,
                        run->def->param_count + run->claims.count, ret, err);
}

static struct source_value *new_row(const struct source_query *query)
{
    return calloc(source_columns(query) + 1, sizeof(struct source_value));
}

static int check_failed(struct run *run, const struct check *check, struct err *err)
{
    struct buf message;

    buf_init(&message, REPORT_MESSAGE_MAX);
    params_fill(&message, check->message, run->values, run->def->param_count);
    /* Too long with the values filled in: use the message as the definition has it. */
    err_set(err, -E_SOURCE, "%s", buf_failed(&message) ? check->message : buf_str(&message));
    buf_done(&message);
    return err_detail(err, "line %d: check: %s", check->statement.line, check->message);
}

/* Every given value must be among the choices of its parameter. */
static int check_values(struct run *run, struct err *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < run->def->param_count; i++) {
        if (run->def->params[i].values.sql != NULL)
            rc = choices_check(run->source, &run->def->params[i], &run->values[i], &run->claims,
                               err);
    }
    return rc;
}

/* One row or more: the check is passed. */
static int run_check(struct run *run, const struct check *check, struct err *err)
{
    struct source_query *compiled = NULL;
    struct source_value *row;
    int rc = query(run, &check->statement, &compiled, err);

    if (rc < 0)
        return rc;
    row = new_row(compiled);
    rc = row != NULL ? source_step(compiled, row, err) : choices_no_memory(err);
    free(row);
    source_query_free(compiled);
    return rc == 0 ? check_failed(run, check, err) : rc;
}

static int run_checks(struct run *run, struct err *err)
{
    int rc = 1;

    for (size_t i = 0; rc > 0 && i < run->def->check_count; i++)
        rc = run_check(run, &run->def->checks[i], err);
    return rc < 0 ? rc : 0;
}

/* ---- results, sets and summary ---- */

static void part_done(struct part *part)
{
    json_rows_free(part->rows);
    source_query_free(part->query);
    free(part->row);
}

static int part_init(struct part *part, struct run *run, const struct statement *statement,
                     struct err *err)
{
    const char **names;
    size_t count;
    int rc;

    if (statement->sql == NULL)
        return 0;
    rc = query(run, statement, &part->query, err);
    if (rc < 0)
        return rc;
    count = source_columns(part->query);
    part->row = new_row(part->query);
    names = calloc(count + 1, sizeof(names[0]));
    if (part->row == NULL || names == NULL) {
        free(names);
        return choices_no_memory(err);
    }
    for (size_t i = 0; i < count; i++)
        names[i] = source_column_name(part->query, i);
    rc = json_rows_new(run->def, statement, names, count, &part->rows, err);
    free(names);
    return rc;
}

static bool part_has_column(const struct part *part, const char *name)
{
    size_t count = part->query != NULL ? source_columns(part->query) : 0;

    for (size_t i = 0; i < count; i++) {
        if (str_eq(source_column_name(part->query, i), name))
            return true;
    }
    return false;
}

static bool has_column(const struct parts *parts, size_t set_count, const char *name)
{
    bool found = part_has_column(&parts->results, name) || part_has_column(&parts->summary, name);

    for (size_t i = 0; !found && i < set_count; i++)
        found = part_has_column(&parts->sets[i], name);
    return found;
}

/* A declaration without a column is a typing error: the column that it was meant for would be
 * printed wrongly, for example cents as dollars. */
static int check_declarations(const struct run *run, const struct parts *parts, struct err *err)
{
    for (size_t i = 0; i < run->def->column_count; i++) {
        const struct column *column = &run->def->columns[i];

        if (has_column(parts, run->def->set_count, column->name))
            continue;
        err_set(err, -E_SOURCE,
                "The report declares the column '%s', which its query does not give.",
                column->name);
        return err_detail(err, "line %d", column->line);
    }
    return 0;
}

static int compile_parts(struct run *run, struct parts *parts, struct err *err)
{
    const struct definition *def = run->def;
    int rc;

    rc = part_init(&parts->results, run, &def->results, err);
    for (size_t i = 0; rc == 0 && i < def->set_count; i++)
        rc = part_init(&parts->sets[i], run, &def->sets[i].statement, err);
    if (rc == 0)
        rc = part_init(&parts->summary, run, &def->summary, err);
    return rc < 0 ? rc : check_declarations(run, parts, err);
}

static void add_to_result(struct run *run, const char *text)
{
    buf_add_str(result_writer_block(run->result_writer), text);
}

static void write_header(struct run *run)
{
    struct buf *out = result_writer_block(run->result_writer);
    char now[CLOCK_TEXT];

    clock_format(clock_now_ms() - run->job->run.clock_ahead_ms, now);
    buf_add_str(out, "{\"result\":true,\"message\":\"\",\"data\":{\"reportName\":");
    json_add_string(out, run->def->name);
    buf_add_format(out, ",\"generatedDate\":\"%s\",\"parameters\":", now);
    buf_add_str(out, run->job->texts.parameters);
}

static int check_limits(const struct run *run, int64_t rows, int64_t bytes, struct err *err)
{
    const struct wire_run *job = &run->job->run;

    if (job->row_limit > 0 && rows > job->row_limit)
        return err_set(err, -E_SOURCE,
                       "The report has more rows than its limit of %lld and was stopped. Narrow "
                       "it down by its parameters.",
                       (long long)job->row_limit);
    if (job->size_limit > 0 && bytes > job->size_limit) {
        char size[32];

        str_size(size, sizeof(size), job->size_limit);
        return err_set(err, -E_SOURCE,
                       "The report is larger than its limit of %s and was stopped. Narrow it "
                       "down by its parameters.",
                       size);
    }
    return 0;
}

/* Write one row of the query; if it begins an object of results, the index records it. */
static int write_row(struct run *run, struct part *part, bool is_results, struct err *err)
{
    struct buf *out = result_writer_block(run->result_writer);
    size_t objects = json_rows_objects(part->rows);
    int rc = json_rows_add(part->rows, part->row, out, err);

    if (is_results && result_footer_wants(&run->footer, (int64_t)objects) &&
        json_rows_objects(part->rows) > objects)
        result_footer_row(&run->footer, (int64_t)objects,
                          result_writer_bytes(run->result_writer) - (int64_t)out->len +
                              (int64_t)json_rows_object_at(part->rows));
    return rc;
}

/* Write all rows of results, or of a set. */
static int write_rows(struct run *run, struct part *part, bool is_results, struct err *err)
{
    int rc;

    while ((rc = source_step(part->query, part->row, err)) > 0) {
        int64_t bytes;

        rc = write_row(run, part, is_results, err);
        if (rc < 0)
            return rc;
        bytes = result_writer_bytes(run->result_writer);
        rc = check_limits(run, ++run->rows, bytes, err)
                 ?: result_writer_pass(run->result_writer, err);
        if (rc < 0)
            return rc;
        if (is_results)
            atomic_store_explicit(&run->progress->rows, run->rows, memory_order_relaxed);
        atomic_store_explicit(&run->progress->bytes, bytes, memory_order_relaxed);
    }
    if (rc == 0)
        json_rows_end(part->rows, result_writer_block(run->result_writer));
    return rc;
}

/* Write "name":[ rows ]; number 0 is results. */
static int write_set(struct run *run, struct part *part, size_t number, const char *name,
                     struct err *err)
{
    int64_t at;
    int rc;

    buf_add_format(result_writer_block(run->result_writer), ",\"%s\":[", name);
    at = result_writer_bytes(run->result_writer);
    rc = write_rows(run, part, number == 0, err)
             ?: result_footer_part(&run->footer, number, at,
                                   result_writer_bytes(run->result_writer), part->rows, err);
    add_to_result(run, "]");
    return rc;
}

/* Write exactly one object, from one row or from rows that nest into it; `{}` without a summary
 * section. */
static int write_summary(struct run *run, struct part *part, struct err *err)
{
    int rc;

    if (part->query == NULL) {
        add_to_result(run, "{}");
        return 0;
    }
    while ((rc = source_step(part->query, part->row, err)) > 0) {
        rc = json_rows_add(part->rows, part->row, result_writer_block(run->result_writer), err);
        if (rc == 0 && json_rows_objects(part->rows) > 1)
            rc = err_set(err, -E_SOURCE,
                         "The report's summary has more than one row; it must have one.");
        if (rc == 0)
            rc = check_limits(run, 0, result_writer_bytes(run->result_writer), err)
                     ?: result_writer_pass(run->result_writer, err);
        if (rc < 0)
            return rc;
    }
    if (rc == 0 && json_rows_objects(part->rows) == 0)
        return err_set(err, -E_SOURCE, "The report's summary has no row; it must have one.");
    json_rows_end(part->rows, result_writer_block(run->result_writer));
    return rc;
}

static int write_parts(struct run *run, struct parts *parts, struct err *err)
{
    const struct definition *def = run->def;
    int64_t at;
    int rc = result_footer_init(&run->footer, def, err);

    write_header(run);
    if (rc == 0)
        rc = write_set(run, &parts->results, 0, "results", err);
    for (size_t i = 0; rc == 0 && i < def->set_count; i++)
        rc = write_set(run, &parts->sets[i], i + 1, def->sets[i].name, err);
    if (rc < 0)
        return rc;
    add_to_result(run, ",\"summary\":");
    at = result_writer_bytes(run->result_writer);
    rc = write_summary(run, &parts->summary, err)
             ?: result_footer_part(&run->footer, def->set_count + 1, at,
                                   result_writer_bytes(run->result_writer), parts->summary.rows,
                                   err);
    if (rc < 0)
        return rc;
    add_to_result(run, "}}");
    return check_limits(run, 0, result_writer_bytes(run->result_writer), err);
}

/* In the transaction: all statements are compiled before the first row is written. */
static int write_report(struct run *run, struct err *err)
{
    struct parts parts = {0};
    int rc = check_values(run, err)
                 ?: run_checks(run, err)
                 ?: compile_parts(run, &parts, err)
                 ?: write_parts(run, &parts, err);

    if (rc < 0)
        source_interrupt(run->source); /* otherwise PostgreSQL would send all remaining rows */
    part_done(&parts.results);
    for (size_t i = 0; i < run->def->set_count; i++)
        part_done(&parts.sets[i]);
    part_done(&parts.summary);
    return rc;
}

/* Writes the choices of a form instead of a report. */
static int write_choices(struct run *run, struct err *err)
{
    const struct param *param = definition_param(run->def, run->job->texts.choices);

    if (param == NULL || param->values.sql == NULL)
        return err_set(err, -E_DEFINITION, "The report's definition is broken.");
    return choices_list(run->source, run->def, param, &run->claims,
                        result_writer_block(run->result_writer), err);
}

static int run_in_transaction(struct run *run, struct err *err)
{
    char reference[GUID_TEXT];
    struct source_session session = {.user_name = run->job->texts.user_name,
                                     .claims = &run->claims,
                                     .reference = reference,
                                     .timeout_ms = run->job->run.timeout_ms,
                                     .timezone = run->def->timezone};
    struct err changed;
    int rc, ended;

    guid_format(&run->job->run.head.id, reference);
    rc = source_begin(run->source, &session, err);
    if (rc < 0)
        return rc;
    rc = is_choices(run->job) ? write_choices(run, err) : write_report(run, err);
    ended = source_end(run->source, &changed);
    if (ended == 0 || rc == -E_CANCELLED)
        return rc;
    *err = changed;
    return ended;
}

/* The definition may use other claims than the one that accepted the report. */
static int take_claims(struct run *run, struct err *err)
{
    size_t count = run->def->param_count;
    struct param_value *values;
    int rc = claims_read(run->job->texts.claims, &run->claims, err)
                 ?: claims_check(&run->claims, run->def, err);

    if (rc < 0 || run->claims.count == 0 || is_choices(run->job))
        return rc;
    values = realloc(run->values, (count + run->claims.count) * sizeof(*values));
    if (values == NULL)
        return choices_no_memory(err);
    memcpy(values + count, run->claims.values, run->claims.count * sizeof(*values));
    run->values = values;
    return 0;
}

static int prepare_run(struct run *run, struct err *err)
{
    const struct wire_order *job = run->job;
    const struct wire_texts *texts = &job->texts;
    int rc = definition_parse(texts->definition_file, texts->definition_text,
                              strlen(texts->definition_text), &run->def, err)
                 ?: definition_set_timezone(run->def,
                                            *texts->timezone != '\0' ? texts->timezone : NULL, err);

    if (rc < 0) {
        /* Its message names a file and a line: that is for the operator, not for the user. */
        struct err why = *err;

        err_set(err, rc, "The report's definition is broken.");
        return err_detail(err, "%s", why.text);
    }
    if (!is_choices(job))
        rc = params_values(run->def, texts->parameters, &run->values, err);
    if (rc == -E_PARAM) /* its message quotes the value */
        return err_detail(err, "the parameters do not fit the definition, which has changed");
    if (rc == 0)
        rc = take_claims(run, err);
    return rc < 0
               ? rc
               : result_writer_new(job->fd, job->run.packed, job->run.sealed ? job->run.key : NULL,
                                   &run->result_writer, err);
}

/* The JSON is complete; its footer follows. Choices have no footer. */
static int finish_result(struct run *run, struct wire_answer *ret, struct err *err)
{
    struct buf footer = {0};
    int64_t at;
    int rc = result_writer_end(run->result_writer, &at, err);

    if (rc == 0 && !is_choices(run->job))
        rc = result_footer_write(&run->footer, at, result_writer_sums(run->result_writer), &footer,
                                 err);
    if (rc == 0)
        rc = result_writer_finish(run->result_writer, &footer, run->job->run.row_results,
                                  ret->digest, &ret->unsynced, err);
    ret->footer = result_writer_footer(run->result_writer);
    buf_done(&footer);
    return rc;
}

int run_report(const struct wire_order *job, struct source *source, struct run_progress *progress,
               struct wire_answer *ret, struct err *err)
{
    struct run run = {.job = job, .source = source, .progress = progress};
    int rc = prepare_run(&run, err);

    SEAM_STEP("worker", "run", "prepared");
    if (rc == 0)
        rc = run_in_transaction(&run, err);
    SEAM_STEP("worker", "run", "rendered");
    if (rc == 0)
        rc = finish_result(&run, ret, err);
    SEAM_STEP("worker", "run", "synced");
    if (rc == 0)
        atomic_store(&progress->bytes, result_writer_bytes(run.result_writer));
    result_writer_free(run.result_writer);
    result_footer_done(&run.footer);
    if (run.def != NULL)
        params_free(run.values, run.def->param_count);
    claims_done(&run.claims);
    definition_free(run.def);
    return rc;
}

int64_t run_lower_limit(int64_t own, int64_t general)
{
    return own != 0 && own < general ? own : general;
}

void run_limits(const struct config *config, const struct definition *def, struct wire_run *ret)
{
    ret->timeout_ms = def->timeout_ms != 0 ? def->timeout_ms : config->report_timeout.number;
    ret->row_limit = run_lower_limit(def->row_limit, config->row_limit.number);
    ret->size_limit = run_lower_limit(def->size_limit, config->size_limit.number);
}

int run_took_too_long(int64_t timeout_ms, struct err *err)
{
    char duration[32];

    str_human_duration(duration, sizeof(duration), timeout_ms);
    return err_set(err, -E_SOURCE,
                   "The report took longer than its limit of %s and was stopped. Narrow it down by "
                   "its parameters, or ask the operator for a longer limit.",
                   duration);
}

int run_used_too_much_time(int64_t timeout_ms, struct err *err)
{
    char duration[32];

    str_human_duration(duration, sizeof(duration), timeout_ms);
    return err_set(err, -E_SOURCE,
                   "The report used more processor time than its limit of %s allows and was "
                   "stopped. Narrow it down by its parameters, or ask the operator for a longer "
                   "limit.",
                   duration);
}

int run_needs_memory(int64_t limit, struct err *err)
{
    char detail[ERR_TEXT_MAX], size[32] = "";

    str_copy(detail, sizeof(detail), err->detail);
    if (limit > 0)
        str_size(size, sizeof(size), limit);
    err_set(err, -E_SOURCE,
            "The report needs more memory than %s%s%s. Narrow it down by its parameters, or ask "
            "the operator for %s.",
            limit > 0 ? "the " : "the server has", size,
            limit > 0 ? " that a worker may use (worker_memory)" : "",
            limit > 0 ? "a higher limit" : "more");
    return err_detail(err, "%s", detail[0] != '\0' ? detail : "out of memory");
}
