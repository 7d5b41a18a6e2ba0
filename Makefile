# `make check` is what CI runs.
.PHONY: check test versions lint format

check: test versions lint

test:
	sh run_tests.sh

versions:
	.venv/bin/python tests/check_versions.py

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
