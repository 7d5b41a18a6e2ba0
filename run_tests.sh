#!/bin/sh
# Sets up .venv if needed and runs the tests; arguments go to pytest (sh run_tests.sh -k trace).
set -eu
cd "$(dirname "$0")"
sh scripts/setup_env.sh
# One torch and one BLAS thread per worker: oversubscribed cores make torch several times slower.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" HF_HUB_OFFLINE=1
if [ "$#" -gt 0 ]; then
    exec .venv/bin/python -m pytest "$@"
fi
exec .venv/bin/python -m pytest -n "${FOCAL_TEST_WORKERS:-2}" --dist loadfile
