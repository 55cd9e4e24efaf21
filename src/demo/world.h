/* src/demo/world.h -- the registry in the generator's memory, moving day by day. Units,
 * quantities, prices and money are scaled as in demo/schema.sql. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "demo/db.h"

/* ---- repeatable pseudo-random numbers; not for secrets ---- */

/* SplitMix64: Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014.
 * Any seed is good, and the same seed gives the same numbers on every machine. */
struct demo_random {
    uint64_t state;
};

static inline uint64_t demo_random_next(struct demo_random *random)
{
    uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* From `lowest` to `highest`, both included; the range must be below 2^31. Slightly uneven (by at
 * most range / 2^32), which made-up data can bear. */
static inline int64_t demo_random_in(struct demo_random *random, int64_t lowest, int64_t highest)
{
    uint64_t range = (uint64_t)(highest - lowest) + 1;

    return lowest + (int64_t)(((demo_random_next(random) >> 32) * range) >> 32);
}

/* True `share` times in a thousand. */
static inline bool demo_random_permille(struct demo_random *random, int share)
{
    return demo_random_in(random, 0, 999) < share;
}

/* ---- the registry ---- */

enum {
    DEMO_FIRST_DAY = 19541, /* 2023-07-03, a Monday, in days since 1970 */
    DEMO_LAST_DAY = 20269,  /* 2025-06-30: two Australian financial years */
    DEMO_DAYS = 521,        /* the Mondays to Fridays between them, both included */
    DEMO_PAYMENT_DAYS = 10, /* business days from record date to payment: two weeks */
    DEMO_NEVER = DEMO_DAYS, /* a day that does not come */
    DEMO_INVESTMENTS = 10,
    DEMO_NOBODY = -1,
};

struct demo_day {
    char text[CLOCK_DATE_TEXT];
    bool is_record_date; /* the last business day of a quarter */
};

/* What is offered: static, in demo_products.c. */
struct demo_product {
    int64_t id;
    const char *name;
    int share; /* of a hundred accounts */
    int first_investment, investments;
};
struct demo_investment {
    int64_t id;
    int product; /* index */
    const char *code, *name;
    int64_t opening_price; /* 0: no price yet, nothing can be bought */
    int drift, swing;      /* of the price in a day, in 1/100000 */
};
extern const struct demo_product demo_products[];
extern const size_t demo_product_count;
extern const struct demo_investment demo_investments[DEMO_INVESTMENTS];

enum { DEMO_NAME = 120 }; /* bytes of a name with its NUL */

/* demo_names.c: write an entity's name (UTF-8); returns the kind of entity it belongs to, static,
 * one that the schema knows. */
const char *demo_name(struct demo_random *random, char name[DEMO_NAME]);

struct demo_account {
    int64_t id, entity_id;
    int investment; /* index */
    int sibling;    /* index of the entity's account in another investment of the same product,
                     * or DEMO_NOBODY */
    int open_day, close_day;
    int place; /* in `active`, or DEMO_NOBODY */
    int64_t units;
    int64_t reinvest_due; /* money of a distribution that buys units on its payment date */
    int withholding;      /* percent of distributions kept back for tax */
    bool reinvests;
};

struct demo_world {
    struct demo_db *db;
    struct demo_random random;
    struct demo_day days[DEMO_DAYS];
    int64_t prices[DEMO_INVESTMENTS][DEMO_DAYS];
    struct demo_account *accounts;       /* in the order in which they open */
    int account_count, opened;           /* `opened`: how many have come up so far */
    int *active, active_count;           /* indexes of the open accounts, in no order */
    int day;                             /* today */
    int64_t transactions, distributions; /* so far; their last ids */
    int64_t target;                      /* transactions there shall be by the end of today */
};

/* Insert a row: one cell a column. */
#define DEMO_INSERT(world, table, ...)                                                             \
    demo_db_insert((world)->db, DEMO_##table, (const struct demo_cell[]){__VA_ARGS__},             \
                   sizeof((const struct demo_cell[]){__VA_ARGS__}) / sizeof(struct demo_cell))

/* demo_trades.c: open, close and trade until today has its share of the transactions. */
void demo_trade_day(struct demo_world *world);
/* An Allotment of units for `amount`. */
void demo_allot(struct demo_world *world, struct demo_account *account, int64_t amount,
                const char *comment);

/* demo_distributions.c: pay what is due today, in the morning … */
void demo_pay_distributions(struct demo_world *world);
/* … and declare what has its record date today, after the day's trading. */
void demo_declare_distributions(struct demo_world *world);

static inline const struct demo_investment *demo_investment_of(const struct demo_account *account)
{
    return &demo_investments[account->investment];
}

static inline int64_t demo_price_today(const struct demo_world *world, int investment)
{
    return world->prices[investment][world->day];
}
