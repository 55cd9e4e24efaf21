/* src/demo/distributions.c -- quarterly distributions: declared, reconciled or not, and paid. */
#include <stdio.h>

#include "demo/world.h"

enum { COMPONENTS_MAX = 6, FIRST_ACTION_ID = 7000 };

/* A distribution that is being declared. */
struct action {
    int64_t id, rate, calculated;
    int investment, payment_day; /* payment_day DEMO_NEVER: after the demo's last day */
};

void demo_pay_distributions(struct demo_world *world)
{
    if (world->day < DEMO_PAYMENT_DAYS ||
        !world->days[world->day - DEMO_PAYMENT_DAYS].is_record_date)
        return;
    for (int i = 0; i < world->opened; i++) {
        struct demo_account *account = &world->accounts[i];

        if (account->reinvest_due > 0)
            demo_allot(world, account, account->reinvest_due, "Distribution reinvested");
        account->reinvest_due = 0;
    }
}

static int64_t owed(const struct demo_account *account, int64_t rate)
{
    return (account->units * rate + 500000) / 1000000;
}

/* Book what one account gets: cash, or units on the payment date. */
static void book_account(struct demo_world *world, const struct action *action,
                         struct demo_account *account)
{
    int64_t due = owed(account, action->rate), withheld = due * account->withholding / 100;
    int64_t paid = due - withheld;

    if (action->payment_day == DEMO_NEVER) {
        paid = withheld = 0;
    } else if (account->reinvests && account->close_day > action->payment_day) {
        account->reinvest_due = paid;
        paid = 0;
    }
    DEMO_INSERT(world, distribution_account, DEMO_INT(action->id), DEMO_INT(account->id),
                DEMO_INT(account->units), DEMO_INT(paid), DEMO_INT(withheld),
                DEMO_INT(account->reinvest_due));
}

/* Between three and all of the components, in shares that total exactly 100 %. */
static void insert_components(struct demo_world *world, const struct action *action)
{
    static const char *const names[COMPONENTS_MAX] = {
        "Franked dividends", "Unfranked dividends",     "Interest",
        "Foreign income",    "Discounted capital gain", "Tax-deferred amount",
    };
    int64_t count = demo_random_in(&world->random, 3, COMPONENTS_MAX), rest = 10000;

    for (int64_t i = 0; i < count; i++) {
        int64_t later = count - 1 - i; /* components that follow, each with a share */
        int64_t percent =
            later == 0 ? rest : demo_random_in(&world->random, 1, (rest - later) * 2 / (later + 2));

        rest -= percent;
        DEMO_INSERT(world, distribution_component, DEMO_INT(action->id), DEMO_INT(i + 1),
                    DEMO_STR(names[i]), DEMO_INT(percent));
    }
}

static void insert_action(struct demo_world *world, const struct action *action)
{
    const char *today = world->days[world->day].text;
    char name[64], payment[CLOCK_DATE_TEXT];
    int64_t declared = action->calculated;

    /* One in seven was declared with a wrong number of units. */
    if (action->id % 7 == 3)
        declared += declared / 4000 * demo_random_in(&world->random, -9, 9) +
                    demo_random_in(&world->random, 1, 99);
    snprintf(name, sizeof(name), "Distribution for the quarter to %s", today);
    /* Ten business days are fourteen calendar days. */
    clock_format_date(
        (DEMO_FIRST_DAY + world->day / 5 * 7 + world->day % 5 + 14) * INT64_C(86400000), payment);
    DEMO_INSERT(world, distribution, DEMO_INT(action->id),
                DEMO_INT(demo_investments[action->investment].id), DEMO_STR(name), DEMO_STR(today),
                DEMO_STR(payment),
                DEMO_STR(action->payment_day == DEMO_NEVER ? "Announced" : "Paid"),
                DEMO_INT(action->rate), DEMO_INT(declared));
}

static void declare(struct demo_world *world, int investment)
{
    int payment_day = world->day + DEMO_PAYMENT_DAYS;
    struct action action = {
        .id = FIRST_ACTION_ID + ++world->distributions,
        .investment = investment,
        .payment_day = payment_day < DEMO_DAYS ? payment_day : DEMO_NEVER,
        /* 0.8 to 1.4 % of the price */
        .rate = demo_price_today(world, investment) * demo_random_in(&world->random, 80, 140) / 100,
    };

    for (int i = 0; i < world->opened; i++) {
        if (world->accounts[i].investment == investment)
            action.calculated += owed(&world->accounts[i], action.rate);
    }
    insert_action(world, &action);
    insert_components(world, &action);
    for (int i = 0; i < world->opened; i++) {
        struct demo_account *account = &world->accounts[i];

        if (account->investment == investment && account->units > 0)
            book_account(world, &action, account);
    }
}

void demo_declare_distributions(struct demo_world *world)
{
    if (!world->days[world->day].is_record_date)
        return;
    for (int i = 0; i < DEMO_INVESTMENTS; i++) {
        if (demo_investments[i].opening_price > 0)
            declare(world, i);
    }
}
