/* src/demo/registry.c -- makes the registry: products, prices, entities, accounts, then day by
 * day. */
#include "demo/registry.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "demo/world.h"

enum { FIRST_ENTITY_ID = 10001, FIRST_ACCOUNT_ID = 500001, TRANSACTIONS_EACH = 100, BAR = 40 };

/* ---- progress: a bar on a terminal, else a line per phase ---- */

struct progress {
    const char *phase; /* borrowed */
    bool terminal;     /* standard error is a terminal */
    int shown;         /* percent, -1 before the first */
    int64_t began_ms;  /* monotonic */
};

static void progress_show(struct progress *progress, int64_t done, int64_t total)
{
    static const char full[] = "########################################";
    int percent = total > 0 ? (int)(done * 100 / total) : 100;
    int filled = percent * BAR / 100;

    if (!progress->terminal || percent == progress->shown)
        return;
    progress->shown = percent;
    fprintf(stderr, "\r%-14s [%.*s%*s] %3d %%", progress->phase, filled, full, BAR - filled, "",
            percent);
}

static void progress_begin(struct progress *progress, const char *phase)
{
    *progress = (struct progress){.phase = phase,
                                  .terminal = isatty(STDERR_FILENO) == 1,
                                  .shown = -1,
                                  .began_ms = clock_mono_ms()};
    progress_show(progress, 0, 1);
}

static void progress_end(struct progress *progress)
{
    double seconds = (double)(clock_mono_ms() - progress->began_ms) / 1000;

    progress_show(progress, 1, 1);
    if (progress->terminal)
        fprintf(stderr, " %6.1f s\n", seconds);
    else
        fprintf(stderr, "%s: done in %.1f s\n", progress->phase, seconds);
}

/* ---- the registry ---- */

static int month_of(const struct demo_day *day)
{
    return (day->text[5] - '0') * 10 + day->text[6] - '0';
}

static void make_calendar(struct demo_world *world)
{
    int count = 0;

    for (int64_t day = DEMO_FIRST_DAY; day <= DEMO_LAST_DAY; day++) {
        int weekday = (int)((day - DEMO_FIRST_DAY) % 7); /* 0: Monday */

        if (weekday < 5)
            clock_format_date(day * INT64_C(86400000), world->days[count++].text);
    }
    for (int i = 0; i < DEMO_DAYS; i++) {
        int month = month_of(&world->days[i]);
        bool month_ends = i + 1 == DEMO_DAYS || month_of(&world->days[i + 1]) != month;

        world->days[i].is_record_date = month_ends && month % 3 == 0;
    }
}

static void insert_products(struct demo_world *world)
{
    for (size_t i = 0; i < demo_product_count; i++) {
        const struct demo_product *product = &demo_products[i];

        DEMO_INSERT(world, product, DEMO_INT(product->id), DEMO_STR(product->name),
                    DEMO_STR("AUD"));
    }
    for (int i = 0; i < DEMO_INVESTMENTS; i++) {
        const struct demo_investment *investment = &demo_investments[i];

        DEMO_INSERT(world, investment, DEMO_INT(investment->id),
                    DEMO_INT(demo_products[investment->product].id), DEMO_STR(investment->code),
                    DEMO_STR(investment->name));
    }
}

/* A random walk, kept with 10000 times the precision of the price, so that small moves add up. */
static void make_prices(struct demo_world *world, int index)
{
    const struct demo_investment *investment = &demo_investments[index];
    int64_t fine = investment->opening_price * 10000;

    for (int day = 0; fine > 0 && day < DEMO_DAYS; day++) {
        int64_t move = investment->drift +
                       demo_random_in(&world->random, -investment->swing, investment->swing);

        world->prices[index][day] = fine / 10000;
        DEMO_INSERT(world, price, DEMO_INT(investment->id), DEMO_STR(world->days[day].text),
                    DEMO_INT(fine / 10000));
        fine += fine / 100000 * move;
    }
}

