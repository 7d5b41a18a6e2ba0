#!/bin/sh
# The body of ../run_focus.sh; callable from anywhere.
#   TRACE_META_DIR   folder of traces where no --output is given; `output` if unset
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)

# `full`, and a profile that `focal trace` does not have, mean the matrix.
precision=float is_matrix=no previous='' has_input=no
for word in "$@"; do
    case $previous:$word in
    --profile:offline | --profile:hub | *:--profile=offline | *:--profile=hub) ;;
    --profile:* | *:--profile=*) is_matrix=yes ;;
    esac
    case $word in
    --model | --video | --image | --task | --size | --prompt) has_input=yes ;;
    --model=* | --video=* | --image=* | --task=* | --size=* | --prompt=*) has_input=yes ;;
    esac
    previous=$word
done
for word in "$@"; do
    case $word in
    -*) break ;;
    full) is_matrix=yes ;;
    esac
done
if [ "$is_matrix" = yes ]; then
    exec sh "$here/scripts/run_matrix.sh" run_focus.sh focus "int8 full" "$@"
fi

if [ "${1:-}" = int8 ]; then
    precision=int8
    shift
fi
case ${1:-} in
'' | -*) ;;
*)
    echo "error: unknown word '$1'; usage: sh run_focus.sh [int8] [full] [options of focal trace]" >&2
    exit 2
    ;;
esac
options="--model --task --questions --split --task-seed --against-dense --samples --video --image --prompt --method \
--set --method-config --budget --frames --size --profile --dataset --new-tokens --seed --dtype --precision --quantize --device --device-map --attn --attention \
--trust-remote-code --threads --masks --no-masks --keep-frames --no-keep-frames --simulate --match --match-accelerator \
--shard --jobs -j --devices --dask --scheduler --job --slurm-script --output --json --help"
sh "$here/scripts/check_options.sh" run_focus.sh "$options" "$@"
case " $* " in
*" --output"[\ =]*) ;;
*) if [ -n "${TRACE_META_DIR:-}" ]; then set -- "$@" --output "$TRACE_META_DIR"; fi ;;
esac
sh "$here/scripts/setup_env.sh"
# Without a model or an input of the caller's: the trained video model on questions whose answers are known.
if [ "$has_input" = no ]; then
    set -- --model shapes_video --task shapes-video --against-dense "$@"
fi
# The working folder stays the caller's, so relative paths in "$@" mean what the caller wrote.
exec "$here/.venv/bin/focal" trace --precision "$precision" --simulate dense,focus,focus_sec_only "$@"
