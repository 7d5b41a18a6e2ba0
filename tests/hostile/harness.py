"""Runs hostile cases in forked batches: no traceback, no other exit code, no hang, no gigabyte, no silent number."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import random
import re
import resource
import select
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from kinds import KINDS, Asked, Kind, change, prepare

from focal.commands.main import main
from focal_common.errors import FocalError

HANG_S = 20.0
"""Of a case, without what it waits for a processor, which on a shared machine can be many times more."""
HARD_S = 120.0
MOST_MIB = 1024
BATCH = 60
_NOT_FINITE = re.compile(r"(?<![\w.])(?:NaN|nan|-?Infinity|-?inf)(?![\w.])")
_SIGNLESS = ("cycles", "seconds", "energy_mj", "total_mj", "area_mm2", "dram_bytes")


class Hang(BaseException):
    """More than `HANG_S` seconds."""


@dataclass
class Outcome:
    """What a case came to.

    Attributes:
        code: Exit code; None for a traceback or a hang.
        said: stdout of a command, or the value of a function.
        error: stderr, or the sentence of a refusal.
        faults: What must not be; empty for a good case.
    """

    code: int | None
    said: str
    error: str
    faults: list[str]


def asked(words: Asked) -> Outcome:
    """Run a command or call a function in this process."""
    out, err = io.StringIO(), io.StringIO()
    faults: list[str] = []
    code: int | None = 0
    before = _peak_mib(reset=True)
    start = time.monotonic() - _waited_s()
    signal.signal(signal.SIGALRM, partial(_alarm, start))
    signal.setitimer(signal.ITIMER_REAL, HANG_S, 1.0)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            if callable(words):
                out.write(repr(words())[:10_000])
            else:
                main(words)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except FocalError as error:
        code, _ = error.exit_code, err.write(str(error))
    except Hang:
        code = None
        faults.append(f"hang of {time.monotonic() - _waited_s() - start:.0f} s")
    except BaseException:
        code = None
        faults.append("traceback: " + traceback.format_exc()[-1500:])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    if code is not None and code not in (0, 1, 2):
        faults.append(f"exit code {code}")
    if "Traceback (most recent call" in err.getvalue():
        faults.append("traceback on stderr: " + err.getvalue()[-800:])
    if (grown := _peak_mib() - before) > MOST_MIB:
        faults.append(f"{grown:.0f} MiB")
    said = out.getvalue()
    if code == 0 and _NOT_FINITE.search(said):
        faults.append(f"not finite: {_NOT_FINITE.search(said)}")
    if code == 0 and not callable(words) and "--json" in words and words[0] == "sim":
        faults += _odd_numbers(said)
    if code in (1, 2) and not (err.getvalue() + said).strip():
        faults.append("refused without a word")
    return Outcome(code, said, err.getvalue(), faults)


def _odd_numbers(said: str) -> list[str]:
    try:
        rows = json.loads(said)["rows"]
    except (ValueError, KeyError):
        return ["no rows as JSON"]
    return [
        f"{name} is {row[name]}"
        for row in rows
        for name in _SIGNLESS
        if row.get(name) is not None and (not isinstance(row[name], (int, float)) or row[name] < 0)
    ]


def _alarm(start: float, *_: Any) -> None:
    if time.monotonic() - _waited_s() - start >= HANG_S:
        raise Hang


def _waited_s() -> float:
    """Return how long this thread has been ready to run while others ran."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    except OSError:  # no Linux
        return 0.0


def _peak_mib(reset: bool = False) -> float:
    if reset:
        with contextlib.suppress(OSError), Path("/proc/self/clear_refs").open("w") as target:
            target.write("5")
    try:
        with Path("/proc/self/status").open() as source:
            return next(int(line.split()[1]) / 1024 for line in source if line.startswith("VmHWM"))
    except OSError:  # no Linux
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def comparable(said: str) -> str:
    """Return output without what a copy or a change of a file changes in it by right."""
    try:
        tree = json.loads(said)
    except ValueError:
        return said
    if isinstance(tree, dict):
        for name in (
            "path",
            "file",
            "bytes",
            "file_bytes",
            "paths",
            "code_versions",
            "evaluated",
            "seconds",
            "first",
            "second",
        ):
            tree.pop(name, None)
    return json.dumps(tree, sort_keys=True)


