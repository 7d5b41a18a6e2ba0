#!/bin/sh
# Adds lmms-eval to .venv, for `focal eval`. A second call only compares one checksum.
# Without --no-deps pip would also install the requirements of lmms-eval's own models, among them a torchvision that
# does not fit a CPU build of torch; requirements/lmms_eval.txt lists what its evaluator imports.
set -eu
cd "$(dirname "$0")/.."
sh scripts/setup_env.sh

python=.venv/bin/python
stamp=.venv/focal-lmms-eval-stamp
wanted=$(cksum <requirements/lmms_eval.txt)
if [ -f "$stamp" ] && [ "$wanted" = "$(cat "$stamp")" ]; then
    exit 0
fi
sh scripts/lock.sh .venv.lock $$ || exit 1
trap 'rm -f .venv.lock' EXIT
trap 'exit 130' INT TERM
torch_before=$("$python" -c 'from importlib.metadata import version; print(version("torch"))')
echo "installing lmms-eval and what its evaluator imports (about 100 MB, under a minute)" >&2
"$python" -m pip install --quiet --disable-pip-version-check --no-deps -r requirements/lmms_eval.txt
torch_after=$("$python" -c 'from importlib.metadata import version; print(version("torch"))')
if [ "$torch_before" != "$torch_after" ]; then
    echo "error: torch was $torch_before and became $torch_after; run 'rm -rf .venv' and set up again" >&2
    exit 1
fi
# The import is the test: a package that is missing shows here and not in the middle of an evaluation.
HF_HUB_OFFLINE=1 "$python" -c 'import lmms_eval.evaluator, lmms_eval.tasks'
printf '%s\n' "$wanted" >"$stamp"
