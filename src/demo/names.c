/* src/demo/names.c -- names composed of parts: people, couples, companies, trusts. */
#include <stdio.h>

#include "demo/world.h"

#define COUNT(array) ((int64_t)(sizeof(array) / sizeof((array)[0])))

static const char *const given[] = {
    "Olivia",  "Noah",   "Isla",    "Oliver",  "Amelia",  "Jack",   "Mia",    "William", "Ava",
    "Leo",     "Grace",  "Henry",   "Chloé",   "Thomas",  "Zoë",    "Lucas",  "Harper",  "James",
    "Matilda", "Hamish", "Priya",   "Arjun",   "Mei",     "Wei",    "Ngaire", "Tāne",    "Yuki",
    "Hiroshi", "Fatima", "Omar",    "Siobhán", "Declan",  "Ingrid", "Björn",  "Sofia",   "Mateo",
    "Aroha",   "Kiri",   "Lachlan", "Elena",   "Dimitri", "Giulia", "Marco",  "Huong",   "Minh",
};

static const char *const family[] = {
    "Smith",    "Nguyen",   "Williams", "Brown",    "Singh",        "O'Brien",  "Wilson",
    "Chen",     "Taylor",   "Kelly",    "Martin",   "Patel",        "Anderson", "Tran",
    "Thompson", "McDonald", "White",    "Kaur",     "Papadopoulos", "Rossi",    "Müller",
    "García",   "Kowalski", "Nakamura", "Te Rangi", "Fitzgerald",   "Haddad",   "Sørensen",
    "Campbell", "Ivanović", "Larsson",  "Moreau",   "Cooper",       "Ryan",     "Walker",
    "Van Dyk",  "D'Angelo", "Murphy",   "Lê",       "Abdullah",
};

static const char *const place[] = {
    "Banksia", "Ironbark", "Bluegum", "Coral Bay", "Red Hill",    "Silverton", "Kestrel",
    "Wattle",  "Southern", "Harbour", "Jacaranda", "Stony Creek", "Lyrebird",  "Mulga",
};

static const char *const trade[] = {
    "Holdings",   "Investments", "Engineering", "Pastoral",   "Medical Services", "Nominees",
    "Properties", "Transport",   "Vineyards",   "Consulting", "& Daughters",
};

#define PICK(array) ((array)[demo_random_in(random, 0, COUNT(array) - 1)])

static void individual(struct demo_random *random, char *name)
{
    const char *first = PICK(given), *last = PICK(family);

    snprintf(name, DEMO_NAME, "%s %c. %s", first, (char)demo_random_in(random, 'A', 'W'), last);
}

static void joint(struct demo_random *random, char *name)
{
    const char *one = PICK(given), *other = PICK(given), *last = PICK(family);

    snprintf(name, DEMO_NAME, "%s & %s %s", one, other, last);
}

static void company(struct demo_random *random, char *name)
{
    const char *where = PICK(place), *what = PICK(trade);

    snprintf(name, DEMO_NAME, "%s %s Pty Ltd", where, what);
}

static void trust(struct demo_random *random, char *name)
{
    static const char *const forms[] = {"Family Trust", "Superannuation Fund", "\"Legacy\" Trust",
                                        "Foundation"};
    const char *who = PICK(family), *form = PICK(forms);

    snprintf(name, DEMO_NAME, "%s %s", who, form);
}

const char *demo_name(struct demo_random *random, char name[DEMO_NAME])
{
    static const struct {
        int share; /* percent */
        const char *kind;
        void (*write)(struct demo_random *random, char *name);
    } kinds[] = {
        {55, "Individual", individual},
        {15, "Joint", joint},
        {12, "Company", company},
        {18, "Trust", trust},
    };
    int64_t drawn = demo_random_in(random, 0, 99);
    size_t i = 0;

    while (drawn >= kinds[i].share) {
        drawn -= kinds[i].share;
        i++;
    }
    kinds[i].write(random, name);
    return kinds[i].kind;
}
