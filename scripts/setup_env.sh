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

# Two set-ups at once would write into one folder; the second waits for the first.
lock=.venv.lock
tries=0
until mkdir "$lock" 2>/dev/null; do
    tries=$((tries + 1))
    if [ "$tries" -eq 1 ]; then echo "another set-up is running; waiting for $lock" >&2; fi
    if [ "$tries" -gt 600 ]; then
        echo "error: $lock still exists after 10 minutes; if no set-up is running, remove it and try again" >&2
        exit 1
    fi
    sleep 1
done
trap 'rmdir "$lock" 2>/dev/null || true' EXIT
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

if [ ! -x .venv/bin/python ]; then
    echo "making .venv with $("$python" --version)" >&2
    "$python" -m venv .venv
fi
echo "installing pinned packages (about 2 GB on disk, one to five minutes)" >&2
.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/pinned.txt
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
stamp_now >"$stamp"
