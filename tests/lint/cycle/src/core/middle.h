/* src/core/middle.h -- … which needs the right, … */
#include "core/right.h"
