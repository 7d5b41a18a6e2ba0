"""Traces on accelerators: cycles, energy, area."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from focal.results import Results
from focal.traces import Trace
from focal_common.errors import ConfigError, near_matches
from focal_common.places import plain_name
from focal_simulator.accelerators import ACCELERATORS
from focal_simulator.accelerators.base import Accelerator as SimulatedAccelerator
from focal_simulator.accelerators.described import is_described
from focal_simulator.accelerators.presets import build_accelerator
from focal_simulator.results.ratios import DENSE
from focal_simulator.results.run import run_root, workload_order
from focal_simulator.results.runner import Settings, accelerator_names, built_in_precision, run_all
from focal_simulator.results.work import given_workload
from focal_simulator.whole_model.given import Prompt, is_listed
from focal_simulator.workload.workload import Workload
from focal_traces.root.root import MAIN_FOLDER, TraceRoot

if TYPE_CHECKING:
    from focal_algorithm.checkpoints.loading import LoadedModel
    from focal_algorithm.hooks.recorder import RecordedSample
    from focal_algorithm.methods.base import CompressionMethod

__all__ = ["Accelerator", "Gemms", "accelerator", "gemms", "prefill_figures", "simulate"]

_SRAM = ("auto", "compiler", "cacti")


@dataclass(frozen=True)
class Accelerator:
    """An accelerator with hardware of one's own.

    Attributes:
        plugin: Name of `focal.accelerators`, or path of a hardware file that describes an accelerator.
        label: Name in result rows and file names.
        file: Hardware file in place of the preset; None for the preset.
        overrides: ``field=value``, in order.
        hardware: The checked hardware: sizes, powers and areas, each with its unit and source.
    """

    plugin: str
    label: str
    file: Path | None = None
    overrides: tuple[str, ...] = ()
    hardware: Any = field(default=None, repr=False, compare=False)

    def build(self, precision: str, overrides: Sequence[str]) -> SimulatedAccelerator[Any]:
        """Return the plug-in with this hardware, ``overrides`` below those of its own."""
        return built_in_precision(self.plugin, precision, (*overrides, *self.overrides), self.file)


def accelerator(
    name: str | Path, *, label: str = "", hardware: str | Path | None = None, **fields: Any
) -> Accelerator:
    """Return an accelerator with changed hardware.

    Args:
        name: One of `focal.accelerators`, or a hardware file that describes an accelerator of its own
            (docs/adding_an_accelerator.md).
        label: Name in result rows; the plug-in's, with what was changed, if empty.
        hardware: Hardware file in place of the preset.
        **fields: Hardware fields; fields inside a field as a mapping, such as ``core={"array_columns": 64}``, or by
            their dotted name, such as ``**{"core.array_columns": 64}``.

    Raises:
        ConfigError: No such accelerator or field (with near matches), or a value out of range.
    """
    plugin = str(name)
    if hardware is not None and is_described(plugin):
        raise ConfigError(
            f"{plugin} is a hardware file itself, got hardware='{hardware}'; expected one of the two"
        )
    file = None if hardware is None else Path(hardware)
    overrides = tuple(f"{path}={_yaml(value)}" for path, value in _flat(fields))
    short = [f"{path}={_yaml(_plain(value))}" for path, value in _flat(fields)]
    changed = ",".join(short if file is None else (file.stem, *short))
    built = build_accelerator(plugin, file, list(overrides))
    chosen = label or (f"{built.name}@{changed}" if changed else built.name)
    if chosen == DENSE and plugin != DENSE:
        raise ConfigError(
            f"label 'dense' is for the dense array that ratios are over, got accelerator '{plugin}'"
        )
    return Accelerator(plugin, plain_name(chosen, "label"), file, overrides, built.hardware)


def simulate(
    trace: Trace | Gemms | str | Path | Sequence[Sequence[Any]],
    accelerators: str | Accelerator | Sequence[str | Accelerator] = "all",
    *,
    fidelity: str = "cycle",
    corrections: str | Sequence[str] = "all",
    sram: str = "auto",
    dram: str = "",
    precision: str = "fp16",
    models: str | Sequence[str] = (),
    datasets: str | Sequence[str] = (),
    variant: str = "",
    batch: int = 1,
    overrides: Mapping[str, Any] | None = None,
) -> Results:
    """Simulate the prefills of traces, or lists of GEMMs, on accelerators.

    Args:
        trace: A trace, the path of a trace file, or a trace root with many workloads; or `gemms`, or what it takes
            where the batch is 1: a CSV file with columns Layer, M, N, K, or a list of (M, N, K) or (name, M, N, K).
        accelerators: Names, hardware files that describe an accelerator, accelerators of one's own, or ``all``.
        fidelity: ``cycle`` times every tile; ``parity`` is the published simulator.
        corrections: Of fidelity ``cycle``: ``all``, ``none``, names, or ``all,-NAME``.
        sram: Buffer costs: ``auto`` (as published), ``compiler`` or ``cacti``.
        dram: Preset of the memory model, or YAML file of a memory, in place of the accelerators' own.
        precision: ``fp16``, or ``int8`` for 1-byte elements and INT8 multipliers (estimated).
        models: Of a trace root: only these; empty for all.
        datasets: Likewise.
        variant: Trace folder of a root; ``focus_main``, or the only one that there is, if empty.
        batch: Prompts side by side, each with the counts of the trace; of GEMMs, see `gemms`.
        overrides: Hardware fields of every accelerator; see `accelerator`.

    Raises:
        TraceError: The trace is missing, damaged or from a newer Focal.
        ConfigError: An unknown name or field (with near matches), or settings that do not go together.
        UnsupportedError: An accelerator asked for by name accepts none of the workloads.
    """
    if sram not in _SRAM:
        raise ConfigError(f"sram '{sram}': {near_matches(sram, _SRAM)}")
    words = corrections if isinstance(corrections, str) else ",".join(corrections) or "none"
    if words != "all" and fidelity != "cycle":
        raise ConfigError(f"corrections need fidelity cycle, got {fidelity}")
    models, datasets = _names(models, "models"), _names(datasets, "datasets")
    common = [f"{path}={_yaml(value)}" for path, value in _flat(overrides or {})]
    common += [f"dram_system={dram}"] if dram else []
    given = [accelerators] if isinstance(accelerators, str | Accelerator) else accelerators
    if not isinstance(given, list | tuple) or not all(isinstance(one, str | Accelerator) for one in given):
        raise ConfigError(
            f"accelerators: expected names or values of focal.accelerator, got {accelerators!r}; "
            f"Valid: {', '.join(ACCELERATORS)}"
        )
    settings = Settings(
        accelerators=tuple(one for one in given if isinstance(one, str)),
        fidelity=fidelity,
        corrections=words,
        sram=sram,  # type: ignore[arg-type]  # checked above
        overrides=tuple(common),
        precision=precision,
    )
    mine = [one for one in given if isinstance(one, Accelerator)]
    own, changed = (
        _built(mine, settings),
        [one.label for one in mine if one.overrides or one.file or one.hardware.base],
    )
    work = _work(trace)
    if isinstance(work, Workload):
        if models or datasets or variant or batch != 1:
            raise ConfigError(
                "models, datasets and variant choose among traces, and a list of GEMMs has none; its batch is an "
                "argument of focal.gemms"
            )
        return Results(run_all(settings, [work], own, changed), {(work.model, work.dataset): 0}, settings)
    with _root(work) as root:
        folder = _folder(work, root, variant)
        outcome = run_root(settings, root, models, datasets, folder, own, changed, batch)
        return Results(outcome, workload_order(root), settings)


@dataclass(frozen=True)
class Gemms:
    """Work without a trace.

    Attributes:
        workload: What `simulate` runs.
    """

    workload: Workload = field(repr=False)

    def __len__(self) -> int:
        """Return the number of GEMMs."""
        return sum(one.kind != "vector" for one in self.workload.operators)


def gemms(
    source: str | Path | Sequence[Sequence[Any]],
    *,
    name: str = "",
    batch: int = 1,
    tokens: int = 0,
    pictures: int = 0,
    visual_tokens: int | None = None,
    patches: tuple[int, int] | None = None,
    generated_tokens: int = 0,
) -> Gemms:
    """Return a list of GEMMs to simulate: given, or those of a model that a ``config.json`` describes.

    Args:
        source: CSV file with columns Layer, M, N, K, or a ``config.json``; or a list of (M, N, K) or (name, M, N, K).
        name: In the column ``model`` of results; that of the file if empty.
        batch: Prompts of equal lengths side by side; of a list, M of every GEMM is multiplied by it.
        tokens: Text tokens of a prompt; of a configuration only, as the rest.
        pictures: Frames of a video.
        visual_tokens: Visual tokens of a prompt; None for the model's own layout.
        patches: Rows and columns of patches of a picture; None for those the tower was trained on.
        generated_tokens: Decode steps after the token that the prefill yields.

    Raises:
        ConfigError: No such file, or what it says cannot be; the sentence names file, field and bound.
    """
    rows, columns = patches or (None, None)
    prompt = Prompt(
        batch=batch,
        tokens=tokens,
        pictures=pictures,
        visual_tokens=visual_tokens,
        patch_rows=rows,
        patch_columns=columns,
        generated_tokens=generated_tokens,
    )
    return Gemms(given_workload(Path(source) if isinstance(source, str) else source, prompt, name))


def _work(given: Any) -> Workload | Trace | str | Path:
    """Return the workload of a list of GEMMs; a trace or its path as it is."""
    if isinstance(given, Gemms):
        return given.workload
    if isinstance(given, list | tuple) or (isinstance(given, str | Path) and is_listed(Path(given))):
        return gemms(given).workload
    if isinstance(given, Trace | str | Path):
        return given
    raise ConfigError(
        f"expected a trace, a trace file, a trace root or a list of GEMMs, got {type(given).__name__}"
    )


def prefill_figures(
    loaded: LoadedModel, method: CompressionMethod, sample: RecordedSample, dataset: str
) -> tuple[dict[str, dict[str, float]], dict[str, str]]:
    """Return cycles, energy (mJ), seconds and area (mm2) of one prefill on each accelerator, and why others refuse it.

    Args:
        loaded: The model that ran.
        method: What was attached.
        sample: The prefill.
        dataset: Name of what was asked.

    Returns:
        Figures by accelerator, and reasons by accelerator; each accelerator is in one of the two.
    """
    from focal.recording import Recording  # with torch, which simulating a file does without

    recording = Recording(loaded, method, (sample,), (), dataset, seed=None, keep_masks=False)
    results = simulate(recording.trace(), "all")
    figures = {
        run.name: {
            "cycles": float(run.result.total_cycles),
            "energy_mj": float(run.result.total_mj),
            "seconds": float(run.result.seconds),
            "area_mm2": float(run.row["area_mm2"]),
        }
        for run in results.runs
    }
    return figures, {name: results.refusal(name) for name in ACCELERATORS if name not in figures}


def _names(given: str | Sequence[str], what: str) -> list[str]:
    """Return names, of which one may stand alone."""
    names = [given] if isinstance(given, str) else list(given)
    if not all(isinstance(name, str) for name in names):
        raise ConfigError(f"{what}: expected names, got {given!r}")
    return names


def _built(given: Sequence[Accelerator], settings: Settings) -> dict[str, SimulatedAccelerator[Any]]:
    """Return accelerators of one's own by label."""
    found: dict[str, SimulatedAccelerator[Any]] = {}
    shown = set(accelerator_names(settings.accelerators)) if settings.accelerators else set()
    for one in given:
        if one.label in found or one.label in shown:
            raise ConfigError(f"two accelerators are called '{one.label}'; give each a label of its own")
        found[one.label] = one.build(settings.precision, settings.overrides)
    return found


@contextmanager
def _root(trace: Trace | str | Path) -> Iterator[TraceRoot]:
    if isinstance(trace, Trace):
        with trace.root() as root:
            yield root
    else:
        yield TraceRoot.open(Path(trace))


def _folder(trace: Trace | str | Path, root: TraceRoot, variant: str) -> str:
    """Return the trace folder whose counts are used."""
    if isinstance(trace, Trace):
        return trace.variant
    if variant or not root.path.is_dir() or (root.path / MAIN_FOLDER).is_dir():
        return variant or MAIN_FOLDER
    with_traces = {
        found
        for model, dataset in root.workloads
        for found in [root.folder_with_trace(model, dataset)]
        if found is not None
    }
    return with_traces.pop() if len(with_traces) == 1 else MAIN_FOLDER


def _flat(fields: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Return dotted fields with their values."""
    found: list[tuple[str, Any]] = []
    for name, value in fields.items():
        path = f"{prefix}{name}"
        found += _flat(value, f"{path}.") if isinstance(value, Mapping) else [(path, value)]
    return found


def _plain(value: Any) -> Any:
    """Return the name of a file without its folder, for a label; other values as they are."""
    return Path(value).name if isinstance(value, str) and is_described(value) else value


def _yaml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
