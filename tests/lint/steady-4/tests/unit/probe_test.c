#include "base/clock.h"

static void it_is_fast(void **state)
{
    int64_t began_ms = clock_mono_ms();

    (void)state;
    assert_true(clock_mono_ms() - began_ms < 100);
}
