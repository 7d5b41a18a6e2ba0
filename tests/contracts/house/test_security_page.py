"""Does docs/security.md list every place that deserialises or executes, and does only the reading room parse files?"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = ("common", "traces", "algorithm", "simulator", "evaluation_scripts", "focal")
READING = "common/focal_common/reading/"

PARSERS = {
    *(
        "json.load",
        "json.loads",
        "csv.reader",
        "csv.DictReader",
        "pd.read_csv",
        "pd.read_parquet",
        "pd.read_json",
    ),
    *(
        "pq.read_table",
        "pq.read_schema",
        "pq.ParquetFile",
        "parquet.read_table",
        "zipfile.ZipFile",
        "np.load",
    ),
    *(
        "torch.load",
        "safe_open",
        "load_file",
        "YAML",
        "np.fromfile",
        "np.frombuffer",
        "lzma.decompress",
        "gzip.open",
    ),
    *(
        "np.lib.format.read_magic",
        "tarfile.open",
        "np.genfromtxt",
        "np.loadtxt",
        "yaml.load",
        "yaml.safe_load",
    ),
}
"""Calls that turn bytes of a file into values."""

RUNNERS = {
    *("eval", "exec", "compile", "__import__", "import_module", "importlib.import_module", "literal_eval"),
    *(
        "ast.literal_eval",
        "pickle.load",
        "pickle.loads",
        "subprocess.run",
        "subprocess.Popen",
        "os.system",
        "os.popen",
    ),
    *("os.execv", "os.posix_spawn", "ctypes.CDLL", "entry_points", "Image.open", "av.open", "numba.njit"),
}
"""Calls that run something, or hand a file to a decoder that is not of Python."""

RUNNING_ENDS = (".from_pretrained", ".get_config_dict", ".subprocess_exec")


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_name(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def calls(text: str) -> set[str]:
    """Return the calls of a source that deserialise or execute."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call):
            name = _name(node.func)
            if name in PARSERS | RUNNERS or name.endswith(RUNNING_ENDS):
                # What it is called on does not matter where every class has it.
                found.add(next((end[1:] for end in RUNNING_ENDS if name.endswith(end)), name))
    return found


def places() -> set[tuple[str, str]]:
    """Return file and call of every place."""
    found = set()
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            place = path.relative_to(ROOT).as_posix()
            found |= {(place, call) for call in calls(path.read_text(encoding="utf-8"))}
    return found


def listed() -> set[tuple[str, str]]:
    """Return file and call of every row of the page."""
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([^`]+\.py)` \| (.*?) \|", page, re.MULTILINE)
    return {(path, call) for path, cell in rows for call in re.findall(r"`([^`]+)`", cell)}


def test_the_page_lists_what_the_source_does() -> None:
    assert places() - listed() == set(), "not in docs/security.md"
    assert listed() - places() == set(), "in docs/security.md, and not in the source"


def test_only_the_reading_room_parses_files() -> None:
    allowed = {  # packaged files, and text that was written a line before
        ("common/focal_common/reading/json_files.py", "json.loads"),
        ("algorithm/focal_algorithm/prompts/media/media.py", "np.load"),
        ("simulator/focal_simulator/costs/sram_data.py", "lzma.decompress"),
        ("simulator/focal_simulator/jobs/vector_units.py", "np.frombuffer"),
        (
            "algorithm/focal_algorithm/prompts/media/reading.py",
            "np.frombuffer",
        ),  # of a frame that FFmpeg gave
        ("traces/focal_traces/frames/file.py", "zipfile.ZipFile"),  # writes
        ("traces/focal_traces/masks/file.py", "np.frombuffer"),  # writes
        ("traces/focal_traces/masks/packing.py", "np.frombuffer"),  # of bytes whose number was checked
    }
    outside = {(place, call) for place, call in places() if call in PARSERS and not place.startswith(READING)}
    assert outside <= allowed, outside - allowed


@pytest.mark.parametrize(
    ("text", "call"),
    [
        ("import torch\ntorch.load('x')", "torch.load"),
        ("import pickle\npickle.loads(b'')", "pickle.loads"),
        ("import subprocess\nsubprocess.run(['x'])", "subprocess.run"),
        ("AutoModel.from_pretrained('x')", "from_pretrained"),
    ],
)
def test_a_new_place_is_found(text: str, call: str) -> None:
    assert call in calls(text)
