#!/bin/sh
# Traces the untouched models on images.
# usage: sh run_original_image.sh [accuracy] [options of focal matrix, such as --profile paper or --resume]
exec sh "$(dirname "$0")/scripts/run_matrix.sh" run_original_image.sh original_image "accuracy" "$@"
