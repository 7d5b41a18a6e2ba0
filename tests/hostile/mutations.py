"""What hostile and damaged files look like: values, trees and bytes changed at random, each change on its own.

A mutation is a seed and the places in its list of changes that are kept, so that a failure can be shrunk.
"""

from __future__ import annotations

import copy
import csv
import io
import json
import random
from collections.abc import Collection
from typing import Any

VALUES: list[Any] = [
    *(
        None,
        True,
        False,
        -1,
        0,
        1,
        2,
        3,
        7,
        0.5,
        1e-300,
        1e308,
        -1e308,
        float("inf"),
        float("-inf"),
        float("nan"),
    ),
    *(2**31, 2**31 - 1, 2**63, 2**63 - 1, 10**30, -(2**63), 1e15, 1e30, 1000003, 10**400),
    *(
        "",
        " ",
        "x",
        "../../x",
        "/etc/passwd",
        "<script>alert(1)</script>",
        "=1+1",
        "@SUM(A1)",
        "a\nb",
        "a,b",
        "\0",
    ),
    *(
        "\ud800",
        "\u202e",
        "１２",
        "²",
        " 7",
        "1_000",
        "0x10",
        "1e3",
        "nan",
        "inf",
        "null",
        "focus",
        "dense",
        "..",
        "C:\\x",
    ),
    *(
        [],
        {},
        [1],
        [[]],
        {"a": 1},
        [None],
        "[bold]x[/bold]",
        "[/nope]",
        "%s%n{0}{x}",
        "é" * 50,
        "x" * 100_000,
    ),
    *([0] * 1000, {"x" * 10: {"y": {"z": []}}}, [0.4, "x"], "\x1b[2J"),
]

_TOKENS = [
    *(
        b"\0",
        b"\xff" * 8,
        b"<script>",
        b"../../",
        b"\n",
        b"nan",
        b"inf",
        b"-1",
        b"9" * 20,
        b"9" * 5000,
        b"&a [*a]",
    ),
    *(
        b"!!python/object/apply:os.system [id]",
        b"{{",
        b"\xef\xbb\xbf",
        b"\x80\x02c",
        b"\xc3\x28",
        b"[" * 3000,
    ),
    *(b'{"a":' * 3000, b"\r", b"\t", b",,,", b'"', b"'", b": ", b"- ", b"Infinity", b"1e999"),
]


def nested(depth: int) -> list[Any]:
    """Return a list in a list in a list."""
    tree: list[Any] = []
    for _ in range(depth):
        tree = [tree]
    return tree


