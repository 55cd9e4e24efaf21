# tools/targets.mk -- the phony targets: deps, check, lint, demo.

.PHONY: deps-if-missing

deps-if-missing:
	@tools/deps --if-missing

deps: ## Install what the project needs (Debian packages)
	@tools/deps