static void make_entities(struct demo_world *world, int64_t count)
{
    struct progress progress;
    char name[DEMO_NAME], external[24];

    progress_begin(&progress, "entities");
    for (int64_t i = 0; i < count; i++) {
        const char *kind = demo_name(&world->random, name);

        snprintf(external, sizeof(external), "BE-%07lld", (long long)i + 1);
        DEMO_INSERT(world, biz_entity, DEMO_INT(FIRST_ENTITY_ID + i), DEMO_STR(external),
                    DEMO_STR(name), DEMO_STR(kind));
        progress_show(&progress, i + 1, count);
    }
    progress_end(&progress);
}

static int draw_product(struct demo_world *world)
{
    int64_t drawn = demo_random_in(&world->random, 0, 99);
    int product = 0;

    while (drawn >= demo_products[product].share)
        drawn -= demo_products[product++].share;
    return product;
}

static int draw_investment(struct demo_world *world, int product)
{
    const struct demo_product *of = &demo_products[product];

    return of->first_investment + (int)demo_random_in(&world->random, 0, of->investments - 1);
}

/* Six in ten open during the first twenty days, the others over the first four fifths of the time.
 * Account numbers rise with the days. */
static int open_day(int index, int count)
{
    int64_t early = (int64_t)count * 6 / 10, late = count - early;

    if (index < early)
        return (int)((int64_t)index * 20 / early);
    return (int)(20 + (index - early) * (DEMO_DAYS * 4 / 5 - 20) / late);
}

static int draw_close_day(struct demo_world *world, int opens)
{
    if (opens + 60 >= DEMO_DAYS || !demo_random_permille(&world->random, 60))
        return DEMO_NEVER;
    return (int)demo_random_in(&world->random, opens + 60, DEMO_DAYS - 1);
}

/* Decide what the account at `index` holds, and for whom. The first accounts of the entities come
 * in order; the rest belong to any entity, mostly in a product that it already has. */
static void draw_account(struct demo_world *world, int index, int64_t entities)
{
    struct demo_account *account = &world->accounts[index], *first = NULL;
    int64_t owner = index < entities ? index : demo_random_in(&world->random, 0, entities - 1);
    int product = draw_product(world);

    if (index == 0)
        product = 2; /* product 123 has a holder, however small the demo */
    if (owner != index) {
        first = &world->accounts[owner];
        if (demo_random_permille(&world->random, 700))
            product = demo_investment_of(first)->product;
    }
    *account =
        (struct demo_account){.id = FIRST_ACCOUNT_ID + index,
                              .entity_id = FIRST_ENTITY_ID + owner,
                              .investment = draw_investment(world, product),
                              .sibling = DEMO_NOBODY,
                              .place = DEMO_NOBODY,
                              .open_day = open_day(index, world->account_count),
                              .withholding = demo_random_permille(&world->random, 50) ? 47 : 0,
                              .reinvests = demo_random_permille(&world->random, 350)};
    /* The first account stays open, so that there is always an account to trade with. */
    account->close_day = index > 0 ? draw_close_day(world, account->open_day) : DEMO_NEVER;
    if (first != NULL && first->sibling == DEMO_NOBODY &&
        demo_investment_of(first)->product == product && first->investment != account->investment) {
        first->sibling = index;
        account->sibling = (int)owner;
    }
}

static void insert_account(struct demo_world *world, const struct demo_account *account)
{
    char external[24], number[24];
    bool closes = account->close_day != DEMO_NEVER;

    snprintf(external, sizeof(external), "AC-%lld", (long long)account->id);
    /* Spread over the numbers of nine digits: the multiplier and the modulus are coprime. */
    snprintf(number, sizeof(number), "%09lld",
             (long long)(account->id * 379721 % INT64_C(1000000000)));
    DEMO_INSERT(world, account, DEMO_INT(account->id), DEMO_STR(external), DEMO_STR(number),
                DEMO_INT(account->entity_id),
                DEMO_INT(demo_products[demo_investment_of(account)->product].id),
                DEMO_INT(demo_investment_of(account)->id),
                DEMO_STR(world->days[account->open_day].text),
                DEMO_STR_OR_NULL(closes ? world->days[account->close_day].text : NULL));
}

