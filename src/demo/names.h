/* src/demo/names.h -- made-up names of entities. */
#pragma once

#include "demo/random.h"

enum { DEMO_NAME = 120 }; /* bytes of a name with its NUL */

/* Write a name (UTF-8); returns the kind of entity it belongs to, static, one that the schema
 * knows. */
const char *demo_name(struct demo_random *random, char name[DEMO_NAME]);
