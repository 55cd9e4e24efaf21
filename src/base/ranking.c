/* src/base/ranking.c -- an ordered set that knows the rank of each element: a treap with sizes. */
#include "base/ranking.h"

#include "base/check.h"

static size_t rank_size(const struct rank_node *node)
{
    return node != NULL ? node->size : 0;
}

static void measure(struct rank_node *node)
{
    node->size = 1 + rank_size(node->left) + rank_size(node->right);
}

/* xorshift32 (Marsaglia): random enough for a balanced tree, and the same in every run. */
static uint32_t next_random(struct ranking *ranking)
{
    uint32_t x = ranking->random;

    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return ranking->random = x;
}

void ranking_init(struct ranking *ranking, rank_compare_fn *compare)
{
    *ranking = (struct ranking){.compare = compare, .random = 2463534242};
}

/* Split `tree` into the nodes before `node` and those after it. */
static void split_tree(const struct ranking *ranking, struct rank_node *tree,
                       const struct rank_node *node, struct rank_node **left,
                       struct rank_node **right)
{
    if (tree == NULL) {
        *left = *right = NULL;
    } else if (ranking->compare(tree, node) < 0) {
        split_tree(ranking, tree->right, node, &tree->right, right);
        *left = tree;
        measure(tree);
    } else {
        split_tree(ranking, tree->left, node, left, &tree->left);
        *right = tree;
        measure(tree);
    }
}

/* All of `left` come before all of `right`. */
static struct rank_node *merge(struct rank_node *left, struct rank_node *right)
{
    if (left == NULL || right == NULL)
        return left != NULL ? left : right;
    if (left->priority > right->priority) {
        left->right = merge(left->right, right);
        measure(left);
        return left;
    }
    right->left = merge(left, right->left);
    measure(right);
    return right;
}

void ranking_insert(struct ranking *ranking, struct rank_node *node)
{
    struct rank_node **link = &ranking->root;

    CHECK(node->size == 0);
    node->priority = next_random(ranking);
    while (*link != NULL && (*link)->priority > node->priority) {
        (*link)->size++;
        link = ranking->compare(*link, node) < 0 ? &(*link)->right : &(*link)->left;
    }
    split_tree(ranking, *link, node, &node->left, &node->right);
    measure(node);
    *link = node;
}

void ranking_remove(struct ranking *ranking, struct rank_node *node)
{
    struct rank_node **link = &ranking->root;

    CHECK(node->size > 0);
    while (*link != node) {
        CHECK(*link != NULL);
        (*link)->size--;
        link = ranking->compare(*link, node) < 0 ? &(*link)->right : &(*link)->left;
    }
    *link = merge(node->left, node->right);
    node->size = 0;
}

struct rank_node *ranking_at(const struct ranking *ranking, size_t rank)
{
    struct rank_node *node = ranking->root;

    while (node != NULL && rank != rank_size(node->left)) {
        bool beyond = rank > rank_size(node->left);

        rank -= beyond ? rank_size(node->left) + 1 : 0;
        node = beyond ? node->right : node->left;
    }
    return node;
}

size_t ranking_rank(const struct ranking *ranking, const struct rank_node *node)
{
    size_t rank = 0;

    for (const struct rank_node *at = ranking->root; at != NULL;) {
        bool before = at != node && ranking->compare(at, node) < 0;

        rank += before ? rank_size(at->left) + 1 : 0;
        at = before ? at->right : at->left;
    }
    return rank;
}

size_t ranking_count(const struct ranking *ranking)
{
    return rank_size(ranking->root);
}
