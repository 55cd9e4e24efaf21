/* tests/fuzz/fuzz.h -- what every target offers: libFuzzer's entry point. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Run one input; aborts if something that must hold does not. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
