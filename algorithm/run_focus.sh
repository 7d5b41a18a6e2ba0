#!/bin/sh
# The body of ../run_focus.sh; callable from anywhere.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
sh "$here/scripts/setup_env.sh"
# The working folder stays the caller's, so relative paths in "$@" mean what the caller wrote.
exec "$here/.venv/bin/focal" trace --simulate dense,focus,focus_sec_only "$@"
