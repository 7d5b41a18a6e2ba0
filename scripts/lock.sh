#!/bin/sh
# Takes the lock of a set-up for the process that asks, and waits while another one that is alive holds it.
#   lock.sh FOLDER PID    the caller removes FOLDER when it ends
set -eu
lock=$1 owner=$2

if [ ! -w . ]; then
    echo "error: $(pwd) cannot be written; copy the repository to a folder of your own" >&2
    exit 1
fi
# A link is made in one step and holds the number of its owner, so that a lock without an owner does not exist.
said=
if [ -d "$lock" ] && [ ! -h "$lock" ]; then rmdir "$lock" 2>/dev/null || true; fi # of an older version
until ln -s "$owner" "$lock" 2>/dev/null; do
    holder=$(readlink "$lock" 2>/dev/null || true)
    if [ -n "$holder" ] && ! kill -0 "$holder" 2>/dev/null && ! ps -p "$holder" >/dev/null 2>&1; then
        # Its owner died. Whoever renames it removes it; a lock that was new by then is put back.
        mv "$lock" "$lock.$owner" 2>/dev/null || continue
        [ "$(readlink "$lock.$owner")" = "$holder" ] || mv "$lock.$owner" "$lock"
        rm -f "$lock.$owner"
    else
        [ -n "$said" ] || echo "another set-up is running (process ${holder:-unknown}); waiting for it" >&2
        said=yes
        sleep 1
    fi
done
