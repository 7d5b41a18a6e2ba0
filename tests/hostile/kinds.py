"""Kinds of input: which files a case gets, which of them is changed, and what is then asked of Focal."""

from __future__ import annotations

import hashlib
import json
import math
import random
import shutil
from collections.abc import Callable, Collection
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from bench import STEM
from mutations import VALUES, changed_bytes, changed_csv, changed_tree, yaml_text
from ruamel.yaml import YAML

Asked = list[str] | Callable[[], object]
"""Words of a command, or a function whose `FocalError` is a refusal."""


@dataclass(frozen=True)
class Kind:
    """One kind of input.

    Attributes:
        files: Paths of the bench that a case gets; folders whole.
        victims: Patterns below the case of the files of which one is changed.
        ask: What is asked, of the folder of the case.
        has_checksum: Whether a changed file that is taken must give what the whole one gave.
        change: Changes the file in place of the way of its suffix.
    """

    files: tuple[str, ...]
    victims: tuple[str, ...]
    ask: Callable[[Path, random.Random], Asked]
    has_checksum: bool = False
    change: Callable[[Path, random.Random, Collection[int] | None], list[str]] | None = None


def prepare(kind: Kind, bench: Path, case: Path) -> None:
    """Copy the files of a kind into an empty folder."""
    for name in kind.files:
        source, target = bench / name, case / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target, dirs_exist_ok=True) if source.is_dir() else shutil.copy(
            source, target
        )


def change(kind: Kind, case: Path, rng: random.Random, kept: Collection[int] | None = None) -> str:
    """Change one file of a case; return which, and how."""
    places = sorted({place for pattern in kind.victims for place in case.glob(pattern) if place.is_file()})
    if not places:
        return "nothing"
    place = rng.choice(places)
    done = (kind.change or by_suffix)(place, rng, kept)
    return f"{place.relative_to(case)}: {', '.join(done)}"


def by_suffix(place: Path, rng: random.Random, kept: Collection[int] | None) -> list[str]:
    """Change trees of JSON and YAML and cells of CSV three times out of four, else bytes."""
    content = place.read_bytes()
    is_tree = place.suffix in (".json", ".yaml", ".jsonl") and rng.random() < 0.75
    if place.suffix == ".csv":
        changed, done = changed_csv(content, rng, kept)
    elif is_tree and place.suffix == ".jsonl":
        lines = content.decode().splitlines()
        number = rng.randrange(len(lines))
        tree, done = changed_tree({"line": json.loads(lines[number])}, rng, kept)
        lines[number] = json.dumps(tree.get("line"))
        changed = ("\n".join(lines) + "\n").encode()
    elif is_tree:
        tree, done = changed_tree(_tree(content), rng, kept)
        text = yaml_text(tree) if place.suffix == ".yaml" else json.dumps(tree)
        changed = text.encode("utf-8", "surrogatepass")
    else:
        changed, done = changed_bytes(content, rng, kept)
    place.write_bytes(changed)
    return done


@lru_cache(maxsize=64)
def _tree(content: bytes) -> Any:
    return json.loads(json.dumps(YAML(typ="safe", pure=True).load(content.decode())))


