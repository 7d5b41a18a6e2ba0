"""Questions of benchmarks as they are handed out: MME's folders, POPE's files on COCO, and files of annotations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from focal.studies.sparsezip.evalkit import SPLITS
from focal.studies.sparsezip.questions import load_questions
from focal_algorithm.prompts.media.media import MediaSample
from focal_algorithm.tasks.sample import StoredSample
from focal_common.errors import ConfigError, FocalError, near_matches
from focal_common.reading.csv_files import parse_csv
from focal_common.reading.doors import read_text
from focal_common.reading.json_files import parse_json, parse_object

PERCEPTION = (
    "existence", "count", "position", "color", "posters", "celebrity", "scene", "landmark", "artwork", "OCR",
)  # fmt: skip
COGNITION = ("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning")
"""Sub-tasks of MME (arXiv:2306.13394)."""
VARIANTS = ("random", "popular", "adversarial")
"""Variants of POPE (arXiv:2305.10355)."""
_SUFFIX = "Please answer yes or no."
_PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
_TABLES = (".json", ".jsonl", ".csv")
_IMAGE, _TEXT = ("image", "image_path", "file_name"), ("question", "text", "prompt")
_ANSWER, _ID = ("answer", "label", "answers"), ("question_id", "qid", "id")


@dataclass(frozen=True)
class FolderQuestion:
    """One question of a folder, or what is wrong with it.

    Attributes:
        qid: Its name.
        split: Sub-task or variant; empty where there are none.
        picture: File, or the picture itself.
        picture_id: Questions of one picture share it.
        text: As the model reads it.
        answers: Right ones; ``yes`` or ``no`` alone for MME and POPE.
        problem: Why it cannot be asked; empty if it can.
    """

    qid: str
    split: str
    picture: Path | MediaSample
    picture_id: str
    text: str = ""
    answers: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Split:
    """A sub-task or variant.

    Attributes:
        name: Of it.
        questions: Of it.
        status: ``found``; ``missing``: it is not there; ``failed``: its files cannot be read; ``unknown``: the
            benchmark has none of that name, so that it is not asked.
        reason: Why it is not ``found``.
    """

    name: str
    questions: tuple[FolderQuestion, ...] = ()
    status: str = "found"
    reason: str = ""


def mme_splits(root: Path, only: Sequence[str]) -> list[Split]:
    """Return the sub-tasks in MME's order, then folders that are none.

    A sub-task's folder holds one structured file (JSON, JSON lines or CSV), or a text for each picture with lines of
    question, tab and answer: beside the pictures, or in ``questions_answers_YN`` with the pictures in ``images``.

    Args:
        root: ``MME_Benchmark``.
        only: Sub-tasks; all if empty.

    Raises:
        ConfigError: No such folder, or no such sub-task.
    """
    known = (*PERCEPTION, *COGNITION)
    _check(root)
    _check_names(only, known)
    splits = [_read(name, partial(_mme, root / name, name)) for name in known if not only or name in only]
    if not only:
        for folder in sorted(one.name for one in root.iterdir() if one.is_dir() and one.name not in known):
            reason = f"MME has no such sub-task, so it is not asked; {near_matches(folder, known)}"
            splits.append(Split(folder, (), "unknown", reason))
    return splits


def pope_splits(root: Path, images: Path, only: Sequence[str]) -> list[Split]:
    """Return the variants: each a file ``*pope_VARIANT.json`` in a folder or in its folder ``coco``.

    Args:
        root: With the files.
        images: With COCO's pictures.
        only: Variants; all if empty.

    Raises:
        ConfigError: No such folder, or no such variant.
    """
    _check(root)
    _check_names(only, VARIANTS)
    _check(images)
    return [_read(name, partial(_pope, root, images, name)) for name in VARIANTS if not only or name in only]


def annotation_split(path: Path, *, is_yes_or_no: bool) -> Split:
    """Return the questions of one file of annotations; pictures lie beside it, or at the paths that it names.

    Raises:
        ConfigError: It cannot be read.
    """
    return Split("", tuple(_of_table(path, path.parent, "", is_yes_or_no)))


def procedural_splits(benchmark: str, only: Sequence[str], pictures: int) -> list[Split]:
    """Return the questions of shapes-pope or shapes-mme as the shipped model knows them.

    Args:
        benchmark: Name.
        only: Variants or sub-tasks; all if empty.
        pictures: To draw.

    Raises:
        ConfigError: No such variant or sub-task.
    """
    _check_names(only, SPLITS[benchmark])
    counts = (pictures, 0) if benchmark == "shapes-pope" else (0, pictures)
    asked = load_questions(*counts).only(benchmark, only)
    found: dict[str, list[FolderQuestion]] = {}
    for number, one in enumerate(asked.questions):
        picture = StoredSample(one.picture_id, asked.pictures[one.picture][None], (), is_video=False).media()
        question = FolderQuestion(str(number), one.split, picture, one.picture_id, one.text, (one.truth,))
        found.setdefault(one.split, []).append(question)
    return [Split(name, tuple(questions)) for name, questions in found.items()]


def _check(root: Path) -> None:
    if not root.is_dir():
        raise ConfigError(f"{root}: no such folder")


def _check_names(only: Sequence[str], known: Sequence[str]) -> None:
    for name in only:
        if name not in known:
            raise ConfigError(f"unknown name '{name}'; {near_matches(name, known)}", about=("only",))


def _read(name: str, read: Callable[[], Iterator[FolderQuestion]]) -> Split:
    try:
        questions = tuple(read())
    except FileNotFoundError as error:
        return Split(name, (), "missing", str(error))
    except (FocalError, OSError) as error:
        return Split(name, (), "failed", str(error))
    if not questions:
        return Split(name, (), "failed", f"no question of {name} was found")
    return Split(name, questions)


def _mme(folder: Path, name: str) -> Iterator[FolderQuestion]:
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder")
    tables = sorted(one for one in folder.iterdir() if one.suffix.lower() in _TABLES)
    pictures = folder / "images" if (folder / "images").is_dir() else folder
    if len(tables) > 1:
        raise ConfigError(f"{folder}: holds {' and '.join(one.name for one in tables)}; expected one of them")
    if tables:
        yield from _of_table(tables[0], pictures, name, True)
        return
    texts = folder / "questions_answers_YN" if (folder / "questions_answers_YN").is_dir() else folder
    by_stem = {one.stem: one for one in sorted(pictures.iterdir()) if one.suffix.lower() in _PICTURES}
    found = {one.stem: one for one in sorted(texts.iterdir()) if one.suffix.lower() == ".txt"}
    for stem in sorted(by_stem.keys() | found.keys()):
        picture = by_stem.get(stem, pictures / f"{stem}.jpg")
        if stem not in found:
            reason = f"{picture}: no question file {stem}.txt in {texts}"
            yield FolderQuestion(stem, name, picture, picture.name, problem=reason)
            continue
        yield from _of_text(found[stem], picture, name)


def _of_text(path: Path, picture: Path, split: str) -> Iterator[FolderQuestion]:
    """Yield the questions of one picture, two as MME scores them."""
    try:
        lines = [line for line in read_text(path).splitlines() if line.strip()]
    except FocalError as error:
        yield FolderQuestion(path.stem, split, picture, picture.name, problem=str(error))
        return
    if not lines:
        yield FolderQuestion(path.stem, split, picture, picture.name, problem=f"{path}: is empty")
    for number, line in enumerate(lines, 1):
        text, tab, answer = line.rpartition("\t")
        where = f"{path}, line {number}"
        if not tab:
            problem = f"{where}: no tab between question and answer"
            yield FolderQuestion(f"{path.stem}-{number}", split, picture, picture.name, line, (), problem)
        else:
            found = {"image": picture.name, "question": text, "answer": answer}
            yield _question(found, where, picture, f"{path.stem}-{number}", split, True)


def _pope(root: Path, images: Path, name: str) -> Iterator[FolderQuestion]:
    found = sorted(
        one
        for folder in (root, root / "coco")
        if folder.is_dir()
        for one in folder.iterdir()
        if one.suffix.lower() in _TABLES and one.stem.endswith(f"pope_{name}")
    )
    if not found:
        raise FileNotFoundError(f"{root}: no file that ends in pope_{name}.json")
    if len(found) > 1:
        raise ConfigError(f"{root}: holds {' and '.join(map(str, found))}; expected one of them")
    yield from _of_table(found[0], images, name, True)


def _of_table(path: Path, images: Path, split: str, is_yes_or_no: bool) -> Iterator[FolderQuestion]:
    number = 0
    for where, record in _records(path):
        for one in _flat(record):
            number += 1
            named = _first(one, _IMAGE)
            own = _first(one, _ID)
            qid = str(number if own is None else own)
            yield _question(one, where, images / str(named or ""), qid, split, is_yes_or_no)


def _records(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield place and record; a line that is no JSON is a record that says so."""
    text = read_text(path)
    if path.suffix.lower() == ".csv":
        _, rows = parse_csv(text, str(path), error=ConfigError)
        yield from ((f"{path}, row {number}", row) for number, row in enumerate(rows, 1))
    elif text.lstrip().startswith("["):
        records = parse_json(text, str(path))
        yield from ((f"{path}, record {number}", one) for number, one in enumerate(records, 1))
    else:
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                where = f"{path}, line {number}"
                try:
                    yield where, parse_object(line, where)
                except ConfigError as error:
                    yield where, str(error)


