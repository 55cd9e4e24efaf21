# tools/embed.mk -- put the demo's schema and reports into reportd-demo, and the console into reportd.

$(O)/obj/demo/files.o: src/demo/files.S demo/schema.sql reports/EntityBalanceReport.sql \
		reports/TransactionSummary.sql reports/DistributionReconciliation.sql
	@mkdir -p $(@D)
	$(call say,AS) $(CC) -c $< -o $@

# The console is every file in web/, and Chart.js as Debian has it. The folder is newer when a file has come or gone.
CHART_JS ?= /usr/share/javascript/chart.js/chart.min.js
WEB := $(sort $(wildcard web/*))

$(CHART_JS):
	@echo "$@ is missing: the Debian package libjs-chart.js has it, which 'make deps' installs;" \
		"CHART_JS=FILE names another copy" >&2; exit 1

$(O)/web/files.c: tools/embed-web web $(WEB) $(CHART_JS)
	$(call say,EMBED) tools/embed-web $(@D) $(WEB) $(CHART_JS)

$(O)/obj/http/console_files.o: $(O)/web/files.c src/http/console.h
	@mkdir -p $(@D)
	$(call say,CC) $(CC) $(ALL_CFLAGS) -c $< -o $@
