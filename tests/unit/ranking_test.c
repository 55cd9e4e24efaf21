/* tests/unit/ranking_test.c -- an ordered set knows the rank of each element. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/ranking.h"
#include "base/thread.h"

enum { COUNT = 500, STEPS = 20000 };

struct element {
    struct rank_node node;
    int key;
};

static const struct element *element_of(const struct rank_node *node)
{
    return container_of((struct rank_node *)node, struct element, node);
}

static int compare(const struct rank_node *a, const struct rank_node *b)
{
    return element_of(a)->key - element_of(b)->key;
}

static void an_empty_one_has_no_ranks(void **state)
{
    struct ranking ranking;
    const struct element wanted = {.key = 1};

    (void)state;
    ranking_init(&ranking, compare);
    assert_int_equal(ranking_count(&ranking), 0);
    assert_null(ranking_at(&ranking, 0));
    assert_int_equal(ranking_rank(&ranking, &wanted.node), 0);
}

static void what_is_not_in_has_the_rank_of_its_place(void **state)
{
    struct ranking ranking;
    struct element elements[] = {{.key = 10}, {.key = 20}};
    const struct element between = {.key = 15}, behind = {.key = 25};

    (void)state;
    ranking_init(&ranking, compare);
    ranking_insert(&ranking, &elements[1].node);
    ranking_insert(&ranking, &elements[0].node);
    assert_int_equal(ranking_rank(&ranking, &elements[0].node), 0);
    assert_int_equal(ranking_rank(&ranking, &between.node), 1);
    assert_int_equal(ranking_rank(&ranking, &behind.node), 2);
}

static void assert_ranks(const struct ranking *ranking, const struct element *elements)
{
    size_t rank = 0;

    for (int i = 0; i < COUNT; i++) {
        if (elements[i].node.size == 0)
            continue;
        assert_ptr_equal(ranking_at(ranking, rank), &elements[i].node);
        assert_int_equal(ranking_rank(ranking, &elements[i].node), rank);
        rank++;
    }
    assert_int_equal(ranking_count(ranking), rank);
    assert_null(ranking_at(ranking, rank));
}

static void ranks_hold_while_elements_come_and_go(void **state)
{
    struct ranking ranking;
    struct element *elements = calloc(COUNT, sizeof(*elements));
    uint32_t random = 1;

    (void)state;
    assert_non_null(elements);
    ranking_init(&ranking, compare);
    for (int i = 0; i < COUNT; i++)
        elements[i].key = i;
    for (int step = 0; step < STEPS; step++) {
        struct element *one;

        random = random * 1664525 + 1013904223; /* Knuth: the same in every run */
        one = &elements[(random >> 8) % COUNT];
        if (one->node.size == 0)
            ranking_insert(&ranking, &one->node);
        else
            ranking_remove(&ranking, &one->node);
        if (step % 100 == 0)
            assert_ranks(&ranking, elements);
    }
    free(elements);
}

static size_t depth_of(const struct rank_node *node)
{
    size_t left, right;

    if (node == NULL)
        return 0;
    left = depth_of(node->left);
    right = depth_of(node->right);
    return 1 + (left > right ? left : right);
}

/* In order is what a plain tree would become a list of; 60 is four times the logarithm. */
static void it_stays_shallow(void **state)
{
    enum { MANY = 30000 };
    struct ranking ranking;
    struct element *elements = calloc(MANY, sizeof(*elements));

    (void)state;
    assert_non_null(elements);
    ranking_init(&ranking, compare);
    for (int i = 0; i < MANY; i++) {
        elements[i].key = i;
        ranking_insert(&ranking, &elements[i].node);
    }
    assert_true(depth_of(ranking.root) < 60);
    free(elements);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_one_has_no_ranks),
        cmocka_unit_test(what_is_not_in_has_the_rank_of_its_place),
        cmocka_unit_test(ranks_hold_while_elements_come_and_go),
        cmocka_unit_test(it_stays_shallow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
