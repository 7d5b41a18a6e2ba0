#!/bin/sh
# Traces Focus on images.
# usage: sh run_focus_image.sh [accuracy] [options of focal matrix, such as --profile paper or --resume]
exec sh "$(dirname "$0")/scripts/run_matrix.sh" run_focus_image.sh focus_image "accuracy" "$@"
