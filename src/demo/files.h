/* src/demo/files.h -- the texts that `reportd demo` writes, carried inside the binary. */
#pragma once

/* NUL-terminated; embedded by demo_files.S, so that the demo works wherever it is installed. */
extern const char demo_schema_sql[];
extern const char demo_entity_balance_report_sql[];
extern const char demo_transaction_summary_sql[];
extern const char demo_distribution_reconciliation_sql[];
