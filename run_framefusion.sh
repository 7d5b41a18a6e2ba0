#!/bin/sh
# Traces FrameFusion on videos; full: accuracy.
# usage: sh run_framefusion.sh [full] [options of focal matrix, such as --profile paper or --resume]
exec sh "$(dirname "$0")/scripts/run_matrix.sh" run_framefusion.sh framefusion "full" "$@"
