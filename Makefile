# `make check` is what CI runs.
.PHONY: check test lint format

check: test lint

test:
	sh run_tests.sh

lint:
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/codespell
	.venv/bin/shellcheck -s sh ./*.sh algorithm/*.sh scripts/*.sh

format:
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .
