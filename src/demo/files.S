/* src/demo/files.S -- the demo's schema and reports as NUL-terminated bytes; assembled by tools/embed.mk. */
    .section .rodata

    .global demo_schema_sql
demo_schema_sql:
    .incbin "demo/schema.sql"
    .byte 0

    .global demo_entity_balance_report_sql
demo_entity_balance_report_sql:
    .incbin "reports/EntityBalanceReport.sql"
    .byte 0

    .global demo_transaction_summary_sql
demo_transaction_summary_sql:
    .incbin "reports/TransactionSummary.sql"
    .byte 0

    .global demo_distribution_reconciliation_sql
demo_distribution_reconciliation_sql:
    .incbin "reports/DistributionReconciliation.sql"
    .byte 0

    .section .note.GNU-stack,"",%progbits
