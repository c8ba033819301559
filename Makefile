# The two commands of the README are `make demo` and `make test`; each does all its own set-up in .venv.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
N      ?= 20
# One more than the cores of a small machine: many tests wait for a deadline.
WORKERS ?= 3

# Each of the hundreds of processes that the tests start would compile everything anew, where this is set.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-core test-server test-browser screenshots check format crash fuzz bench openapi clean

$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt uv 2>/dev/null || true
	@if [ -x $(BIN)/uv ]; then VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --compile-bytecode -c constraints.txt -e '.[all]' --group dev; \
	else $(BIN)/pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1' && $(BIN)/pip install --quiet -c constraints.txt -e '.[all]' --group dev; fi
	@touch $(STAMP)

demo: $(STAMP)  ## the product at work, with real processes and real kills, in a minute
	@$(BIN)/python examples/demo.py

test: $(STAMP)  ## every promise, at least sampled
	$(BIN)/pytest -n $(WORKERS) --dist worksteal

test-core: $(STAMP)
	$(BIN)/pytest tests/core tests/protocol tests/sdk tests/worker tests/architecture

test-server: $(STAMP)
	$(BIN)/pytest -n $(WORKERS) --dist worksteal tests/store tests/service tests/web tests/dashboard tests/e2e tests/crash tests/fuzz tests/faults tests/cli

test-browser: $(STAMP)  ## the dashboard in a real Chromium; skipped where there is none
	$(BIN)/pytest -n $(WORKERS) --dist worksteal tests/browser

screenshots: $(STAMP)  ## the README's pictures of the dashboard, taken anew
	$(BIN)/python -m tests.browser.screenshots .github/screenshots

check: $(STAMP)  ## lint, types, architecture
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy tests/sdk/typed_api.py
	$(BIN)/pytest -q tests/architecture

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

crash: $(STAMP)  ## N random SIGKILLs of server, caller and worker against journals kept outside; DB=postgres on PostgreSQL
	$(BIN)/python -m tests.crash.run --kills $(N) $(if $(DB),--database $(DB))

fuzz: N = 2000
fuzz: $(STAMP)  ## every boundary of openapi.yaml and N random requests against a real server; SEED=, DB=postgres
	$(BIN)/python -m tests.fuzz.run --cases $(N) $(if $(SEED),--seed $(SEED)) $(if $(DB),--database $(DB))

bench: $(STAMP)  ## what it costs, as JSON lines; ONLY="latency parked", QUICK=1, DB=postgres
	@$(BIN)/python -m bench $(ONLY) $(if $(QUICK),--scale 0.05) $(if $(DB),--database $(DB))

openapi: $(STAMP)
	$(BIN)/python -m signoff_server.web.openapi > openapi.yaml

clean:
	rm -rf $(VENV)
