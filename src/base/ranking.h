/* src/base/ranking.h -- an ordered set of a caller's elements that knows the rank of each: a tree
 * that is balanced by chance, with the size of each branch. All calls take a time that grows with
 * the logarithm of the number of elements, and none allocates. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In the caller's element. Its order must not change while it is in. */
struct rank_node {
    struct rank_node *left, *right;
    size_t size; /* of the branch; 0: it is not in a ranking */
    uint32_t priority;
};

/* Negative: `a` comes before `b`. Never 0 of two that are in. */
typedef int rank_compare_fn(const struct rank_node *a, const struct rank_node *b);

struct ranking {
    rank_compare_fn *compare;
    struct rank_node *root;
    uint32_t random; /* of the priorities */
};

void ranking_init(struct ranking *ranking, rank_compare_fn *compare);
void ranking_insert(struct ranking *ranking, struct rank_node *node);
void ranking_remove(struct ranking *ranking, struct rank_node *node);
/* The element of this rank, counted from 0; NULL: there are not that many. */
struct rank_node *ranking_at(const struct ranking *ranking, size_t rank);
/* How many come before `node`, which is in, or has the place of one that may be. */
size_t ranking_rank(const struct ranking *ranking, const struct rank_node *node);
size_t ranking_count(const struct ranking *ranking);
