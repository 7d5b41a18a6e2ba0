#!/bin/sh
# The body of every run_*.sh at the top: plain words choose a suite, the rest goes to `focal matrix`.
#   run_matrix.sh SCRIPT SUITE "WORDS" [word ...] [options of focal matrix]
# `full` and `accuracy` measure accuracy with `focal eval`.
#   TRACE_META_DIR   folder of traces and accuracies where no --output is given; `output` if unset
set -eu
script=$1 suite=$2 words=$3
shift 3
here=$(cd "$(dirname "$0")/.." && pwd)

usage="usage: sh $script"
for word in $words; do usage="$usage [$word]"; done
usage="$usage [options of focal matrix, such as --profile paper, --resume, --samples 10]"

precision='' measure=''
while [ "$#" -gt 0 ]; do
    case $1 in
    -h | --help)
        echo "$usage"
        break
        ;;
    -*) break ;;
    esac
    case " $words " in
    *" $1 "*) ;;
    *)
        echo "error: unknown word '$1'; $usage" >&2
        exit 2
        ;;
    esac
    case $1 in
    int8) precision=_int8 ;;
    *) measure=_$1 ;;
    esac
    shift
done

options="--profile --only --resume --samples --batch --choose --checkpoint --data --device --device-map --offline --trust-remote-code --check --list --output \
--shard --jobs -j --devices --dask --scheduler --job --slurm-script --threads --json --help"
sh "$here/scripts/check_options.sh" "$script" "$options" "$@"

case " $* " in
*" --output"[\ =]*) ;;
*) if [ -n "${TRACE_META_DIR:-}" ]; then set -- "$@" --output "$TRACE_META_DIR"; fi ;;
esac

# Accuracy needs lmms-eval beside the pinned packages.
setup=setup_env.sh
if [ -n "$measure" ] && [ -f "$here/scripts/setup_lmms_eval.sh" ]; then setup=setup_lmms_eval.sh; fi
sh "$here/scripts/$setup"
# The working folder stays the caller's, so relative paths in "$@" mean what the caller wrote.
exec "$here/.venv/bin/focal" matrix --only "$suite$precision$measure" "$@"
