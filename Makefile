# Every habit of the project is one target; `make` alone prints them.
SHELL := /bin/bash
PY := .venv/bin/python
PYTEST := .venv/bin/pytest
export PATH := $(CURDIR)/.venv/bin:$(PATH)

# The order of the tests is chance, but the same chance for the same tree: what passed before a landing meets the same order after it, a failure can
# be had again, and each change draws another. Without git it is chance alone.
ORDER = $(shell tree=$$(git rev-parse HEAD:src HEAD:tests 2>/dev/null | sha256sum | cut -c1-7) && [ -d .git -o -f .git ] && echo --randomly-seed=$$((0x$$tree)))

.DEFAULT_GOAL := help
.PHONY: help setup demo check fix test test-kernel test-conformance test-e2e bench bench-scale bench-quick compat golden run plan isolation

help:  ## print this
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup:  ## install what is needed (apt, .venv); idempotent; as root
	@scripts/setup

demo: setup  ## run the chapter, command by command, in namespaces of its own; as root. CLI=docker types docker instead
	@$(PY) -m demo $(if $(CLI),--cli $(CLI)) $(ARGS)

check:  ## the quick ring: format, lint, types, house, unit tests and golden files
	@ruff format --check src tests demo bench
	@ruff check src tests demo bench
	@mypy
	@$(PYTEST) tests/test_house.py tests/test_docs.py tests/unit tests/golden

fix:  ## format, and mend what the linter can mend
	@ruff check --fix src tests demo bench
	@ruff format src tests demo bench

test:  ## set-up, the peers of the bench among it, and every test, in 30 minutes; as root
	@scripts/setup --bench
	@$(PYTEST) tests $(ORDER)

test-kernel:  ## real packets between private namespaces; as root
	@$(PYTEST) tests/kernel tests/contract

isolation:  ## ask who reaches whom, 350 cells twice and Docker 210, and write docs/isolation.md; as root
	@$(PY) -m tests.kernel.matrix_page docs/isolation.md

test-conformance:  ## the recordings of Docker, replayed; as root
	@$(PYTEST) tests/conformance

test-e2e:  ## docker CLIs, the docker SDK, crashes, the demo itself; as root
	@$(PYTEST) tests/e2e

bench:  ## us beside docker.io and podman in one run: medians and ratios; ARGS="--against FILE", ARGS="--page docs/benchmarks.md"; as root
	@scripts/setup --bench
	@$(PY) -m bench $(ARGS)

bench-scale:  ## a thousand containers and 10,000 ports, ours alone; ARGS as above; as root
	@scripts/setup --bench
	@$(PY) -m bench --scale $(ARGS)

bench-quick:  ## every row of both, small, in under 3 minutes: does the harness work; as root
	@$(PY) -m bench --quick $(ARGS)
	@$(PY) -m bench --quick --scale $(ARGS)

compat:  ## write docs/compat.md by a run; DOCKER_PY=CHECKOUT runs docker-py's own suite too; as root
	@$(PY) -m tests.compat $(DOCKER_PY)

golden:  ## write the golden files anew; read the difference before you commit it
	@GOLDEN=write $(PYTEST) tests/golden

run:  ## a daemon in private namespaces and a shell to use it from; leaves no trace; as root
	@$(PY) -m demo.run $(ARGS)

plan:  ## the wanted picture and the plan for a saved state, touching nothing: make plan ROOT=/var/lib/sanbashi
	@$(PY) -m sanbashi.daemon.plan $(or $(ROOT),/var/lib/sanbashi)
