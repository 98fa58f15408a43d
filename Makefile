# `make` prints the targets. Each sets up what it needs in .venv: nothing but git, make and Python >= 3.11 with pip is assumed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DOCS_READY := $(VENV)/.docs-ready
BENCH := .venv-bench
FLOORS := .venv-floors
LATEST := .venv-latest
PIN ?=

# What runs while one works: no test that starts a training, several processes or a download.
QUICK := -m 'not slow and not distributed and not index and not shared' tests/base tests/data tests/metrics tests/recipe tests/report tests/sandbox tests/text
# What depends on the versions of the libraries: all but the slow tests, and stderr, which only real commands show.
LANE = OMP_NUM_THREADS=1 $(1)/bin/python -m pytest -q --numprocesses auto --dist loadfile -m 'not slow'
STDERR = OMP_NUM_THREADS=1 $(1)/bin/python -m pytest -q tests/e2e/test_stderr.py

.DEFAULT_GOAL := help
.PHONY: FORCE help demo hooks check quick test test-floors test-latest test-hosts docs soak golden bench scaling wheel clean

help: ## print this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

$(DOCS_READY): $(READY)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	@touch $@

demo: $(READY) ## fine-tune MiniLM on movie reviews and say where the report lies (about 3 minutes on 2 cores)
	$(BIN)/llmkit finetune sentiment

hooks: $(READY) ## check format, lint and types before each commit (.pre-commit-config.yaml)
	$(BIN)/pre-commit install

check: $(READY) $(DOCS_READY) ## format, lint, types, architecture, documentation (under a minute)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py tests/docs/test_reference.py
	$(BIN)/zensical build --clean --strict

quick: $(READY) ## the fast unit tests, to run while working (under two minutes on 2 cores)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q --numprocesses auto --dist loadfile $(QUICK)

test: $(READY) ## all tests, a file to a core (about a quarter of an hour on 2 cores)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q --numprocesses auto --dist loadfile

$(FLOORS)/constraints.txt: FORCE
	@mkdir -p $(FLOORS)
	@$(PYTHON) tools/floors.py $(PIN) > $@.new
	@cmp -s $@.new $@ || mv $@.new $@  # only a change makes a new installation

$(FLOORS)/.ready: $(FLOORS)/constraints.txt
	$(PYTHON) -m venv $(FLOORS)
	$(FLOORS)/bin/python -m pip install --quiet --constraint $(FLOORS)/constraints.txt --editable '.[dev]'
	@touch $@

test-floors: $(FLOORS)/.ready ## test with the lowest allowed version of each dependency (PIN=torch==2.13.0: but this torch)
	$(call LANE,$(FLOORS))
	$(call STDERR,$(FLOORS))

test-latest: ## test with the newest version of each dependency (PIN=torch==2.13.0: but this torch)
	test -d $(LATEST) || $(PYTHON) -m venv $(LATEST)
	$(LATEST)/bin/python -m pip install --quiet --upgrade --upgrade-strategy eager $(PIN) --editable '.[dev]'
	$(call LANE,$(LATEST))
	$(call STDERR,$(LATEST))

test-hosts: $(READY) ## run the numeric tests under several instruction sets and thread counts (a quarter of an hour on 2 cores)
	$(BIN)/python -m tests.hosts

docs: $(DOCS_READY) ## generate the reference pages and build the documentation in site/ (a broken link fails)
	$(BIN)/python tools/reference.py
	$(BIN)/zensical build --clean --strict

soak: $(READY) ## break runs in every way there is and go on with them: 250 kills, 40 signals, ... (16 minutes of CPU time)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.soak long

golden: $(READY) ## rewrite the recorded figures in tests/golden (say why in the commit)
	$(BIN)/python -m pytest -q tests/golden --rewrite-golden

$(BENCH)/.ready: pyproject.toml constraints.txt bench/requirements.txt
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --constraint constraints.txt --requirement bench/requirements.txt --editable .
	@touch $@

bench: $(BENCH)/.ready ## measure beside Trainer, TRL, pipeline and others (hours; SUITES="predict metrics": minutes)
	$(BENCH)/bin/python bench/run.py $(SUITES)

scaling: $(BENCH)/.ready ## measure how training grows, and fit bench/scaling.md (an hour)
	$(BENCH)/bin/python bench/run.py scaling --name scaling
	$(BENCH)/bin/python bench/scaling.py --name scaling

wheel: $(READY) ## build the wheel and the source archive into dist/
	$(BIN)/python -m build --outdir dist

clean: ## remove the environment and everything built (runs/ and the cache stay)
	rm -rf $(VENV) $(BENCH) $(FLOORS) $(LATEST) build dist site .mypy_cache .pytest_cache .ruff_cache .hypothesis
