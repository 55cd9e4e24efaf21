/* src/core/right.h -- … which needs the left. */
#include "core/left.h"
