# tools/embed.mk -- put the demo's schema and reports into the binary. Include it after LIB is defined.

$(LIB): $(O)/obj/cli/demo_files.o

$(O)/obj/cli/demo_files.o: src/cli/demo_files.S demo/schema.sql reports/EntityBalanceReport.sql \
		reports/TransactionSummary.sql reports/DistributionReconciliation.sql
	@mkdir -p $(@D)
	$(call say,AS) $(CC) -c $< -o $@
