"""Remembers results by the values of the hardware fields that computing them read.

Who computes need not declare what a result depends on: it gets the hardware through `Watched`, which notes every
field it looks at. Code without hidden inputs reads the same next field after the same values, so results form a
tree of reads, and a design that agrees in all of them has the same result, whatever else it changes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel

from focal_common.errors import ConfigError, FocalError, RunError

__all__ = ["ReadMemo", "Watched", "field_tree", "plain"]

T = TypeVar("T")

_MOST_RESULTS = 5_000


Tree = dict[str, Any]
"""Fields by part of their dotted name: a branch for what lies below, a text for a field itself."""


def field_tree(fields: Collection[str]) -> Tree:
    """Return dotted fields as a tree; a field below another one counts as that one."""
    tree: Tree = {}
    for field in sorted(fields):
        node: Any = tree
        *parents, leaf = field.split(".")
        for part in parents:
            node = node.setdefault(part, {})
            if isinstance(node, str):
                raise ConfigError(f"axes set '{node}' and '{field}' below it; expected one of them")
        node[leaf] = field
    return tree


def _below(tree: Tree) -> Iterator[str]:
    for child in tree.values():
        if isinstance(child, str):
            yield child
        else:
            yield from _below(child)


class Watched:
    """A node of a hardware file that notes which of the given fields are read through it.

    What lies beside the way to a field is handed out as it is. Any other use of a node (a copy, a comparison)
    counts as reading all fields below it.

    Args:
        node: A model or a mapping of the hardware file.
        tree: Fields to note, see `field_tree`.
        note: Called with each of them when it is read.
    """

    __slots__ = ("_node", "_note", "_tree")

    def __init__(self, node: Any, tree: Tree, note: Callable[[str], Any]) -> None:
        self._node, self._tree, self._note = node, tree, note

    def _child(self, name: str, child: Any) -> Any:
        below = self._tree.get(name)
        if below is None:
            return child
        if isinstance(below, str):
            self._note(below)
            return child
        return Watched(child, below, self._note)

    @property
    def note(self) -> Callable[[str], None]:
        """Function to be told about reads made elsewhere."""
        return self._note

    def whole(self) -> Any:
        """Return the node itself; every field below counts as read."""
        for field in _below(self._tree):
            self._note(field)
        return self._node

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if isinstance(self._node, BaseModel) and name in self._node.__dict__:
            return self._child(name, self._node.__dict__[name])
        return getattr(self.whole(), name)

    def __getitem__(self, name: str) -> Any:
        return self._child(name, self._node[name])

    def __contains__(self, name: object) -> bool:
        return name in self._node

    def __iter__(self) -> Iterator[str]:
        return iter(self._node)

    def __len__(self) -> int:
        return len(self._node)

    def keys(self) -> Any:
        """Return the names of a mapping."""
        return self._node.keys()

    def values(self) -> list[Any]:
        """Return the watched entries of a mapping."""
        return [self[name] for name in self._node]

    def items(self) -> list[tuple[str, Any]]:
        """Return the names and watched entries of a mapping."""
        return [(name, self[name]) for name in self._node]

    def get(self, name: str, default: Any = None) -> Any:
        """Return a watched entry of a mapping."""
        return self[name] if name in self._node else default

    def __eq__(self, other: object) -> bool:
        return bool(self.whole() == plain(other))

    def __hash__(self) -> int:
        return hash(self.whole())


def plain(value: Any) -> Any:
    """Return a value without watched nodes in it or in its elements; they count as read."""
    if isinstance(value, Watched):
        return value.whole()
    if type(value) in (tuple, list):
        return type(value)(plain(one) for one in value)
    if type(value) is dict:
        return {name: plain(one) for name, one in value.items()}
    return value


class _Branch:
    __slots__ = ("field", "ways")

    def __init__(self, field: str) -> None:
        self.field = field
        self.ways: dict[tuple[type, Any], Any] = {}


class _Leaf:
    __slots__ = ("result",)

    def __init__(self, result: Any) -> None:
        self.result = result


class ReadMemo:
    """Results of one function of the hardware.

    Args:
        fields: Dotted fields that designs differ in; all others must be equal.
        most: Results to keep; with one more all are forgotten.
    """

    def __init__(self, fields: Collection[str], most: int = _MOST_RESULTS) -> None:
        self._tree, self._most = field_tree(fields), most
        self._root: Any = None
        self._results = 0

    def result(
        self,
        hardware: Any,
        values: Mapping[str, Any],
        compute: Callable[[Any], T],
        note: Callable[[str], None] | None = None,
    ) -> T:
        """Return ``compute(hardware)``, or what it returned for a design that no field it read tells apart.

        Args:
            hardware: Checked hardware file of the design.
            values: Value of each of the fields in this design.
            compute: Function without hidden inputs; it gets the hardware watched. A `FocalError` it raises is
                remembered like a result, except a `RunError`.
            note: Told about every field read, now or when the result was made.
        """
        node = self._root
        while type(node) is _Branch:
            if note is not None:
                note(node.field)
            node = node.ways.get(_key(values[node.field]))
        if node is None:
            node = self._made(hardware, values, compute, note)
        if isinstance(node.result, FocalError):
            # Without this, the traceback of a remembered error would grow with every design.
            raise node.result.with_traceback(None)
        return node.result  # type: ignore[no-any-return]

    def _made(
        self,
        hardware: Any,
        values: Mapping[str, Any],
        compute: Callable[[Any], T],
        note: Callable[[str], None] | None,
    ) -> _Leaf:
        read: dict[str, None] = {}
        try:
            leaf = _Leaf(plain(compute(Watched(hardware, self._tree, read.setdefault))))
        except RunError:
            raise
        except FocalError as error:
            leaf = _Leaf(error)
        if self._results >= self._most:
            self._root, self._results = None, 0
        self._results += 1
        self._store(list(read), values, leaf)
        if note is not None:
            for field in read:
                note(field)
        return leaf

    def _store(self, read: list[str], values: Mapping[str, Any], leaf: _Leaf) -> None:
        if not read:
            self._root = leaf
            return
        node = self._root = self._root or _Branch(read[0])
        for field, following in zip(read, [*read[1:], None], strict=True):
            if type(node) is not _Branch or node.field != field:
                raise RunError(
                    f"field '{field}' was read in another order before; "
                    "a plug-in must not keep anything between designs"
                )
            key = _key(values[field])
            node = node.ways.setdefault(key, leaf if following is None else _Branch(following))


def _key(value: Any) -> tuple[type, Any]:
    """Tell 1, 1.0 and True apart."""
    return (type(value), value if isinstance(value, int | float | str) else repr(value))
