/* src/core/left.h -- the header needs nothing, … */
