#!/bin/sh
# The body of ../run_focus.sh; callable from anywhere.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
# `full` as first argument: accuracy instead of a trace; what follows goes to `focal eval`.
if [ "${1:-}" = full ]; then
    shift
    sh "$here/scripts/setup_lmms_eval.sh"
    exec "$here/.venv/bin/focal" eval --model shapes_video --tasks shapes-video --method focus "$@"
fi
sh "$here/scripts/setup_env.sh"
# The working folder stays the caller's, so relative paths in "$@" mean what the caller wrote.
exec "$here/.venv/bin/focal" trace --simulate dense,focus,focus_sec_only "$@"
