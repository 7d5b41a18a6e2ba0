#!/bin/sh
# Runs Focus inside a vision-language forward, records its sparse trace, simulates the trace.
# Everything is set up on the first call. Arguments go to `focal trace`:
#   sh run_focus.sh                       the trained video model on 24 questions of shapes-video, CPU
#   sh run_focus.sh --video clip.mp4      your own file; seeded random weights unless --model names a checkpoint
#   sh run_focus.sh int8                  with 8-bit linear layers
#   sh run_focus.sh [int8] --profile paper    the published matrix, through `focal matrix`
#   sh run_focus.sh [int8] full           accuracy, through `focal eval`; --profile paper for the published matrix
#   sh run_focus.sh --help                all options
exec sh "$(dirname "$0")/algorithm/run_focus.sh" "$@"
