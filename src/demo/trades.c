/* src/demo/trades.c -- a day's transactions: accounts open, trade and close. */
#include <stdio.h>

#include "demo/world.h"

struct posting {
    struct demo_account *account;
    const char *type, *status;
    int64_t quantity, delta; /* as stated, and its effect */
    int64_t price, amount;   /* price 0: no money moves */
    const char *comment;     /* NULL: none */
};

static const char rolled_back[] = "RolledBack", complete[] = "Complete", updated[] = "Updated";

/* Write a transaction of today; one that was rolled back leaves the holding unchanged. */
static void post(struct demo_world *world, const struct posting *p)
{
    char external[24];
    int64_t id = ++world->transactions;

    if (p->status != rolled_back)
        p->account->units += p->delta;
    snprintf(external, sizeof(external), "TX%010lld", (long long)id);
    DEMO_INSERT(world, biz_transaction, DEMO_INT(id), DEMO_STR(external),
                DEMO_INT(demo_products[demo_investment_of(p->account)->product].id),
                DEMO_INT(p->account->id), DEMO_STR(world->days[world->day].text), DEMO_STR(p->type),
                DEMO_STR(p->status), DEMO_INT(p->quantity), DEMO_INT(p->delta),
                DEMO_INT_OR_NULL(p->price), DEMO_INT(p->amount), DEMO_STR_OR_NULL(p->comment));
}

static const char *draw_status(struct demo_world *world)
{
    int64_t drawn = demo_random_in(&world->random, 0, 999);

    return drawn < 12 ? rolled_back : drawn < 40 ? updated : complete;
}

static int64_t units_for(int64_t amount, int64_t price)
{
    return (amount * 10000 + price / 2) / price;
}

static int64_t money_for(int64_t units, int64_t price)
{
    return (units * price + 5000) / 10000;
}

/* Buy units for `amount` of money. */
static void buy(struct demo_world *world, struct posting p, int64_t amount)
{
    p.price = demo_price_today(world, p.account->investment);
    p.amount = amount;
    p.quantity = p.delta = units_for(amount, p.price);
    post(world, &p);
}

/* Sell `units` at today's price; returns the proceeds. */
static int64_t sell(struct demo_world *world, struct posting p, int64_t units)
{
    p.price = demo_price_today(world, p.account->investment);
    p.amount = -money_for(units, p.price);
    p.quantity = p.delta = -units;
    post(world, &p);
    return -p.amount;
}

void demo_allot(struct demo_world *world, struct demo_account *account, int64_t amount,
                const char *comment)
{
    struct posting p = {
        .account = account, .type = "Allotment", .status = complete, .comment = comment};

    buy(world, p, amount);
}

static void deposit(struct demo_world *world, struct demo_account *account)
{
    bool regular = demo_random_permille(&world->random, 700);
    struct posting p = {.account = account,
                        .type = "Deposit",
                        .status = draw_status(world),
                        .comment = regular ? "Regular savings plan" : NULL};
    int64_t amount = regular ? demo_random_in(&world->random, 2, 40) * 5000
                             : demo_random_in(&world->random, 50000, 3000000);

    buy(world, p, amount);
}

/* Some of the account's units: between `lowest` and `highest` thousandths of them. */
static int64_t some_units(struct demo_world *world, const struct demo_account *account, int lowest,
                          int highest)
{
    return account->units / 1000 * demo_random_in(&world->random, lowest, highest);
}

static void redeem(struct demo_world *world, struct demo_account *account)
{
    int64_t units = some_units(world, account, 5, 150);
    struct posting p = {.account = account, .type = "Redemption", .status = draw_status(world)};

    if (units == 0)
        deposit(world, account);
    else
        sell(world, p, units);
}

/* Another holder of the same investment; NULL if a few tries find none. */
static struct demo_account *find_other_holder(struct demo_world *world,
                                              const struct demo_account *account)
{
    for (int tries = 0; tries < 16; tries++) {
        int64_t place = demo_random_in(&world->random, 0, world->active_count - 1);
        struct demo_account *other = &world->accounts[world->active[place]];

        if (other != account && other->investment == account->investment)
            return other;
    }
    return NULL;
}

static bool room_for_two(const struct demo_world *world)
{
    return world->target - world->transactions >= 2;
}

