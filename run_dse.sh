#!/bin/sh
# Traces Focus over m-tiles, search blocks and vector sizes.
# usage: sh run_dse.sh [accuracy] [options of focal matrix, such as --profile paper or --resume]
exec sh "$(dirname "$0")/scripts/run_matrix.sh" run_dse.sh dse "accuracy" "$@"
