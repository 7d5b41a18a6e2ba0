"""Hooks of the documentation site: the page of commands, and files of the repository that pages point to."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

_ROOT = Path(__file__).resolve().parents[1]
_LINK = re.compile(r"(!?)\[([^\]]*)\]\((\.\./[^)#\s]+)(#[^)\s]*)?\)")
_PICTURES = (".png", ".svg", ".gif")
_COMMANDS = "reference/commands.md"


def on_files(files: Files, config: Any) -> Files:
    """Add the page of commands, and the pictures of the repository that pages show."""
    files.append(File.generated(config, _COMMANDS, content=_commands()))
    for page in [one for one in files.documentation_pages() if one.src_uri != _COMMANDS]:
        for _, _, target, _ in _LINK.findall(page.content_string):
            path = _outside(page.src_uri, target)
            if path and path.suffix in _PICTURES:
                files.append(File.generated(config, _place(path), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Point to copies of pictures; name other files of the repository by their path."""

    def changed(found: re.Match[str]) -> str:
        mark, text, target, _ = found.groups()
        path = _outside(page.file.src_uri, target)
        if path is None:
            return found.group()
        if path.suffix in _PICTURES:
            up = "../" * page.file.src_uri.count("/")
            return f"{mark}[{text}]({up}{_place(path)})"
        return f"{text} (`{path.relative_to(_ROOT)}`)"

    return _LINK.sub(changed, markdown)


def _outside(page: str, target: str) -> Path | None:
    """Return the file of the repository that a link leads to; None within the documentation, or where none is."""
    docs = _ROOT / "docs"
    path = (docs / page).parent.joinpath(target).resolve()
    is_outside = path.is_relative_to(_ROOT) and not path.is_relative_to(docs) and path.exists()
    return path if is_outside else None


def _place(path: Path) -> str:
    return f"repository/{path.relative_to(_ROOT)}"


def _commands() -> str:
    import typer
    from typer.cli import get_docs_for_click

    from focal.commands.main import VERBS

    parts = ["# Commands\n\nEvery command prints this with `--help`. Exit codes: 0 done, 1 failed, 2 wrong use.\n"]
    for name in VERBS:
        command = typer.main.get_command(VERBS.load(name))
        context = typer.Context(command, info_name=name)
        text = get_docs_for_click(obj=command, ctx=context, name=f"focal {name}", title=f"focal {name}")
        parts.append(re.sub(r"^#", "##", text, flags=re.MULTILINE))
    return "\n".join(parts)
