# `make demo` and `make test` set up all that they need: Python 3.11 or later and make suffice.
# Another Python: make test PYTHON=python3.12

.DEFAULT_GOAL := help
BIN := .venv/bin
PROJECTS := pyproject.toml core/pyproject.toml $(wildcard plugins/*/pyproject.toml)
SET_UP := scripts/set-up.sh scripts/environments.sh scripts/find-python.sh
# Four processes, on two cores too: tests wait a lot, for servers of their own. Each file's tests
# stay together, with the servers that they share, and in their order: a file of few long tests is
# not left to the end.
PROCESSES := --numprocesses 4 --dist loadfile --no-loadscope-reorder
# The tests of sources need the frameworks, which have environments of their own.
# Tests kill processes that are counted: combining may tell of a file or two that are no data.
define COUNTED
$(BIN)/coverage erase
$(BIN)/coverage run -m pytest $(PROCESSES)
@MAKE='$(MAKE)' sh scripts/test-sources.sh --counted
$(BIN)/coverage combine --quiet
@rm -f .coverage/data.*
endef
# Thousands of processes are started: what one has compiled, the others load.
unexport PYTHONDONTWRITEBYTECODE
BENCHES := ours peer neighbours frameworks

.PHONY: help demo test test-sources test-faults test-jaeger lint format docs coverage bench bench-web bench-fleet clean

help: ## Print this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)$$/\1|\2/p' Makefile | while IFS='|' read -r name text; do \
		printf 'make %-12s %s\n' "$$name" "$$text"; done

demo: .venv/.runs ## Show the whole at work: no server, no configuration
	@$(BIN)/hvobs demo --journal .cache/demo

test: lint ## Check and test everything, then the unit tests on every further Python
	$(COUNTED)
	$(BIN)/coverage report --fail-under=95
	@MAKE='$(MAKE)' sh scripts/test-other-pythons.sh

test-sources: ## Test the sources with the oldest and the newest frameworks that they know
	@MAKE='$(MAKE)' sh scripts/test-sources.sh --all $(SOURCES)

test-faults: .venv/.tests ## Break things for a quarter of an hour; FAULTS=--quick for some minutes
	@$(BIN)/python -m tests.faults $(FAULTS)

test-jaeger: .venv/.tests ## Build Jaeger with Go, some 4 minutes once, and test against it
	@sh scripts/build-jaeger.sh .servers/bin/jaeger
	$(BIN)/python -m pytest tests/backends/test_jaeger_server.py

lint: .venv/.tests ## Check style, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/.tests ## Format the code and sort the imports
	$(BIN)/ruff check --select I --fix .
	$(BIN)/ruff format .

docs: .cache/docs/.runs ## Build the documentation's site into .cache/site
	@sh scripts/build-docs.sh .cache/docs .cache/site

coverage: .venv/.tests ## Run the tests and write .coverage/html/index.html
	$(COUNTED)
	$(BIN)/coverage report
	$(BIN)/coverage html

bench: $(BENCHES:%=.cache/bench-%/.runs) ## Measure against other libraries; BENCH=--quick for a minute
	@.cache/bench-ours/bin/python -m benchmarks $(BENCH)

bench-web: .venv/.tests ## Measure the page in Chromium, some 15 minutes; BENCH=--quick for two
	@$(BIN)/python -m benchmarks.web $(BENCH)

bench-fleet: .venv/.tests ## Measure a fleet on a real server, some minutes; BENCH=--quick for one
	@$(BIN)/python -m benchmarks.fleet $(BENCH)

clean: ## Remove what these commands have made
	rm -rf .venv .venv-* .servers .cache .coverage .hypothesis .import_linter_cache \
		.mypy_cache .pytest_cache .ruff_cache
	find core plugins tests docs benchmarks scripts -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp stands for an environment that fits the project files.
.venv/.runs: $(PROJECTS) $(SET_UP)
	@sh scripts/set-up.sh .venv
	@touch $@

.venv/.tests: $(PROJECTS) $(SET_UP)
	@sh scripts/set-up.sh .venv test lint servers
	@touch .venv/.runs $@

.cache/docs/.runs: $(PROJECTS) $(SET_UP)
	@sh scripts/set-up.sh .cache/docs docs
	@touch $@

# What is measured, and what it is measured against: an environment each.
.cache/bench-ours/.runs: $(PROJECTS) $(SET_UP)
	@sh scripts/set-up.sh .cache/bench-ours bench
	@touch $@

.cache/bench-frameworks/.runs: benchmarks/frameworks.txt $(PROJECTS) $(SET_UP)
	@sh scripts/set-up.sh $(@D) benchmarks/frameworks.txt
	@touch $@

.cache/bench-%/.runs: benchmarks/%.txt benchmarks/set-up.sh scripts/environments.sh scripts/find-python.sh
	@sh benchmarks/set-up.sh .cache/bench-$* $<
	@touch $@

# The environments of frameworks, for scripts/test-sources.sh. One whose requirements have changed
# is made from nothing, so that none of the earlier ones are left in it.
define FRAMEWORK
$(if $(filter %.txt,$?),@rm -rf $(@D))
@sh scripts/set-up.sh $(@D) sources $(filter %.txt,$^)
@touch $@
endef

.cache/sources/%-oldest/.tests: tests/sources/%/requirements-oldest.txt $(PROJECTS) $(SET_UP)
	$(FRAMEWORK)

.cache/sources/%/.tests: tests/sources/%/requirements.txt $(PROJECTS) $(SET_UP)
	$(FRAMEWORK)

# The environments of further Pythons, for scripts/test-other-pythons.sh.
.venv-%/.tests: $(PROJECTS) $(SET_UP)
	@sh scripts/set-up.sh .venv-$* test
	@touch $@
