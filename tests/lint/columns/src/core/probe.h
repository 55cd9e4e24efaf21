/* src/core/probe.h -- a line that no formatter can break. */
#include "core/a_name_that_goes_on_and_on_and_on_until_it_has_left_the_page_on_the_right_side_of_it.h"
