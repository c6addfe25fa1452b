# Everything from nothing but Python 3.11 or newer: `make demo`, or `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
EXAMPLE := examples/slimneck
GENERATED := $(wildcard examples/*/tf.py) $(wildcard tests/golden/*.py) $(wildcard tests/*/golden/*.py)

export TF_CPP_MIN_LOG_LEVEL ?= 2

.DEFAULT_GOAL := help
.PHONY: help demo test fuzz check format zoo bench clean

help: ## This list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: $(READY) $(EXAMPLE)/slimneck.safetensors ## Generate, pour and verify the slim-neck example
	$(BIN)/kerascribe generate $(EXAMPLE)/slimneck.rules
	$(BIN)/kerascribe pour $(EXAMPLE)/slimneck.rules
	$(BIN)/kerascribe verify $(EXAMPLE)/slimneck.rules

test: $(READY) ## All tests but the zoo
	$(BIN)/python -m pytest -n auto -m "not zoo"

fuzz: $(READY) ## Thousands of broken checkpoints, indices and plans, and of programs, other ones each time
	KERASCRIBE_FUZZ=4000 $(BIN)/python -m pytest tests/weights/test_fuzz.py tests/outline/test_names_keep_values.py tests/outline/test_flow.py

check: $(READY) ## Style, format, types, and that the example's source is what its rules give
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(if $(GENERATED),$(BIN)/ruff check --isolated $(GENERATED))
	$(if $(GENERATED),$(BIN)/ruff format --isolated --preview --line-length 120 --check $(GENERATED))
	$(BIN)/mypy
	$(BIN)/kerascribe generate --check $(EXAMPLE)/slimneck.rules

format: $(READY) ## Let ruff format and mend what it can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

zoo: $(READY) ## torchvision and timm, model by model, into docs/zoo.md; over an hour
	$(BIN)/python -m pip install --quiet --editable '.[test,zoo]'
	$(BIN)/python -m scripts.zoo

bench: $(READY) ## Speed, as ratios within one run
	$(BIN)/python -m scripts.bench
	$(BIN)/python -m scripts.bench_pour

clean: ## Remove the environment and all caches
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist

# Random, seeded weights: the example ships none.
$(EXAMPLE)/slimneck.safetensors: $(EXAMPLE)/make_weights.py $(EXAMPLE)/model.py | $(READY)
	$(BIN)/python $(EXAMPLE)/make_weights.py

# Installed again whenever the dependencies may have changed; an editable install follows the source by itself.
$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "kerascribe needs Python 3.11 or newer; try: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[test,dev]'
	@touch $(READY)
