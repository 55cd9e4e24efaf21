/* src/demo/products.c -- the products of the demo and their investments, all fictitious. */
#include "demo/world.h"

const struct demo_product demo_products[] = {
    {121, "Saltbush Cash Fund", 12, 0, 2},
    {122, "Saltbush Fixed Income Fund", 13, 2, 2},
    {123, "Saltbush Diversified Growth Fund", 60, 4, 3},
    {124, "Saltbush Global Shares Fund", 15, 7, 2},
    {125, "Saltbush Infrastructure Fund", 0, 9, 1}, /* not open yet: for reports without rows */
};
const size_t demo_product_count = sizeof(demo_products) / sizeof(demo_products[0]);

const struct demo_investment demo_investments[DEMO_INVESTMENTS] = {
    {1211, 0, "SBC0001AU", "Class A", 10000, 9, 2},
    {1212, 0, "SBC0002AU", "Class W", 10000, 10, 2},
    {1221, 1, "SBF0001AU", "Class A", 10450, 12, 180},
    {1222, 1, "SBF0002AU", "Class W", 9920, 13, 180},
    {1231, 2, "SBD0001AU", "Class A", 38425, 25, 620},
    {1232, 2, "SBD0002AU", "Class B", 15108, 24, 620},
    {1233, 2, "SBD0003AU", "Class W", 10277, 28, 620},
    {1241, 3, "SBG0001AU", "Class A", 26011, 38, 1100},
    {1242, 3, "SBG0002AU", "Class W", 12904, 40, 1100},
    {1251, 4, "SBI0001AU", "Class A", 0, 0, 0},
};
