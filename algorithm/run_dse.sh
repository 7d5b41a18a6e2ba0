#!/bin/sh
# Accuracy over the design space of Focus (HPCA 2026, Fig. 10); further arguments go to `focal eval`.
#   sh algorithm/run_dse.sh accuracy                 shipped video model, the first 500 questions of shapes-video
#   sh algorithm/run_dse.sh accuracy --limit 100 --output_path output/dse
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
if [ "${1:-}" != accuracy ]; then
    echo "error: expected 'accuracy' as first argument; traces of the design space come from 'focal trace --set'" >&2
    exit 2
fi
shift
sh "$here/scripts/setup_lmms_eval.sh"
blocks=1x1,1x2,1x3,2x1,2x2,2x3,3x1,3x2,3x3
for sweep in m_tile=-1,32,128,512,1024,2048,4096 vector_size=8,32,128,512,2048,4096 "frame_block_size+block_size=$blocks"; do
    "$here/.venv/bin/focal" eval --model shapes_video --tasks shapes-video --method focus --limit 500 --sweep "$sweep" "$@"
done