static void make_accounts(struct demo_world *world, int64_t entities)
{
    struct progress progress;

    progress_begin(&progress, "accounts");
    for (int i = 0; i < world->account_count; i++) {
        draw_account(world, i, entities);
        insert_account(world, &world->accounts[i]);
        progress_show(&progress, i + 1, world->account_count);
    }
    progress_end(&progress);
}

static void run_days(struct demo_world *world, int64_t transactions)
{
    struct progress progress;

    progress_begin(&progress, "transactions");
    for (world->day = 0; world->day < DEMO_DAYS; world->day++) {
        world->target = transactions * (world->day + 1) / DEMO_DAYS;
        demo_pay_distributions(world);
        demo_trade_day(world);
        demo_declare_distributions(world);
        progress_show(&progress, world->day + 1, DEMO_DAYS);
    }
    progress_end(&progress);
}

static int fill_registry(struct demo_world *world, const struct demo_spec *spec, struct err *err)
{
    struct progress progress;
    int rc;

    make_calendar(world);
    insert_products(world);
    for (int i = 0; i < DEMO_INVESTMENTS; i++)
        make_prices(world, i);
    make_entities(world, spec->entities);
    make_accounts(world, spec->entities);
    run_days(world, spec->entities * TRANSACTIONS_EACH);
    progress_begin(&progress, "indexes");
    rc = demo_db_finish(world->db, err);
    if (rc == 0)
        progress_end(&progress);
    return rc;
}

static struct demo_world *world_new(const struct demo_spec *spec)
{
    struct demo_world *world = calloc(1, sizeof(*world));

    if (world == NULL)
        return NULL;
    world->random.state = spec->seed;
    world->account_count = (int)(spec->entities + (spec->entities + 1) / 2);
    world->accounts = calloc((size_t)world->account_count, sizeof(*world->accounts));
    world->active = calloc((size_t)world->account_count, sizeof(*world->active));
    return world;
}

static void world_free(struct demo_world *world)
{
    if (world == NULL)
        return;
    demo_db_close(world->db);
    free(world->accounts);
    free(world->active);
    free(world);
}

static int make(const struct demo_spec *spec, const char *path, struct demo_totals *ret_totals,
                struct err *err)
{
    struct demo_world *world = world_new(spec);
    int rc;

    if (world == NULL || world->accounts == NULL || world->active == NULL) {
        world_free(world);
        return err_set(err, -E_NOMEM, "out of memory for %lld entities", (long long)spec->entities);
    }
    rc = demo_db_create(path, &world->db, err) ?: fill_registry(world, spec, err);
    if (rc == 0) {
        *ret_totals = (struct demo_totals){.entities = spec->entities,
                                           .accounts = world->account_count,
                                           .transactions = world->transactions,
                                           .distributions = world->distributions};
    }
    world_free(world);
    return rc;
}

int demo_generate(const struct demo_spec *spec, struct demo_totals *ret_totals, struct err *err)
{
    struct buf part;
    int rc;

    buf_init(&part, 4096);
    buf_add_format(&part, "%s.part", spec->path);
    if (buf_failed(&part)) {
        buf_done(&part);
        return err_set(err, -E_IO, "the path is too long");
    }
    (void)unlink(buf_str(&part)); /* left by an interrupted run */
    rc = make(spec, buf_str(&part), ret_totals, err);
    if (rc == 0 && rename(buf_str(&part), spec->path) != 0)
        rc = err_errno(err, -E_IO, "cannot rename %s", buf_str(&part));
    if (rc != 0)
        (void)unlink(buf_str(&part));
    buf_done(&part);
    return rc;
}
