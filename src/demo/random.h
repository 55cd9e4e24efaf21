/* src/demo/random.h -- repeatable pseudo-random numbers for the demo's data; not for secrets. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

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
