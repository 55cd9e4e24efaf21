/* src/http/probe.h -- somebody else's inside. */
#include "store/store_impl.h"
