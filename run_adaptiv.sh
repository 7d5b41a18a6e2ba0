#!/bin/sh
# Traces AdapTiV on videos and writes adaptiv_sparsity.csv; full: accuracy.
# usage: sh run_adaptiv.sh [full] [options of focal matrix, such as --profile paper or --resume]
exec sh "$(dirname "$0")/scripts/run_matrix.sh" run_adaptiv.sh adaptiv "full" "$@"
