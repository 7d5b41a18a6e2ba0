#!/bin/sh
# Traces AdapTiV on images and writes adaptiv_sparsity.csv.
# usage: sh run_adaptiv_image.sh [accuracy] [options of focal matrix, such as --profile paper or --resume]
exec sh "$(dirname "$0")/scripts/run_matrix.sh" run_adaptiv_image.sh adaptiv_image "accuracy" "$@"
