PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SERVING := $(addprefix tests/test_,$(addsuffix .py,data_path targets deploy redeploy tune metrics_live http ids disconnects))
export TOKENIZERS_PARALLELISM = false
export HF_HUB_OFFLINE ?= 1

.PHONY: setup demo test test-python-path lint bench bench-peers bench-redeploy bench-metrics bench-panel bench-rag chaos soak conformance lab models clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@echo "Installing into $(VENV): torch, Ray, JupyterLab. This takes some minutes, once."
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch==2.13.0
	$(BIN)/python -m pip uninstall --quiet --yes workbench # its earlier name
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[models,test,dev]'
	touch $@

models: setup
	$(BIN)/workbench models

demo: models
	$(BIN)/python notebooks/demo.py

lab: models
	$(BIN)/workbench lab

test: # the browser first: what is missing is said at once, not after the tests
	tests/browser/setup.sh system
	$(MAKE) setup
	tests/browser/setup.sh check $(BIN)/python
	$(MAKE) models
	$(BIN)/python -m pytest

test-python-path: models
	WORKBENCH_TEST_DATA_PATH=python $(BIN)/python -m pytest $(SERVING)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: # one after the other, the rest too where one misses a figure
	$(MAKE) --keep-going --jobs=1 bench-peers bench-redeploy bench-metrics bench-panel bench-rag

bench-metrics bench-panel bench-rag: models
	$(BIN)/python tests/bench/$(subst -,_,$@).py

bench-peers: models
	$(BIN)/python -m tests.bench.peers $(WORKLOADS)

bench-redeploy: models
	$(BIN)/python -m tests.bench.redeploy $(BENCHES)

conformance: models
	$(BIN)/python -m tests.conformance $(PARTS)

chaos: models
	unshare --mount --map-root-user $(BIN)/python -m tests.chaos $(SCENARIOS)

soak: models
	unshare --mount --map-root-user $(BIN)/python -m tests.chaos soak

clean:
	rm -rf $(VENV) build dist artefacts .pytest_cache .mypy_cache .ruff_cache .hypothesis
