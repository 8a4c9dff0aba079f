# Everything on a machine that has Python 3.11+, make and a package registry.
#   make run      start the server of live avatars and print its address (installs what running needs); Ctrl-C ends it
#   make demo     render the demo sentence on a shipped avatar
#   make test     lint, types and tests (installs the rest, torch among it)
#   make quality  hold what ships against the committed figures (MIEN_SHARED=FOLDER, whose data/clips are measured)
#   make install  the whole environment, with the command .venv/bin/mien
#   make gpu      what graphics cards need, and onnxruntime-gpu in the place of onnxruntime (docs/gpu.md)
#   make clean    remove the environment and what was rendered
# PYTHON=python3.12 chooses the interpreter; ARGS="--port 9000" is handed to `mien serve`; PIP_ARGS="..." is handed to
# every pip install, for example to choose an index whose torch has no CUDA; TEST_PROCESSES=1 runs tests one by one.

PYTHON ?= python3
PIP_ARGS ?=
ARGS ?=
AVATAR ?= $(firstword $(basename $(notdir $(wildcard models/pretrained/avatars/*.avatar))))
DEMO := out/hello.mp4
TEST_PROCESSES ?= 2

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Stamps lie in the environment, so removing it forgets them.
MADE := $(VENV)/.made
RUNTIME := $(VENV)/.runtime
WHOLE := $(VENV)/.whole

.PHONY: run demo test quality install gpu clean lint types unit system
.DELETE_ON_ERROR:

run: $(RUNTIME)
	@$(BIN)/mien serve $(ARGS)

demo: $(RUNTIME)
	@mkdir -p $(dir $(DEMO))
	$(BIN)/mien render models/pretrained/demo/hello.flac --avatar $(AVATAR) --out $(DEMO)
	@echo "The video is $(CURDIR)/$(DEMO)"

install: $(WHOLE)

# Both runtimes are one module: the one goes before the other comes, and they are never installed together.
gpu: $(RUNTIME)
	$(PIP) install $(PIP_ARGS) -e '.[gpu]'
	$(PIP) uninstall -y onnxruntime
	$(PIP) install $(PIP_ARGS) 'onnxruntime-gpu[cuda,cudnn]>=1.20,<2'

test: system $(WHOLE)
	@$(MAKE) --no-print-directory lint types unit

lint: $(WHOLE)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(WHOLE)
	$(BIN)/mypy

unit: $(WHOLE)
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile

quality: $(WHOLE)
	@if [ -n "$(MIEN_SHARED)" ]; then $(BIN)/mien evaluate gate --clips "$(MIEN_SHARED)/data/clips"; \
	else echo "Skipped: the clips to measure on are not part of this project. Name the folder whose data/clips holds" \
	  "them: make quality MIEN_SHARED=FOLDER"; fi

# The interpreter is asked for its version before anything is made with it.
$(MADE):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Mien needs Python 3.11 or newer, and $(PYTHON) is not." \
	  "Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make environments: install its" \
	  "venv package (Debian: apt-get install python3-venv)" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

# The whole environment holds the runtime as well.
$(RUNTIME): $(MADE) pyproject.toml
	$(PIP) install --quiet $(PIP_ARGS) --editable .
	@touch $@

$(WHOLE): $(MADE) pyproject.toml
	$(PIP) install --quiet $(PIP_ARGS) --editable '.[avatar,live,camera,train,dev]'
	@touch $(RUNTIME) $@

# Named, not installed: make needs no rights over the system. Tests that need one skip with the same words.
system:
	@for tool in espeak-ng flite; do command -v $$tool >/dev/null || \
	  echo "Not found: $$tool, which \`mien train\` synthesises speech with (Debian: apt-get install $$tool)"; done
	@for tool in chromium janus; do command -v $$tool >/dev/null || \
	  echo "Not found: $$tool, which the tests of calls run (Debian: apt-get install $$tool); they will be skipped"; done

clean:
	rm -rf $(VENV) out build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
