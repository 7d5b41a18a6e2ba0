#!/bin/sh
# Builds the documentation into output/site and fails on any dead link; open output/site/index.html. A browser searches the
# site only over HTTP: "sh scripts/build_docs.sh --serve" shows it at http://127.0.0.1:8000 and builds it again on each change.
set -eu
cd "$(dirname "$0")/.."
sh scripts/setup_env.sh

python=.venv/bin/python
if ! "$python" -c 'import material, mkdocstrings' 2>/dev/null; then
    echo "installing MkDocs (about 30 MB)" >&2
    "$python" -m pip install --quiet --disable-pip-version-check --no-deps -r requirements/docs.txt
fi
export NO_MKDOCS_2_WARNING=1 # of MkDocs Material about a version of MkDocs that is not used here
if [ "${1:-}" = --serve ]; then
    exec "$python" -m mkdocs serve
fi
exec "$python" -m mkdocs build --strict --quiet
