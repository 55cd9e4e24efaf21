/* src/http/report_receipt.h -- the receipt that the answer to a deletion carries. */
#pragma once

#include "http/exchange.h"
#include "http/receipt.h"

/* Fill in who asked, node and times, and sign it: yours to free(). NULL: no memory, which is
 * logged; what is deleted stays so. */
char *report_receipt(struct exchange *ex, struct receipt *receipt);
