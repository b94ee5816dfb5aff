# The two commands of the README, and those that a contributor needs; each sets up what it uses inside this checkout.
PYTHON ?= python3
# An installed uv serves; otherwise one is put into .tools, which nothing else uses.
UV := $(shell command -v uv 2>/dev/null || echo .tools/bin/uv)
RUN := .venv/bin

.PHONY: demo test check bench answers detection ignore-fuzz soak fuzz leak-lab leak-mutants parts why clean

demo: .venv/.for-demo
	@$(RUN)/glossator demo

test: .venv/.for-tests parts
	$(RUN)/ruff check
	$(RUN)/ruff format --check
	$(RUN)/mypy
	$(RUN)/pytest

check: .venv/.for-tests
	$(RUN)/ruff check
	$(RUN)/ruff format --check
	$(RUN)/mypy

# `make bench ONLY="dialects imports"` measures these sections alone: start, menus, dialects, router, imports.
bench: .venv/.for-tests .tools/bench/complete
	PYTHONPATH=tests $(RUN)/python -m benchmarks.report docs/benchmarks.md $(ONLY)

# Whom we are compared with. Who could not be had is named, left out, and tried again the next time.
.tools/bench/complete: pyproject.toml uv.lock tests/benchmarks/get_peers.sh
	@sh tests/benchmarks/get_peers.sh $(UV) $(RUN)/python .tools/bench

# How many recorded answers of models are read right, by form; needs the recorded data beside the checkout.
answers: .venv/.for-tests
	$(RUN)/pytest -q -s tests/server/test_answer_recorded.py

# How well secrets are found, beside others, into docs/detection.md; needs the labelled data beside the checkout.
detection: .venv/.for-tests
	@sh tests/benchmarks/get_detectors.sh $(UV) $(RUN)/python .tools/detection
	PYTHONPATH=tests $(RUN)/python -m benchmarks.detection docs/detection.md

# 100,000 random patterns and paths against `git check-ignore`.
ignore-fuzz: .venv/.for-tests
	GLOSSATOR_FUZZ_PAIRS=100000 $(RUN)/pytest -s tests/providers/test_privacy_ignore.py -k never_open

# Every decoder against broken input, two at a time: `MINUTES=10 make fuzz` for ten minutes each.
fuzz: .venv/.for-tests
	PYTHONPATH=tests $(RUN)/python -m fuzz $(TARGETS)

# The reliability tests with their full numbers: 10,000 requests to unreliable providers, 200 streams at once for a minute, a shared
# quota over minutes with its store and without, a hundred kills.
soak: .venv/.for-tests
	GLOSSATOR_SOAK=1 $(RUN)/pytest -s tests/providers/test_reliability.py tests/e2e/test_router_processes.py

# Private text and who gets it: `make leak-lab SESSIONS=100000` plays more sessions than ten thousand; then, where this system lets
# itself be cut off from its network, the whole product with a real Neovim in an internet that is ours.
leak-lab: .venv/.for-tests
	PYTHONPATH=tests $(RUN)/python -m leak_lab sessions $(or $(SESSIONS),10000)
	PYTHONPATH=tests $(RUN)/python -m leak_lab namespace

# Does the leak lab see leaks? The product, broken in every way of its list, must be found out.
leak-mutants: .venv/.for-tests
	PYTHONPATH=tests $(RUN)/python -m leak_lab mutants $(MUTANTS)

# Whether `glossator why` says of 10,000 random files what the router then does.
why: .venv/.for-tests
	GLOSSATOR_WHY_CASES=10000 $(RUN)/pytest -s tests/server/test_why_agrees.py

# What only the tests use: real editors in a cache folder of the user, and Node's checkers; what cannot be had is named and skipped.
parts: .venv/.for-tests
	@sh tests/parts.sh

.tools/bin/uv:
	@sh tests/get_uv.sh $(PYTHON) .tools

.venv/.for-demo: pyproject.toml uv.lock $(filter .tools/bin/uv,$(UV))
	@$(UV) sync --quiet --frozen --inexact --no-default-groups --group demo
	@touch $@

.venv/.for-tests: pyproject.toml uv.lock $(filter .tools/bin/uv,$(UV))
	@$(UV) sync --quiet --frozen --inexact
	@touch $@ .venv/.for-demo

clean:
	rm -rf .venv .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis tests/node/node_modules
