/* src/core/probe.h -- core looks up. */
#include "store/store.h"
