#!/bin/sh
# Accuracy of the uncompressed model; arguments go to `focal eval`.
#   sh algorithm/run_original.sh                                  shipped video model on shapes-video, CPU
#   sh algorithm/run_original.sh --limit 100 --model path/to/checkpoint --tasks shapes-pope
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
sh "$here/scripts/setup_lmms_eval.sh"
exec "$here/.venv/bin/focal" eval --model shapes_video --tasks shapes-video --method dense "$@"
