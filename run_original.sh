#!/bin/sh
# Traces the untouched models on videos; full: accuracy.
# usage: sh run_original.sh [int8] [full] [options of focal matrix, such as --profile paper or --resume]
exec sh "$(dirname "$0")/scripts/run_matrix.sh" run_original.sh original "int8 full" "$@"
