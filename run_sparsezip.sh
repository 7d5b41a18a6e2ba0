#!/bin/sh
# Traces SparseZip on videos; full: accuracy.
# usage: sh run_sparsezip.sh [full] [options of focal matrix, such as --profile paper or --resume]
exec sh "$(dirname "$0")/scripts/run_matrix.sh" run_sparsezip.sh sparsezip "full" "$@"
