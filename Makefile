# What a person does here, each with its own set-up on a fresh machine: a virtual environment in .venv, once.
#
#   make demo               draws scenes, hides 80 % of their labels, trains SST, fills the blanks in with captions: runs/demo/report.html
#   make test               the test suite (PARTLABEL_DATA=<folder> also runs the tests on real photos)
#   make test-texts         the tests of text encoders and of HEIC photos, with the packages that they need
#   make test-clip          the tests of image-text models and of the second backbone in a package, with these packages
#   make test-pages         the tests of the pages, with a Chromium that playwright downloads
#   make test-integrations  the round trips through a Label Studio server, FiftyOne, Datumaro and Hugging Face's datasets, which get environments of their own
#   make check              formatting, lint, types, layers
#   make docs               the documentation as a site: site/index.html, with every broken link an error
#   make bench              time and memory of SST's head against the algebra as published, at 20, 80 and 200 classes: docs/speed.md
#   make gpu-check          tests and figures of one GPU, without a network: docs/speed.md (GPU_PYTHON=python3: an interpreter with the packages)
#   make clean              removes the environment and what tools left behind
#
# Another Python: make PYTHON=python3.12 test. Another place for the environment: make VENV=/tmp/venv test.

SHELL := bash
.DELETE_ON_ERROR:
.PHONY: help demo test test-texts test-clip test-pages test-integrations check docs bench gpu-check format clean

PYTHON ?= python3
VENV ?= .venv
LABEL_STUDIO_VENV ?= $(VENV)-label-studio
FIFTYONE_VENV ?= $(VENV)-fiftyone
DATUMARO_VENV ?= $(VENV)-datumaro
DATASETS_VENV ?= $(VENV)-datasets
BIN := $(VENV)/bin
SOURCES := src tests examples benchmarks docs/*.py
# Two workers share the cores between them; threads inside each would only fight.
WORKERS ?= 2

help:
	@sed -n 's/^#   //p' Makefile

demo: $(VENV)/installed
	$(BIN)/partlabel demo

test: $(VENV)/installed-dev
	OMP_NUM_THREADS=1 $(BIN)/pytest -n $(WORKERS) --dist worksteal

test-texts: $(VENV)/installed-texts
	OMP_NUM_THREADS=1 $(BIN)/pytest tests/data/test_text_features.py tests/data/test_words.py tests/data/test_heic.py

test-clip: $(VENV)/installed-clip
	OMP_NUM_THREADS=1 $(BIN)/pytest tests/nn/test_open_clip.py tests/nn/test_transformers.py tests/nn/test_lite2.py \
		tests/training/test_joint_tower.py

test-pages: $(VENV)/installed-dev
	$(BIN)/playwright install chromium
	$(BIN)/pytest tests/test_pages_in_browser.py tests/review/test_review_verb.py

# These programs need other versions of packages than the tests: they run as processes of their own.
test-integrations: $(VENV)/installed-dev $(LABEL_STUDIO_VENV)/installed $(FIFTYONE_VENV)/installed $(DATUMARO_VENV)/installed \
		$(DATASETS_VENV)/installed
	LABEL_STUDIO=$(LABEL_STUDIO_VENV)/bin/label-studio FIFTYONE_PYTHON=$(FIFTYONE_VENV)/bin/python \
		DATUMARO_PYTHON=$(DATUMARO_VENV)/bin/python DATASETS_PYTHON=$(DATASETS_VENV)/bin/python \
		$(BIN)/pytest tests/integrations

check: $(VENV)/installed-dev
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/mypy --config-file benchmarks/mypy.ini benchmarks
	$(BIN)/pytest -q -p no:cacheprovider tests/test_layers.py tests/test_plain_english.py

docs: $(VENV)/installed-docs
	rm -rf build/site site
	$(BIN)/sphinx-build -q -W --keep-going -E -d build/doctrees -c docs . build/site
	mv build/site site
	@echo "site/index.html"

bench: $(VENV)/installed
	$(BIN)/python benchmarks/head.py --out runs/bench/head.csv

gpu-check: $(if $(GPU_PYTHON),,$(VENV)/installed-dev)
	PYTHONPATH=$(CURDIR)/src $(or $(GPU_PYTHON),$(BIN)/python) benchmarks/gpu_check.py --out benchmarks/results/gpu.csv

format: $(VENV)/installed-dev
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

$(VENV)/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "partlabel needs Python 3.11 or newer, and '$(PYTHON)' is $$($(PYTHON) --version 2>&1);" \
			"name another: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@echo "Installing partlabel and PyTorch into $(VENV): a few minutes, once."
	$(BIN)/pip install --editable .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/pip install --editable '.[dev,docs,export,fast,ray,serve,text]'
	touch $@

$(VENV)/installed-texts: $(VENV)/installed-dev
	$(BIN)/pip install --editable '.[texts,heic]'
	touch $@

$(VENV)/installed-clip: $(VENV)/installed-dev
	$(BIN)/pip install --editable '.[clip,lite2]'
	touch $@

$(LABEL_STUDIO_VENV)/installed:
	$(PYTHON) -m venv $(LABEL_STUDIO_VENV)
	$(LABEL_STUDIO_VENV)/bin/pip install 'label-studio>=1.23'
	touch $@

$(DATUMARO_VENV)/installed:
	$(PYTHON) -m venv $(DATUMARO_VENV)
	$(DATUMARO_VENV)/bin/pip install 'datumaro>=1.13'
	touch $@

$(DATASETS_VENV)/installed:
	$(PYTHON) -m venv $(DATASETS_VENV)
	$(DATASETS_VENV)/bin/pip install 'datasets>=4.0' pillow
	touch $@

# All that FiftyOne needs but fiftyone-db, whose installation downloads MongoDB: the tests have a database in memory.
$(FIFTYONE_VENV)/installed:
	$(PYTHON) -m venv $(FIFTYONE_VENV)
	$(FIFTYONE_VENV)/bin/pip install --no-deps 'fiftyone>=1.22'
	$(FIFTYONE_VENV)/bin/python -c "from importlib.metadata import requires; print('\n'.join(each for each in \
		requires('fiftyone') if 'extra ==' not in each and 'fiftyone-db' not in each))" > $(FIFTYONE_VENV)/needed.txt
	$(FIFTYONE_VENV)/bin/pip install -r $(FIFTYONE_VENV)/needed.txt mongomock
	touch $@

$(VENV)/installed-docs: $(VENV)/installed
	$(BIN)/pip install --editable '.[docs]'
	touch $@

clean:
	rm -rf $(VENV) $(LABEL_STUDIO_VENV) $(FIFTYONE_VENV) $(DATUMARO_VENV) $(DATASETS_VENV) build dist site docs/generated .pytest_cache .mypy_cache .ruff_cache .hypothesis
