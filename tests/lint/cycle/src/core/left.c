/* src/core/left.c -- … but its file needs the middle, … */
#include "core/left.h"

#include "core/middle.h"