def _paths(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [path, *(found for name, one in inside for found in _paths(one, (*path, name)))]


def _at(tree: Any, path: tuple[Any, ...]) -> Any:
    for part in path:
        tree = tree[part]
    return tree


def _near(old: Any, rng: random.Random) -> Any:
    if isinstance(old, bool) or not isinstance(old, (int, float)) or rng.random() > 0.4:
        return copy.deepcopy(rng.choice(VALUES))
    return rng.choice(
        [old * 1000, -old, old + 1, old - 1, old * 2, float(old), str(old), old / 3, old * 10**6]
    )


def changed_tree(tree: Any, rng: random.Random, kept: Collection[int] | None = None) -> tuple[Any, list[str]]:
    """Return a changed copy of a tree and what was done, one sentence a change; a change not in ``kept`` is skipped."""
    tree = copy.deepcopy(tree)
    done = []
    for number in range(1 if rng.random() < 0.75 else rng.randint(2, 4)):
        paths = [path for path in _paths(tree) if path]
        path, other, how, value = (
            rng.choice(paths or [()]),
            rng.choice(paths or [()]),
            rng.random(),
            rng.random(),
        )
        own = random.Random(value)
        if not path or (kept is not None and number not in kept):
            continue
        parent, name = _at(tree, path[:-1]), path[-1]
        if how < 0.68:
            parent[name] = _near(parent[name], own)
        elif how < 0.70:
            parent[name] = nested(own.choice([70, 150]))
        elif how < 0.80:
            del parent[name]
        elif how < 0.88 and isinstance(parent, dict):
            parent[own.choice(["x", "", "../x", f"{name}s", str(name).upper(), "<b>", "__class__"])] = (
                parent.pop(name)
            )
        elif how < 0.94:
            parent[name] = copy.deepcopy(_at(tree, other))
        elif isinstance(parent, list):
            parent.insert(name, copy.deepcopy(parent[name]))
        else:
            parent["extra"] = copy.deepcopy(own.choice(VALUES))
        done.append(f"{'.'.join(map(str, path))} ({how:.2f})"[:100])
    return tree, done


def changed_bytes(
    content: bytes, rng: random.Random, kept: Collection[int] | None = None
) -> tuple[bytes, list[str]]:
    """Return changed bytes and what was done; a change that is not in ``kept`` is skipped."""
    data, done = bytearray(content), []
    for number in range(rng.choice([1, 1, 1, 2, 4, 16])):
        how, place, length, value = rng.randrange(8), rng.random(), rng.randrange(1, 64), rng.random()
        own = random.Random(value)
        if kept is not None and number not in kept:
            continue
        start = int(place * len(data))
        stop = min(len(data), start + length)
        if not data:
            data += b"\0x"
        elif how == 0:
            data[start] ^= 1 << own.randrange(8)
        elif how == 1:
            data[start] = own.randrange(256)
        elif how == 2:
            del data[start:]
        elif how == 3:
            del data[start:stop]
        elif how == 4:
            data[start:start] = own.choice(_TOKENS)
        elif how == 5:
            data[start:start] = data[start:stop]
        elif how == 6:
            data[start:stop] = bytes(stop - start)
        else:
            data[start : start + 8] = own.choice(
                [b"\xff" * 8, b"\x7f" + b"\xff" * 7, (2**40).to_bytes(8, "little")]
            )
        done.append(f"{('flip', 'set', 'cut', 'delete', 'insert', 'repeat', 'zero', 'big')[how]} at {start}")
    return bytes(data), done


def changed_csv(
    content: bytes, rng: random.Random, kept: Collection[int] | None = None
) -> tuple[bytes, list[str]]:
    """Return a table with a changed cell, row or column; a quarter of the time only bytes are changed."""
    if rng.random() < 0.25:
        return changed_bytes(content, rng, kept)
    rows = [line for line in csv.reader(io.StringIO(content.decode())) if line]
    line = rng.randrange(len(rows))
    column, how = rng.randrange(len(rows[line])), rng.random()
    if how < 0.65:
        old = rows[line][column]
        try:
            number = float(old)
            value = rng.choice(
                [-number, number * 1e9, number + 0.5, f"{number:e}", f" {old} ", f"+{old}", old + "e2", "0"]
            )
        except ValueError:
            value = rng.choice([one for one in VALUES if isinstance(one, str)])
        rows[line][column] = str(
            value if rng.random() < 0.5 else rng.choice([v for v in VALUES if isinstance(v, str)])
        )
    elif how < 0.75:
        del rows[line]
    elif how < 0.85:
        rows.insert(line, list(rows[line]))
    else:
        rows = [
            row[:column] + (row[column : column + 1] * 2 if how > 0.93 else []) + row[column + 1 :]
            for row in rows
        ]
    text = io.StringIO()
    csv.writer(text, lineterminator=rng.choice(["\n", "\r\n"])).writerows(rows)
    return text.getvalue().encode("utf-8", "surrogatepass"), [f"row {line}, column {column} ({how:.2f})"]


def yaml_text(tree: Any) -> str:
    """Return a tree as YAML in flow style, numbers as YAML spells them."""
    if isinstance(tree, float) and (tree != tree or tree in (float("inf"), float("-inf"))):
        return ".nan" if tree != tree else ".inf" if tree > 0 else "-.inf"
    if isinstance(tree, list):
        return f"[{', '.join(map(yaml_text, tree))}]"
    if isinstance(tree, dict):
        return (
            "{" + ", ".join(f"{json.dumps(str(name))}: {yaml_text(one)}" for name, one in tree.items()) + "}"
        )
    return (
        repr(tree).replace("e", ".0e")
        if isinstance(tree, float) and "." not in repr(tree)
        else json.dumps(tree)
    )