def run_case(
    name: str, seed: int, bench: Path, case: Path, kept: Collection[int] | None = None
) -> tuple[Outcome, str, Asked]:
    """Make a case and run it; return what it came to, how it was changed, and what was asked."""
    kind = KINDS[name]
    rng = random.Random(f"{name} {seed}")
    shutil.rmtree(case, ignore_errors=True)
    case.mkdir(parents=True)
    prepare(kind, bench, case)
    how = change(kind, case, rng, kept)
    words = kind.ask(case, rng)
    found = asked(words)
    if kind.has_checksum and found.code == 0 and not found.faults:
        whole = whole_output(name, seed, bench, case.with_name(f"{case.name}-whole"))
        if comparable(found.said).replace(str(case), "") != whole:
            found.faults.append(f"silently different: {comparable(found.said)[:300]} and not {whole[:300]}")
    return found, how, words


_WHOLE: dict[str, str] = {}


def whole_output(name: str, seed: int, bench: Path, case: Path) -> str:
    """Return what the unchanged files of a kind give."""
    if name not in _WHOLE:
        kind = KINDS[name]
        shutil.rmtree(case, ignore_errors=True)
        case.mkdir(parents=True)
        prepare(kind, bench, case)
        _WHOLE[name] = comparable(asked(kind.ask(case, random.Random(0))).said).replace(str(case), "")
    return _WHOLE[name]


def run_batch(name: str, seeds: list[int], bench: Path, work: Path) -> Iterator[dict[str, Any]]:
    """Run cases in a child process; yield one record for each that failed, and at the end the counts."""
    left = list(seeds)
    counts: dict[str, int] = {}
    while left:
        records, finished = _child(name, left, bench, work)
        for record in records:
            counts[record["code"]] = counts.get(record["code"], 0) + 1
            if record["faults"]:
                yield record
        left = left[finished:]
    yield {"kind": name, "counts": counts}


def _child(name: str, seeds: list[int], bench: Path, work: Path) -> tuple[list[dict[str, Any]], int]:
    source, sink = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(source)
        _cases(name, seeds, bench, work / f"{os.getpid()}", os.fdopen(sink, "w", buffering=1))
    os.close(sink)
    text, last = b"", time.monotonic()
    with os.fdopen(source, "rb", buffering=0) as reader:
        while True:
            if select.select([reader], [], [], 1.0)[0]:
                piece = reader.read(65536)
                if not piece:
                    break
                text, last = text + piece, time.monotonic()
            elif time.monotonic() - last > HARD_S:
                os.kill(pid, signal.SIGKILL)
                break
    _, status = os.waitpid(pid, 0)
    records = [json.loads(line) for line in text.split(b"\n") if line]
    if len(records) < len(seeds):
        fault = (
            "killed by the harness after a hang"
            if os.WIFSIGNALED(status) and os.WTERMSIG(status) == 9
            else f"died: {status}"
        )
        records.append(
            {
                "kind": name,
                "seed": seeds[len(records)],
                "code": "none",
                "faults": [fault],
                "how": "",
                "asked": "",
            }
        )
    shutil.rmtree(work / f"{pid}", ignore_errors=True)
    return records, len(records)


def _cases(name: str, seeds: list[int], bench: Path, folder: Path, pipe: Any) -> None:
    size = next(
        int(line.split()[1]) << 10
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("VmSize")
    )
    resource.setrlimit(resource.RLIMIT_AS, (size + (2 << 30),) * 2)
    null = os.open(os.devnull, os.O_RDWR)
    for handle in (0, 1, 2):
        os.dup2(null, handle)
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    for seed in seeds:
        try:
            found, how, words = run_case(name, seed, bench, folder / "case")
            record = {"code": str(found.code), "faults": found.faults, "how": how}
            record["asked"] = "a function" if callable(words) else [word[:200] for word in words]
            record["error"] = found.error[-300:] if found.faults else ""
        except BaseException as error:  # a defect of the harness
            record = {
                "code": "harness",
                "faults": [f"harness: {traceback.format_exc()[-800:]}"],
                "how": repr(error)[:80],
                "asked": "",
            }
        pipe.write(json.dumps({"kind": name, "seed": seed, **record}) + "\n")
    pipe.flush()
    os._exit(0)


def shrunk(name: str, seed: int, bench: Path, work: Path) -> list[int]:
    """Return the fewest changes of a failing case, by their places, with which it still fails."""
    kept = list(range(16))
    for number in list(kept):
        fewer = [one for one in kept if one != number]
        if run_case(name, seed, bench, work / "shrink", fewer)[0].faults:
            kept = fewer
    return kept


