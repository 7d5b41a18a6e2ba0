#!/bin/sh
# Traces CMC on videos and writes cmc_sparsity.csv; full: accuracy.
# usage: sh run_cmc.sh [full] [options of focal matrix, such as --profile paper or --resume]
exec sh "$(dirname "$0")/scripts/run_matrix.sh" run_cmc.sh cmc "full" "$@"
