# Words for everyday work; CI calls the same ones.
#   make PYTHON=python3.12 quickstart     another interpreter
#   make setup TORCH_INDEX=URL            a smaller torch for Linux without a GPU

PYTHON ?= python3.11
TORCH_INDEX ?=
VENV := .venv
RUN := $(VENV)/bin/python -m
PIP := $(RUN) pip --disable-pip-version-check install --quiet -c constraints.txt
TORCH := $(shell sed -n 's/^torch==/torch==/p' constraints.txt)

.PHONY: setup quickstart test test-integration check bench docs clean

setup: $(VENV)/installed

# torch comes first and exactly: a range would pull the newest build and gigabytes of CUDA.
$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade pip
	$(PIP) $(TORCH) $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
	$(PIP) -e '.[all,dev]'
	touch $@

quickstart: setup
	$(VENV)/bin/evalkit run-matrix examples/quickstart.yaml --results results/quickstart

test: setup
	$(RUN) pytest -q -rs -m "not integration" -n auto --dist worksteal

test-integration: setup
	$(RUN) pytest -q -m integration

check: setup
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	$(RUN) pytest -q tests/test_imports.py

# Six simulations of error rates; what judging, asking, retrieval, running code, looking through data and a page
# cost; asking beside lm-eval, inspect and lighteval, a model in this process beside lm-eval's; two hundred kills;
# and, with EVALKIT_DATA, verdicts on real models.
bench: quickstart
	for each in errors clusters strata families verdicts missing; do \
		$(RUN) benchmarks.simulate_$$each || exit; done
	$(RUN) benchmarks.scale build/scale
	$(RUN) benchmarks.sandbox_cost
	$(RUN) benchmarks.retrieval_cost
	$(RUN) benchmarks.contamination build/contamination
	$(RUN) benchmarks.speed build/speed --million
	$(RUN) benchmarks.kills build/kills
	$(RUN) benchmarks.harnesses build/harnesses
	$(RUN) benchmarks.local build/local $$(ls -d results/quickstart/runs/grpo-*/final | head -n 1)
	$(RUN) benchmarks.report build/report
	$(if $(EVALKIT_DATA),$(RUN) benchmarks.real_pairs)

docs: setup
	$(RUN) evalkit.verdict > evalkit/verdict.schema.json
	$(RUN) evalkit.reports._reference > docs/verdict-json.md
	$(VENV)/bin/python docs/generate_cli.py > docs/cli.md

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
