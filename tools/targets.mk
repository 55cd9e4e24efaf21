# tools/targets.mk -- the phony targets: what a person types.

.PHONY: check-slow screenshots bench bench-deps deps-test deps-if-missing deps-test-if-missing libraries test-libraries programs unit-programs threads torture simulation bench-cancel demo-cluster

help: ## List the targets
	@grep -hE '^[a-z][a-z0-9-]*:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | sort | expand -t 16

deps: ## Install what building needs (Debian packages)
	@tools/deps

deps-test: ## Install what building and testing need (Debian packages)
	@tools/deps test

# As a first step of what a person types on a fresh machine. Building itself installs nothing.
deps-if-missing:
	@tools/deps --if-missing

deps-test-if-missing:
	@tools/deps --if-missing test

# $(call need,MODULES,TARGET): fail, with what to do, unless pkg-config knows them all.
need = @command -v pkg-config >/dev/null || { echo "there is no pkg-config here; 'make $(2)' installs it on Debian" >&2; exit 1; }; \
	missing=$$(for module in $(1); do pkg-config --exists $$module 2>/dev/null || printf ' %s' $$module; done); \
	[ -z "$$missing" ] || { echo "pkg-config does not find:$$missing; on Debian 'make $(2)' installs what is missing," \
		"elsewhere install these libraries with their headers, or set PKG_CONFIG_PATH" >&2; exit 1; }

libraries:
	$(call need,$(sort $(PKGS) $(CTL_PKGS)),deps)

test-libraries: libraries
	$(call need,$(TEST_PKGS),deps-test)

programs: libraries
	@$(MAKE) --no-print-directory $(O)/reportd $(O)/reportctl $(O)/reportd-demo

unit-programs: test-libraries
	@$(MAKE) --no-print-directory $(UNIT)

check: deps-test-if-missing ## Run every test suite under ASan and UBSan (threads under TSan)
	@tools/check

check-slow: deps-test-if-missing ## Run the tests that need LibreOffice, Chromium or packages of npm, or minutes
	@tools/check slow

unit: deps-test-if-missing ## Run the unit and contract tests only
	@tools/check unit

threads: deps-test-if-missing ## Run what has threads under TSan only
	@tools/check threads

e2e: deps-test-if-missing ## Run the end-to-end tests only
	@tools/check e2e

screenshots: programs ## Make again the pictures of the console in doc/
	@tools/deps --if-missing chromium chromium-driver python3-selenium
	@REPORTD_BIN=$(CURDIR)/$(O)/reportd $(PYTHON) tests/browser/screenshots.py

N ?= 5m
NODES ?= 1
torture: deps-test-if-missing ## Kill and starve servers under load, check their answers (N=30m or N=5000, SEED=, NODES=3)
	@$(MAKE) --no-print-directory -j2 MODE=asan programs
	@$(PYTHON) tests/torture/torture.py --length $(N) --nodes $(NODES) $(if $(SEED),--seed $(SEED))

simulation: test-libraries ## Simulate whose reports start, for as long as doc/decisions/0020 says
	@$(MAKE) --no-print-directory $(O)/tests/fair_queue_test
	@$(O)/tests/fair_queue_test full

bench-cancel: programs ## Time 200 deletes of running queries (MODE=release)
	@REPORTD_BIN=$(CURDIR)/$(O)/reportd $(PYTHON) bench/cancel.py

lint: deps-test-if-missing ## Enforce the rules of the code
	@tools/lint
	@! command -v node >/dev/null || for file in web/*.js; do node --input-type=module --check <$$file || exit 1; done
	@tests/lint/self_test.py
	@tools/gen-docs --check

format: ## Format the code in place
	clang-format -i $(wildcard src/*/*.[ch] tests/*/*.[ch])

docs: programs ## Make again the pages that come from tables in the code
	@tools/gen-docs

demo: deps-if-missing ## Show the whole life of three reports, on a registry made for it
	@tools/demo-run

run: deps-if-missing ## Run the demo and keep serving
	@tools/demo-run --keep-serving

demo-cluster: deps-test-if-missing programs ## Show 300 reports over three nodes, one of them killed, on a PostgreSQL made for it
	@$(PYTHON) tools/demo-cluster

bench: deps-test-if-missing ## Measure everything beside its limit and its peers (CASE=status: one case)
	@$(PYTHON) bench/run.py $(CASE)

bench-deps: ## Install what the bench needs (Debian packages, peers from npm into build/)
	@tools/bench-deps

PREFIX ?= /usr/local
install: programs ## Install programs, man pages, completions and the systemd unit under PREFIX
	@PREFIX=$(PREFIX) DESTDIR=$(DESTDIR) tools/install $(O)

uninstall: ## Remove what make install has put under PREFIX; configuration, reports and results stay
	@PREFIX=$(PREFIX) DESTDIR=$(DESTDIR) tools/install --remove $(O)

deb: ## Build the Debian packages reportd and reportd-client into build/
	@tools/deps --if-missing debhelper
	@tools/deb

clean: ## Remove what was built
	rm -rf build
