#!/bin/sh
# Refuses an unknown option, a word that belongs to none, or a file that is not there, before anything is installed.
#   check_options.sh SCRIPT "--known ..." [word ...]
set -eu
script=$1 known=$2
shift 2

# Options of `focal trace` and `focal matrix` that take no value; a word after one of them belongs to nothing.
flags="--against-dense --trust-remote-code --masks --no-masks --keep-frames --no-keep-frames --resume --offline --check \
--list --slurm-script --json --help"

# The known option with the fewest edits, if they are few.
nearest() {
    printf '%s\n' "$known" | awk -v word="$1" '
        function least(a, b) { return a < b ? a : b }
        function edits(a, b,    row, i, j, last, kept) {
            for (j = 0; j <= length(b); j++) row[j] = j
            for (i = 1; i <= length(a); i++) {
                last = row[0]; row[0] = i
                for (j = 1; j <= length(b); j++) {
                    kept = row[j]
                    row[j] = least(least(row[j], row[j - 1]) + 1, last + (substr(a, i, 1) != substr(b, j, 1)))
                    last = kept
                }
            }
            return row[length(b)]
        }
        { for (i = 1; i <= NF; i++) { d = edits(word, $i); if (!best || d < fewest) { best = $i; fewest = d } } }
        END { if (fewest <= 3) print best }'
}

previous=''
for word in "$@"; do
    case $word in
    --*)
        option=${word%%=*}
        case " $known " in
        *" $option "*) ;;
        *)
            near=$(nearest "$option")
            if [ -n "$near" ]; then near="did you mean '$near'? "; fi
            echo "error: sh $script: unknown option '$option'; ${near}Valid: $known" >&2
            exit 2
            ;;
        esac
        ;;
    -?*) ;;
    *)
        case " $flags " in
        *" $previous "*) is_value=no ;;
        *)
            case $previous in
            --*=*) is_value=no ;;
            --* | -j) is_value=yes ;;
            *) is_value=no ;;
            esac
            ;;
        esac
        if [ "$is_value" = no ]; then
            echo "error: sh $script: '$word' belongs to no option; plain words stand before the options" >&2
            exit 2
        fi
        ;;
    esac
    case $previous in
    --video | --image | --method-config)
        if [ ! -f "$word" ]; then
            echo "error: $word: no such file" >&2
            exit 2
        fi
        ;;
    esac
    previous=$word
done