def keep(name: str, seed: int, bench: Path, work: Path, folder: Path, fault: str) -> Path:
    """Write a failing case, shrunk, as a file that `replayed` runs: what was asked and every file that was changed."""
    kept = shrunk(name, seed, bench, work)
    case = work / "keep"
    _, how, words = run_case(name, seed, bench, case, kept)
    pristine = work / "pristine"
    shutil.rmtree(pristine, ignore_errors=True)
    pristine.mkdir()
    prepare(KINDS[name], bench, pristine)
    rng = random.Random(f"{name} {seed}")
    shutil.rmtree(case)
    case.mkdir()
    prepare(KINDS[name], bench, case)
    change(KINDS[name], case, rng, kept)
    changed = {}
    for place in sorted(path for path in case.rglob("*") if path.is_file()):
        same = pristine / place.relative_to(case)
        if not same.is_file() or same.read_bytes() != place.read_bytes():
            changed[str(place.relative_to(case))] = base64.b64encode(place.read_bytes()).decode()
    tree = {
        "kind": name,
        "fault": fault.strip().splitlines()[-1][:200],
        "how": how,
        "words": None if callable(words) else [word.replace(str(case), "{case}") for word in words],
        "seed": seed,
        "files": changed,
    }
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{name.replace(' ', '_').replace(chr(39), '')}-{seed}.json"
    target.write_text(json.dumps(tree, indent=1) + "\n")
    return target


def replayed(kept: Path, bench: Path, case: Path) -> Outcome:
    """Run a case that `keep` wrote."""
    tree = json.loads(kept.read_text())
    kind: Kind = KINDS[tree["kind"]]
    case.mkdir(parents=True, exist_ok=True)
    prepare(kind, bench, case)
    for name, content in tree["files"].items():
        (case / name).parent.mkdir(parents=True, exist_ok=True)
        (case / name).write_bytes(base64.b64decode(content))
    if tree["words"] is None:
        return asked(kind.ask(case, random.Random(tree["seed"])))
    return asked([word.replace("{case}", str(case)) for word in tree["words"]])


def warm(names: list[str], bench: Path, work: Path) -> None:
    """Import and compile what children then inherit, without a thread that a fork would lose."""
    import pyarrow
    import torch

    torch.set_num_threads(1)
    pyarrow.set_cpu_count(1)
    pyarrow.set_io_thread_count(1)
    for name in names:
        for seed in range(2):
            case = work / "warm"
            shutil.rmtree(case, ignore_errors=True)
            case.mkdir(parents=True)
            prepare(KINDS[name], bench, case)
            asked(KINDS[name].ask(case, random.Random(seed)))


def run_all(
    cases: int, seed: int, bench: Path, work: Path, tell: Callable[[dict[str, Any]], None], only: str = ""
) -> dict[str, int]:
    """Run cases of all kinds in turn; return how many ended with which exit code."""
    names = [name for name in KINDS if only in name]
    warm(names, bench, work)
    totals: dict[str, int] = {}
    share = -(-cases // len(names))
    for name in names:
        for start in range(0, share, BATCH):
            seeds = [seed * 10_000_000 + number for number in range(start, min(start + BATCH, share))]
            for record in run_batch(name, seeds, bench, work):
                if "counts" in record:
                    for code, count in record["counts"].items():
                        totals[code] = totals.get(code, 0) + count
                else:
                    tell(record)
        print(f"seed {seed}, {name}: {sum(totals.values())} cases so far, codes {totals}", flush=True)
    return totals


def command() -> None:
    """Run many cases; every failure is a line of JSON."""
    import argparse
    import tempfile

    from bench import make

    parser = argparse.ArgumentParser(description=command.__doc__)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--only", default="")
    parser.add_argument("--keep", action="store_true", help="shrink failures and keep them as tests")
    parser.add_argument("--bench", type=Path, default=None, help="folder of whole files, made if absent")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ.setdefault("FOCAL_CACHE", f"{scratch}/cache")
        bench = make(given.bench or Path(scratch) / "bench")
        print(f"seed {given.seed}", flush=True)
        failed = []

        def tell(record: dict[str, Any]) -> None:
            failed.append(record)
            print(json.dumps(record), flush=True)

        start = time.monotonic()
        totals = run_all(given.cases, given.seed, bench, Path(scratch) / "work", tell, given.only)
        print(
            f"{sum(totals.values())} cases in {time.monotonic() - start:.0f} s; codes {totals}; {len(failed)} failed"
        )
        if given.keep:
            for record in failed:
                target = Path(__file__).parent / "kept"
                print(
                    keep(
                        record["kind"],
                        record["seed"],
                        bench,
                        Path(scratch) / "work",
                        target,
                        record["faults"][0],
                    )
                )
    sys.exit(bool(failed))
