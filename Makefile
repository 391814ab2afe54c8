# `make studio` and `make test` build .venv from nothing, then open the studio or run the tests. `make help` lists the rest.
# A CPU build of PyTorch: make TORCH="torch==2.13.0 --index-url ADDRESS" with the address that pytorch.org gives for it.

PYTHON ?= python3
VENV ?= .venv
TORCH ?= torch==2.13.0
STUDIO ?=
PYTEST ?=

BIN := $(VENV)/bin
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet --no-input
PINS := pyproject.toml constraints.txt
SPREAD := --numprocesses auto --dist loadfile
SHIPPED := generators/shipped

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help studio test test-all browser screenshots format lint types check clean

help: ## list these commands
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/\1|\2/p' $(firstword $(MAKEFILE_LIST)) | while IFS='|' read -r name what; do printf '  make %-10s %s\n' "$$name" "$$what"; done

studio: $(VENV)/ready ## open the studio in the browser
	@$(BIN)/steer studio $(STUDIO)

test: $(VENV)/ready-dev ## run the tests
	@$(BIN)/python -m pytest $(SPREAD) $(PYTEST)

test-all: $(VENV)/ready-dev ## run the slow tests too
	@$(BIN)/python -m pytest -m "not gpu and not browser" $(SPREAD) $(PYTEST)

browser: $(VENV)/ready-dev ## drive the studio in headless Chromium
	@$(BIN)/python -m pytest -m "browser and not slow" tests $(PYTEST)

screenshots: $(VENV)/ready-dev ## take pictures of every tab of the studio into docs/screens
	@$(BIN)/python docs/screens.py

format: $(VENV)/ready-dev ## lay out the code
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format --quiet .

lint: $(VENV)/ready-dev ## check style, layout and the one-way import rule
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports

types: $(VENV)/ready-dev ## check types
	@$(BIN)/mypy

check: lint types test ## everything a change must pass

weights: $(VENV)/ready-dev ## find the shipped knobs again, after new weights
	@$(BIN)/steer find probe aviary-biggan --attribute all --out $(SHIPPED)/aviary-biggan/knobs.safetensors
	@$(BIN)/steer find flow aviary-biggan --attribute heading --attribute tilt --out $(SHIPPED)/aviary-biggan/knobs.safetensors --add
	@$(BIN)/steer find pca aviary-biggan --observe layer:0 --space z --option measure_ranges=true --out $(SHIPPED)/aviary-biggan/knobs.safetensors --add
	@rm -f $(SHIPPED)/aviary-ddim/knobs.safetensors
	@$(BIN)/steer find probe aviary-ddim --space prompt --attribute hue --attribute heading --attribute background_hue --option source=words --option disentangle=false --out $(SHIPPED)/aviary-ddim/knobs.safetensors --add
	$(call from_words,tilt,stretching up,bowing,--attribute tilt)
	$(call from_words,size,a large robin,a small robin,--attribute size)
	$(call from_words,x,on the right,on the left,--attribute x)
	$(call from_words,background_brightness,on a pale background,on a dark background,--attribute background_brightness)
	$(call from_words,light,lit from the right,lit from the left,--attribute light)
	$(call from_words,side,facing right,facing left)
	$(call from_words,front,facing the viewer,facing away)
	$(call from_words,blue,a blue robin,an orange robin)
	$(call from_words,background_blue,on a blue background,on an orange background)

# A knob of the diffusion model from one phrase to another: name, towards, away from, what it is meant for.
define from_words
@$(BIN)/steer find contrast aviary-ddim --option name=$(1) --option towards="$(2)" --option away="$(3)" --option measure_ranges=false $(4) --out $(SHIPPED)/aviary-ddim/knobs.safetensors --add
endef

clean: ## remove the environment and what builds and runs leave behind
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .coverage htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment. PyTorch goes first and alone, so that whichever build TORCH names is the one all else finds.
define build
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
  || { echo "this needs Python 3.11 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
@echo "Building the environment in $(VENV); the first time this takes a few minutes."
@$(PYTHON) -m venv $(VENV)
@$(PIP) $(TORCH)
@$(PIP) --constraint constraints.txt --editable '.[$(1)]' --config-settings editable_mode=compat
endef

$(VENV)/ready: $(PINS)
	$(call build,video)
	@touch $@

$(VENV)/ready-dev: $(PINS)
	$(call build,dev)
	@touch $(VENV)/ready $@
