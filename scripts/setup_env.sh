#!/bin/sh
# Makes or reuses .venv in the repository root. Called by run_focus.sh and run_tests.sh.
# A second call only compares one checksum, so it costs well under a second.
#
#   FOCAL_PYTHON   interpreter to build the environment with (default: python3.11, else the oldest newer one found)
set -eu
cd "$(dirname "$0")/.."

stamp_now() {
    cat requirements/pinned.txt pyproject.toml | cksum
    pwd -P # an environment that was moved or copied has stale paths inside
}

stamp=.venv/focal-stamp
if [ -x .venv/bin/python ] && [ -f "$stamp" ] && [ "$(stamp_now)" = "$(cat "$stamp")" ]; then
    exit 0
fi

sh scripts/lock.sh .venv.lock $$ || exit 1
trap 'rm -f .venv.lock' EXIT
trap 'exit 130' INT TERM
if [ -x .venv/bin/python ] && [ -f "$stamp" ] && [ "$(stamp_now)" = "$(cat "$stamp")" ]; then
    exit 0
fi

is_supported() {
    command -v "$1" >/dev/null 2>&1 &&
        "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null
}

python=
for candidate in "${FOCAL_PYTHON:-}" python3.11 python3.12 python3.13 python3; do
    if [ -n "$candidate" ] && is_supported "$candidate"; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    echo "error: Focal needs Python 3.11, 3.12 or 3.13; install it or set FOCAL_PYTHON=/path/to/python" >&2
    exit 2
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'; then
    echo "note: models were run on Python 3.11 alone; $("$python" --version) was tried for simulation" >&2
fi

# What a killed set-up has left may lack anything: pip, or half of a package.
unfinished=.venv/focal-unfinished
if [ -f "$unfinished" ] || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    echo "making .venv with $("$python" --version)" >&2
    "$python" -m venv --clear .venv
fi
rm -f "$stamp"
: >"$unfinished"
echo "installing pinned packages (about 2 GB on disk, one to five minutes)" >&2
.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/pinned.txt
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
stamp_now >"$stamp"
rm -f "$unfinished"