def _flat(record: Any) -> list[Any]:
    """Return one record for each question of a record with lists of questions and answers."""
    if not isinstance(record, dict) or not isinstance(record.get("questions"), list):
        return [record]
    answers = record.get("answers")
    if not isinstance(answers, list) or len(answers) != len(record["questions"]):
        return [f"its lists 'questions' and 'answers' are not of one length: {record!r:.60}"]
    rest = {key: value for key, value in record.items() if key not in ("questions", "answers")}
    return [
        rest | {"question": text, "answer": answer}
        for text, answer in zip(record["questions"], answers, strict=True)
    ]


def _question(
    record: Any, where: str, picture: Path, qid: str, split: str, is_yes_or_no: bool
) -> FolderQuestion:
    """Return the question of a record, or one with its problem."""
    if not isinstance(record, dict):
        said = record if isinstance(record, str) else f"{where}: expected an object, got {record!r:.60}"
        return FolderQuestion(qid, split, picture, picture.name, problem=said)
    text, right = _first(record, _TEXT), _first(record, _ANSWER)
    lacking = [
        names[0]
        for names, value in ((_IMAGE, _first(record, _IMAGE)), (_TEXT, text), (_ANSWER, right))
        if value in (None, "", [])
    ]
    if lacking:
        problem = f"{where}: field '{lacking[0]}' is missing or empty"
        return FolderQuestion(qid, split, picture, picture.name, str(text or ""), (), problem)
    answers = tuple(str(one).strip() for one in (right if isinstance(right, list) else [right]))
    text, problem = str(text).strip(), ""
    if is_yes_or_no:
        answers = tuple(one.lower().rstrip(".") for one in answers)
        if len(answers) != 1 or answers[0] not in ("yes", "no"):
            problem = f"{where}: the answer is {' or '.join(answers)!r:.40}, expected yes or no"
        if not text.lower().endswith(_SUFFIX.lower()):
            text = f"{text} {_SUFFIX}"
    if not problem and not picture.is_file():
        problem = f"{picture}: no such picture"
    meta = record.get("meta")
    named = meta.get("image_id") if isinstance(meta, dict) else None
    return FolderQuestion(qid, split, picture, str(named or picture.name), text, answers, problem)


def _first(record: Mapping[str, Any], names: Sequence[str]) -> Any:
    if not isinstance(record, dict):
        return None
    return next((record[name] for name in names if name in record), None)