static void transfer(struct demo_world *world, struct demo_account *account)
{
    struct demo_account *other = find_other_holder(world, account);
    int64_t units = some_units(world, account, 10, 300);
    char comment[64];
    struct posting p = {
        .account = account, .type = "Transfer", .status = draw_status(world), .comment = comment};
    int64_t amount;

    if (other == NULL || units == 0 || !room_for_two(world)) {
        deposit(world, account);
        return;
    }
    snprintf(comment, sizeof(comment), "Transfer to account %lld", (long long)other->id);
    amount = sell(world, p, units);
    snprintf(comment, sizeof(comment), "Transfer from account %lld", (long long)account->id);
    p.account = other;
    p.price = demo_price_today(world, other->investment);
    p.amount = amount;
    p.quantity = p.delta = units;
    post(world, &p);
}

static void convert_units(struct demo_world *world, struct demo_account *account)
{
    int64_t units = some_units(world, account, 50, 400);
    struct posting p = {.account = account, .type = "Conversion", .status = draw_status(world)};
    char comment[64];
    struct demo_account *to;
    int64_t amount;

    if (account->sibling == DEMO_NOBODY || units == 0 || !room_for_two(world) ||
        world->accounts[account->sibling].place == DEMO_NOBODY) {
        deposit(world, account);
        return;
    }
    to = &world->accounts[account->sibling];
    snprintf(comment, sizeof(comment), "%s \xe2\x86\x92 %s", demo_investment_of(account)->code,
             demo_investment_of(to)->code);
    p.comment = comment;
    amount = sell(world, p, units);
    p.account = to;
    buy(world, p, amount);
}

static void adjust(struct demo_world *world, struct demo_account *account)
{
    int64_t units = some_units(world, account, -10, 10);
    struct posting p = {.account = account,
                        .type = "AdjustQuantity",
                        .status = draw_status(world),
                        .quantity = units,
                        .delta = units,
                        .comment = "Correction: \"units\\price\" mismatch"};

    if (units == 0)
        deposit(world, account);
    else
        post(world, &p);
}

static void set(struct demo_world *world, struct demo_account *account)
{
    int64_t units = account->units + some_units(world, account, -8, 12);
    struct posting p = {.account = account,
                        .type = "SetQuantity",
                        .status = draw_status(world),
                        .quantity = units,
                        .delta = units - account->units,
                        .comment = "Set after reconciliation\nwith the custodian"};

    post(world, &p);
}

static void trade(struct demo_world *world)
{
    static const struct {
        int share; /* per thousand */
        void (*run)(struct demo_world *world, struct demo_account *account);
    } trades[] = {
        {630, deposit}, {240, redeem}, {70, transfer}, {40, convert_units}, {14, adjust}, {6, set},
    };
    int64_t place = demo_random_in(&world->random, 0, world->active_count - 1);
    int64_t drawn = demo_random_in(&world->random, 0, 999);
    size_t i = 0;

    while (drawn >= trades[i].share) {
        drawn -= trades[i].share;
        i++;
    }
    trades[i].run(world, &world->accounts[world->active[place]]);
}

static void open_accounts(struct demo_world *world)
{
    while (world->opened < world->account_count &&
           world->accounts[world->opened].open_day <= world->day) {
        struct demo_account *account = &world->accounts[world->opened];
        struct posting p = {
            .account = account, .type = "Deposit", .status = complete, .comment = "Account opened"};

        buy(world, p, demo_random_in(&world->random, 10, 1000) * 50000);
        account->place = world->active_count;
        world->active[world->active_count++] = world->opened++;
    }
}

static void close_accounts(struct demo_world *world)
{
    for (int i = 0; i < world->opened; i++) {
        struct demo_account *account = &world->accounts[i];
        struct posting p = {.account = account,
                            .type = "Redemption",
                            .status = complete,
                            .comment = "Account closed"};
        int last;

        if (account->close_day != world->day)
            continue;
        if (account->units > 0)
            sell(world, p, account->units);
        last = world->active[--world->active_count];
        world->active[account->place] = last;
        world->accounts[last].place = account->place;
        account->place = DEMO_NOBODY;
    }
}

void demo_trade_day(struct demo_world *world)
{
    open_accounts(world);
    close_accounts(world);
    while (world->transactions < world->target)
        trade(world);
}
