# Everything is set up by make itself: it needs Python 3.11 or later, and this file.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO := demo
# The engine of 32-bit boards, with the NumPy that it was built for: an environment of its own.
OLD := .venv-tflite-runtime
OLD_PACKAGES := 'tflite-runtime>=2.14' 'numpy<2' 'opencv-python-headless<4.12'

# MediaPipe brings an OpenCV of its own.
MEDIAPIPE := .venv-mediapipe

# The versions of OpenCV whose dnn runs ONNX files, beside the one in $(VENV): those of Debian bookworm and trixie, and a late 4.
OPENCV := .venv-opencv
OPENCV_VERSIONS := 4.6.0.66 4.10.0.84 4.13.0.92

.PHONY: help setup demo test docs dist pen clean

help:
	@echo "make setup   a virtual environment in $(VENV) with everything"
	@echo "make demo    export the shipped model, prove it, time it, read a page with it"
	@echo "make test    lint, types, import direction and all tests"
	@echo "make docs    the API page, from the docstrings, in site/"
	@echo "make dist    the sdist and the wheel, checked for upload, in dist-package/"
	@echo "make pen STROKES=unipen_letters.npz   fit the built-in pen anew (maintainers)"
	@echo "make clean   remove what these commands made"

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("lettercast needs Python 3.11 or later: make PYTHON=python3.11 ...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@# Without libGL, as on a bare server or in a container, OpenCV's windowed build cannot be imported.
	@$(BIN)/python -c 'import cv2' 2>/dev/null || { echo 'no libGL here: taking OpenCV without windows'; \
	  $(BIN)/python -m pip uninstall --quiet --yes opencv-python; \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt opencv-python-headless; }
	@touch $@

$(OLD)/.ready: $(READY)
	@if $(PYTHON) -c 'import sys; sys.exit(sys.platform != "linux" or sys.version_info[:2] != (3, 11))'; then \
	  $(PYTHON) -m venv $(OLD) && $(OLD)/bin/python -m pip install --quiet --disable-pip-version-check $(OLD_PACKAGES) && touch $@; \
	else echo 'tflite-runtime is for Linux and Python 3.11: its tests are skipped'; fi

$(MEDIAPIPE)/.ready: $(READY)
	@$(PYTHON) -m venv $(MEDIAPIPE)
	@if $(MEDIAPIPE)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt 'mediapipe>=0.10.20' \
	  && $(MEDIAPIPE)/bin/python -c 'import mediapipe.tasks.python.vision'; then touch $@; \
	else rm -rf $(MEDIAPIPE); echo 'MediaPipe cannot be installed here: its tests are skipped'; fi

$(OPENCV)/%/.ready: $(READY)
	@$(PYTHON) -m venv $(OPENCV)/$*
	@# Versions before 4.11 were built for NumPy 1.
	@if $(OPENCV)/$*/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: \
	  'opencv-python-headless==$*' $(if $(filter 4.6.% 4.10.%,$*),'numpy<2'); then touch $@; \
	else rm -rf $(OPENCV)/$*; echo 'OpenCV $* cannot be installed here: its tests are skipped'; fi

demo: $(READY)
	@echo; echo "1. Export the shipped letters-base to every format, each behind the parity gate."
	@rm -rf $(DEMO)
	$(BIN)/lettercast export --out $(DEMO)/dist
	@echo; echo "2. Benchmark them against the Keras original, in one run on this machine."
	$(BIN)/lettercast benchmark $(DEMO)/dist --json $(DEMO)/benchmark.json
	@echo; echo "3. Read a photographed page."
	$(BIN)/lettercast read docs/example-page.jpg --model $(DEMO)/dist/letters-base-int8.tflite --no-window --save $(DEMO)
	@echo; echo "The page with what was read on it: $(DEMO)/example-page.png"
	@echo; echo "Try next:"
	@echo "  $(BIN)/lettercast read                      read letters from your camera (q quits)"
	@echo "  $(BIN)/lettercast read photo.jpg --json     read your own photograph"
	@echo "  $(BIN)/lettercast train --data my_letters   train on your own folders of letters"
	@echo "  docs/raspberry-pi.md                           the same on a Raspberry Pi"

test: $(READY) $(OLD)/.ready $(MEDIAPIPE)/.ready $(OPENCV_VERSIONS:%=$(OPENCV)/%/.ready)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports --no-logo
	@# One more than two cores, as some tests wait for a camera or a browser.
	$(BIN)/pytest --numprocesses 3 --dist loadfile

docs: $(READY)
	$(BIN)/python docs/build_api.py site

dist: $(READY)
	rm -rf dist-package
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'twine>=6'
	$(BIN)/python -m build --outdir dist-package .
	$(BIN)/python -m twine check --strict dist-package/*

pen: $(READY)
	$(BIN)/python -m lettercast.train.fit_pen $(STROKES) --without ibm --sheet docs/pen.png

clean:
	rm -rf $(VENV) $(OLD) $(MEDIAPIPE) $(OPENCV) $(DEMO) dist dist-package site build *.egg-info .pytest_cache .ruff_cache .import_linter_cache
