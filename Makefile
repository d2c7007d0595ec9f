# Every target does its own set-up and may be repeated. `make` alone lists them.

.DEFAULT_GOAL := help
PYTEST = .venv/bin/python -m pytest

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile

setup: ## install what is missing and leave the command in .venv/bin/onggi
	@scripts/setup
	@echo 'ready: .venv/bin/onggi --help'

quickstart: ## build a real application, run it limited and isolated, look at it (root)
	@scripts/setup
	@scripts/quickstart

test: ## every test; root ones too, if you are root (ARGS="-k name" chooses)
	@scripts/setup --test
	ONGGI_TEST_ALONE=1 ONGGI_TEST_RECORD=$(RECORD) $(PYTEST) $(ARGS)

test-vm: ## what a kernel may end otherwise, on Debian's, and where something is missing: some 3 hours (root)
	@scripts/setup --test
	ONGGI_TEST_RECORD=docs/support $(PYTEST) tests/vm/every_kernel.py $(ARGS)

check: ## formatting, lint and types only
	@scripts/setup --test
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy

bench: ## every figure that the README quotes, beside Debian's podman and crun (root)
	@scripts/setup --bench
	@scripts/bench

reference: ## write docs/reference/ anew from the commands' own --help
	@scripts/setup
	@scripts/reference

threats: ## write the tables of docs/security.md anew from the marks of the tests
	@scripts/setup --test
	@.venv/bin/python scripts/threats

support: ## write the tables of where it works anew from the records of test runs
	@scripts/setup --test
	@.venv/bin/python scripts/support

clean: ## remove what these targets made in this directory
	@scripts/clean

.PHONY: help setup quickstart test test-vm check bench reference threats support clean
