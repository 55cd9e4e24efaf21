# tools/embed.mk -- put the demo's schema and reports into reportd-demo.

$(O)/obj/demo/files.o: src/demo/files.S demo/schema.sql reports/EntityBalanceReport.sql \
		reports/TransactionSummary.sql reports/DistributionReconciliation.sql
	@mkdir -p $(@D)
	$(call say,AS) $(CC) -c $< -o $@
