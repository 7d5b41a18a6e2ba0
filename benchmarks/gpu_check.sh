#!/bin/sh
# Every check that needs a GPU, in one run of under ten minutes; --device cpu rehearses it. See gpu_check.py.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
exec "$here/.venv/bin/python" "$here/benchmarks/gpu_check.py" "$@"