def signed_counts(place: Path, rng: random.Random, kept: Collection[int] | None) -> list[str]:
    """Change header or cells of a trace and sign it again, as a faulty or hostile writer would."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(place)
    metadata = dict(table.schema.metadata)
    done: list[str] = []
    columns = {
        name: (table[name].to_numpy().astype("<i4" if name == "sample" else None) if name != "gemm" else None)
        for name in table.column_names
    }
    from focal_traces.counts.file import _DTYPES, _SCHEMA
    from focal_traces.header.schema import GEMMS

    numbers = {
        name: np.array([GEMMS.index(word) for word in table[name].to_pylist()], dtype=np.int8)
        if name == "gemm"
        else table[name].to_numpy().astype(_DTYPES[name])
        for name in columns
    }
    if rng.random() < 0.6:
        tree, done = changed_tree(json.loads(metadata[b"focal.header"]), rng, kept)
        metadata[b"focal.header"] = json.dumps(tree).encode("utf-8", "surrogatepass")
    else:
        name = rng.choice([one for one in numbers if one != "gemm"])
        column, bounds = numbers[name], np.iinfo(numbers[name].dtype)
        row = rng.randrange(len(column))
        value = rng.choice([bounds.max, bounds.min, -1, 0, 1, int(column[row]) + 1, int(column[row]) * 2])
        column[row if rng.random() < 0.7 else slice(None)] = np.clip(value, bounds.min, bounds.max)
        done = [f"{name}[{row}] = {value}"]
    digest = hashlib.sha256(metadata[b"focal.header"])
    for name in _SCHEMA.names:
        digest.update(np.ascontiguousarray(numbers[name]).data)
    metadata[b"focal.content_sha256"] = digest.hexdigest().encode()
    metadata[b"focal.schema_version"] = rng.choice(
        [b"1"] * 8 + [b"2", b"1" * 5000, b"-1", b"x", b"", "²".encode()]
    )
    arrays = [
        table[name].combine_chunks() if name == "gemm" else pa.array(numbers[name], _SCHEMA.field(name).type)
        for name in _SCHEMA.names
    ]
    pq.write_table(pa.Table.from_arrays(arrays, schema=_SCHEMA.with_metadata(metadata)), place)
    return done


def signed_masks(place: Path, rng: random.Random, kept: Collection[int] | None) -> list[str]:
    """Change a part of a mask trace and sign it again."""
    import numpy as np
    import torch

    from focal_traces.masks.file import _checksum

    content = torch.load(place, weights_only=True)
    header, rules = content["header"], content["rules"]
    index, payload = content["index"].numpy().copy(), content["payload"].numpy().copy()
    part = rng.random()
    if part < 0.25:
        tree, done = changed_tree(json.loads(header), rng, kept)
        header = json.dumps(tree)
    elif part < 0.5:
        tree, done = changed_tree({"rules": json.loads(rules)}, rng, kept)
        rules = json.dumps(tree.get("rules", tree))
    elif part < 0.8:
        row, column = rng.randrange(len(index)), rng.randrange(index.shape[1])
        index[row, column] = rng.choice(
            [0, 1, 2, 3, -1, 2**31, 2**40, 2**62, 2**63 - 1, int(index[row, column]) * 1000]
        )
        done = [f"index[{row}, {column}] = {index[row, column]}"]
    else:
        changed, done = changed_bytes(payload.tobytes(), rng, kept)
        payload = np.frombuffer(changed, np.uint8).copy()
    content |= {
        "header": header,
        "rules": rules,
        "index": torch.from_numpy(index),
        "payload": torch.from_numpy(payload),
    }
    content["content_sha256"] = _checksum(header.encode("utf-8", "replace").decode(), rules, index, payload)
    if rng.random() < 0.15:
        name = rng.choice(list(content))
        odd = [
            None,
            1,
            "x",
            [],
            {},
            torch.zeros(3),
            torch.zeros(0, dtype=torch.int64),
            -1,
            True,
            1.5,
            "9" * 5000,
        ]
        odd += [torch.sparse_coo_tensor(size=(3, 3)), torch.zeros(1, dtype=torch.uint8).expand(10**9)]
        content[name] = rng.choice(odd)
        done.append(f"{name} is odd")
    torch.save(content, place)
    return done


def odd_published(place: Path, rng: random.Random, kept: Collection[int] | None) -> list[str]:
    """Change a tensor of a published trace."""
    import torch

    if rng.random() < 0.4:
        return by_suffix(place, rng, kept)
    content = torch.load(place, weights_only=True)
    kind, name = rng.choice(list(content)), ""
    name = rng.choice(list(content[kind]))
    tensor = content[kind][name]
    how = rng.randrange(7)
    odd = [
        tensor.float(),
        tensor[:1],
        tensor[..., :-1],
        torch.zeros(0),
        None,
        tensor.transpose(2, 3),
        tensor.float().to_sparse(),
    ]
    content[kind][name] = odd[how]
    torch.save(content, place)
    return [f"{kind}.{name} is odd ({how})"]


def signed_frames(place: Path, rng: random.Random, kept: Collection[int] | None) -> list[str]:
    """Change the contents or a member of a file of frames and sign it again."""
    import zipfile

    with zipfile.ZipFile(place) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    tree = json.loads(members["frames.json"])
    if rng.random() < 0.5:
        tree, done = changed_tree(tree, rng, kept)
    else:
        name = rng.choice([one for one in members if one != "frames.json"])
        members[name], done = changed_bytes(members[name], rng, kept)
        tree["sha256"][name] = hashlib.sha256(members[name]).hexdigest()
        done.append(name)
    members["frames.json"] = json.dumps(tree).encode()
    with zipfile.ZipFile(place, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return done


TRACE = f"root/focus_main/{STEM}"
COUNTS, MASKS, PUBLISHED = f"{TRACE}.counts.parquet", f"{TRACE}.masks.pth", f"{TRACE}.pth"
RECORDS, FRAMES = f"{TRACE}.records.parquet", f"{TRACE}.frames.zip"


def info(name: str) -> Callable[[Path, random.Random], Asked]:
    return lambda case, rng: ["trace", "info", str(case / name), "--json"]


def looked_at(name: str) -> Callable[[Path, random.Random], Asked]:
    def ask(case: Path, rng: random.Random) -> Asked:
        place = str(case / name)
        return rng.choice(
            [
                ["trace", "info", place, "--json"],
                ["trace", "validate", place, "--json"],
                ["trace", "convert", place, str(case / "out.counts.parquet")],
                ["trace", "convert", place, str(case / "out.pth")],
                simulated(case, place, rng.choice(["focus", "dense", "adaptiv", "cmc"]), rng),
            ]
        )

    return ask


def simulated(case: Path, trace: str, accelerator: str, rng: random.Random) -> list[str]:
    fidelity = rng.choice(["cycle", "parity"])
    words = ["sim", "--trace", trace, "--accelerator", accelerator, "--fidelity", fidelity]
    return [*words, "--no-figure", "--json", "--output", str(case / "out")]


def hardware(name: str) -> Kind:
    def ask(case: Path, rng: random.Random) -> Asked:
        return [*simulated(case, str(case / "root"), name, rng), "--hardware", str(case / f"{name}.yaml")]

    return Kind(("root", f"{name}.yaml"), (f"{name}.yaml",), ask)


def _method(case: Path, rng: random.Random) -> Asked:
    from focal_algorithm.methods import METHODS
    from focal_algorithm.methods.build import build_method
    from focal_algorithm.methods.config import configured_parameters

    name = rng.choice(sorted(METHODS))
    own = {
        one.name: one.default
        for one in fields(METHODS.load(name))
        if isinstance(one.default, (int, float, str, tuple))
    }
    tree, _ = changed_tree(
        {key: list(value) if isinstance(value, tuple) else value for key, value in own.items()} or {"x": 1},
        rng,
    )
    (case / "method.yaml").write_bytes(yaml_text(tree).encode("utf-8", "surrogatepass"))

    def build() -> object:
        method = build_method(name, configured_parameters(name, case / "method.yaml", lambda text: None))
        odd = [
            one.name
            for one in fields(method)
            if isinstance(getattr(method, one.name), float) and not math.isfinite(getattr(method, one.name))
        ]
        assert not odd, f"{name}.{odd} is not finite"
        return method

    return build


def _answers(case: Path, rng: random.Random) -> Asked:
    def read() -> object:
        from focal_algorithm.evaluation.lmms.answering import AnswerLog

        log = AnswerLog(case / "answers" / "a.jsonl", {"model": "x"})
        log.close()
        assert all(log.get(f"key{number}") in ("yes", None) for number in range(4)), "an answer was changed"
        return log.resumed

    return read


def _row(case: Path, rng: random.Random) -> Asked:
    from focal_algorithm.matrix.progress import RowProgress

    return lambda: RowProgress(case / "row", "identity").read()


def _model(case: Path, rng: random.Random) -> Asked:
    def load() -> object:
        from focal_algorithm.checkpoints.loading import load_model

        place = str(case / "checkpoint")
        load_model(place, size="tiny", seed=0, dtype="fp32", attention="sdpa", device="cpu", is_offline=True)
        return "loaded"

    return load if rng.random() < 0.8 else ["doctor", "--model", str(case / "checkpoint"), "--json"]


def _weights(case: Path, rng: random.Random) -> Asked:
    def read() -> object:
        from focal_algorithm.checkpoints.llava_video import read_weights, weight_names

        place = case / "train" / "pytorch_model.bin"
        return len(weight_names(place)), len(read_weights(place))

    return read


def _training(case: Path, rng: random.Random) -> Asked:
    from focal_algorithm.training.checkpoint import read_checkpoint

    return lambda: sorted(read_checkpoint(case / "train" / "checkpoint.pt"))


def _media(case: Path, rng: random.Random) -> Asked:
    from focal_algorithm.prompts.media.reading import read_image, read_video

    place = max((case / "media").iterdir(), key=lambda one: (one.suffix != ".md", one.name))
    return lambda: len((read_image(place) if place.suffix == ".png" else read_video(place, 4)).frames)


def _one_medium(place: Path, rng: random.Random, kept: Collection[int] | None) -> list[str]:
    for other in place.parent.iterdir():
        if other != place:
            other.unlink()
    return by_suffix(place, rng, kept)


def _task(case: Path, rng: random.Random) -> Asked:
    from focal_algorithm.tasks.store import load_split

    return lambda: len(
        load_split("shapes-video", seed=0, split="test", samples=1, cache=case / "cache").samples
    )


def _signed_task(place: Path, rng: random.Random, kept: Collection[int] | None) -> list[str]:
    import numpy as np

    from focal_algorithm.tasks.store import _digest

    done = by_suffix(place, rng, kept)
    if place.suffix == ".jsonl" and rng.random() < 0.7:
        manifest = json.loads((place.parent / "manifest.json").read_text())
        text = place.read_bytes().decode("utf-8", "replace")
        place.write_text(text)
        manifest["sha256"] = _digest(np.load(place.parent / "frames.npy"), text)
        (place.parent / "manifest.json").write_text(json.dumps(manifest))
    return done


def _report(case: Path, rng: random.Random) -> Asked:
    run = str(case / "sim")
    return rng.choice(
        [
            ["report", run, "-o", str(case / "report.html"), "--root", str(case / "published")],
            ["explain", run, "--layer", "1.o_proj", "--accelerator", "focus"],
            [*simulated(case, str(case / COUNTS), "focus", rng)[:-1], run],
            ["reproduce", "fig9", "--from", run, "--output", str(case / "out")],
        ]
    )


def _swept(case: Path, rng: random.Random) -> Asked:
    words = ["sweep", str(case / "study.yaml"), "--output", str(case / "swept"), "--no-figures", "--json"]
    return words


def _parts(place: Path, rng: random.Random, kept: Collection[int] | None) -> list[str]:
    """Change the journal of a study that was stopped after one point."""
    from focal_common.places import make_folder
    from focal_common.reading.json_files import sealed_line
    from focal_simulator.sweep.rows import read_rows

    folder = place.parent
    rows = read_rows([folder / "results.parquet"])
    for name in ("results.parquet", "summary.json", "front.csv"):
        (folder / name).unlink(missing_ok=True)
    make_folder(folder / "parts")
    journal = folder / "parts" / "00000000-1.jsonl"
    names = sorted(path.name for path in (folder / "parts").iterdir())
    assert names, "the marker is there"
    journal.write_bytes(sealed_line(rows[0]))
    return by_suffix(journal, rng, kept)


def _words(case: Path, rng: random.Random) -> Asked:
    def odd() -> str:
        value = rng.choice([one for one in VALUES if not isinstance(one, (list, dict))])
        if isinstance(value, str) and rng.random() < 0.02:
            value = "[" * 3000
        return str(value if not isinstance(value, int) or abs(value) < 1e300 else 7).replace("\0", "")[:5000]

    counts, out = str(case / COUNTS), str(case / "out")
    field = rng.choice(
        ["core.array_rows.value", "tiles.m_tile.value", "clock.value", "dram_energy.value", odd()]
    )
    return rng.choice(
        [
            [*simulated(case, counts, "focus", rng), "--set", f"{field}={odd()}"],
            [
                *simulated(case, rng.choice([counts, odd()]), "focus", rng),
                "--model",
                odd(),
                "--dataset",
                odd(),
            ],
            [*simulated(case, counts, "focus", rng), "--corrections", odd()],
            [*simulated(case, counts, "focus", rng), "--whole-model", "--generate", odd()],
            [
                "gpu",
                "--gpu",
                "a100",
                "--trace",
                counts,
                "--generated-tokens",
                odd(),
                "--batch",
                odd(),
                "--json",
            ],
            ["trace", "info", rng.choice([counts, odd()]), "--sample", odd(), "--json"],
            ["show", counts, "--layer", odd(), "--sample", odd(), "--output", str(case / "out.png")],
            ["explain", str(case / "sim"), "--layer", odd(), "--accelerator", odd(), "--model", odd()],
            ["sweep", odd(), "--output", out],
            ["compare", odd(), odd()],
            ["matrix", "--profile", str(case / "matrix.yaml"), "--only", odd(), "--choose", odd(), "--list"],
            ["data", "show", rng.choice(["shapes-video", odd()]), odd()],
            [odd(), odd()],
            ["reproduce", rng.choice(["fig9", "table2", odd()]), "--from", odd(), "--output", out],
            ["trace", "--model", odd(), "--method", "focus", "--set", odd(), "--output", out],
            [
                "eval",
                "--model",
                odd(),
                "--tasks",
                odd(),
                "--method",
                odd(),
                "--limit",
                odd(),
                "--output_path",
                out,
            ],
            ["report", odd(), "-o", str(case / "out.html")],
            [
                "sim",
                "--gemms",
                rng.choice([str(case / "layers.csv"), odd()]),
                "--batch",
                odd(),
                "--tokens",
                odd(),
                "--output",
                out,
            ],
        ]
    )


def _shown(case: Path, rng: random.Random) -> Asked:
    return ["show", str(case / COUNTS), "--output", str(case / rng.choice(["out.png", "out.html"]))]


def _root(case: Path, rng: random.Random) -> Asked:
    accelerator = rng.choice(["dense", "adaptiv", "cmc", "focus", "focus_sec_only"])
    words = [
        *simulated(case, str(case / "published"), accelerator, rng),
        "--model",
        "llava_vid",
        "--dataset",
        "mvbench",
    ]
    return words


KINDS: dict[str, Kind] = {
    **{f"hardware {name}": hardware(name) for name in ("focus", "dense", "adaptiv", "cmc")},
    "array of one's own": Kind(
        (COUNTS, "array.yaml"),
        ("array.yaml",),
        lambda case, rng: simulated(case, str(case / COUNTS), str(case / "array.yaml"), rng),
    ),
    "list of GEMMs": Kind(
        ("layers.csv",),
        ("layers.csv",),
        lambda case, rng: [
            "sim",
            "--gemms",
            str(case / "layers.csv"),
            "--accelerator",
            "dense",
            "--no-figure",
            "--json",
            "--output",
            str(case / "out"),
        ],
    ),
    "study": Kind(
        ("study.yaml", "root"),
        ("study.yaml",),
        lambda case, rng: [
            "sweep",
            str(case / "study.yaml"),
            "--output",
            str(case / "out"),
            "--no-figures",
            "--json",
        ],
    ),
    "matrix": Kind(
        ("matrix.yaml",),
        ("matrix.yaml",),
        lambda case, rng: [
            "matrix",
            "--profile",
            str(case / "matrix.yaml"),
            rng.choice(["--list", "--list", "--check"]),
        ],
    ),
    "method": Kind((), (), _method),
    "counts": Kind((COUNTS,), (COUNTS,), info(COUNTS), has_checksum=True),
    "counts signed": Kind((COUNTS,), (COUNTS,), looked_at(COUNTS), change=signed_counts),
    "masks": Kind((MASKS,), (MASKS,), info(MASKS), has_checksum=True),
    "masks signed": Kind((MASKS,), (MASKS,), looked_at(MASKS), change=signed_masks),
    "published masks": Kind((PUBLISHED, COUNTS), (PUBLISHED,), looked_at(PUBLISHED), change=odd_published),
    "records": Kind((RECORDS,), (RECORDS,), info(RECORDS), has_checksum=True),
    "records shown": Kind((RECORDS, FRAMES, COUNTS), (RECORDS, FRAMES, COUNTS), _shown),
    "frames": Kind((FRAMES,), (FRAMES,), info(FRAMES), has_checksum=True),
    "frames signed": Kind((RECORDS, FRAMES, COUNTS), (FRAMES,), _shown, change=signed_frames),
    "tables of a root": Kind(("published",), ("published/*.csv",), _root),
    "recipe": Kind(("published",), ("published/focus_main/*.json",), _root),
    "results": Kind(("sim", "published", COUNTS), ("sim/*.csv", "sim/*.json", "sim/*.parquet"), _report),
    "study folder": Kind(
        ("swept", "study.yaml", "root"),
        ("swept/*.json", "swept/*.parquet", "swept/*.csv"),
        _swept,
        has_checksum=True,
    ),
    "journal of a study": Kind(
        ("swept", "study.yaml", "root"), ("swept/study.json",), _swept, has_checksum=True, change=_parts
    ),
    "runs of an evaluation": Kind(
        ("runs",),
        ("runs/*/samples.jsonl",),
        lambda case, rng: ["compare", str(case / "runs" / "one"), str(case / "runs" / "two"), "--json"],
        has_checksum=True,
    ),
    "answers": Kind(("answers",), ("answers/a.jsonl",), _answers),
    "row of a matrix": Kind(("row",), ("row/row.json",), _row, has_checksum=True),
    "model folder": Kind(("checkpoint",), ("checkpoint/*",), _model),
    "weights": Kind(("train",), ("train/pytorch_model.bin",), _weights, has_checksum=True),
    "training": Kind(("train",), ("train/checkpoint.pt",), _training, has_checksum=True),
    "media": Kind(("media",), ("media/*.png", "media/*.m*"), _media, change=_one_medium),
    "task": Kind(("cache",), ("cache/tasks/*/*",), _task, change=_signed_task),
    "words": Kind((COUNTS, "sim", "matrix.yaml", "layers.csv"), (), _words),
}
