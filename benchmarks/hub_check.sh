#!/bin/sh
# Published checkpoints of each family: exact without a method, sparsity and accuracy beside published ones. See hub_check.py.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
exec "$here/.venv/bin/python" "$here/benchmarks/hub_check.py" "$@"
