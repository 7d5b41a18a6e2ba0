"""``focal trace``: run a model with a compression method and record the trace; inspect and convert traces."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from focal.commands.sim import comma_separated, show_report
from focal.commands.spread import Device, Precision, Spread, print_unfinished, spread_options
from focal.commands.trace_files import app as traces_app
from focal.commands.trace_tables import print_answers, print_samples
from focal_algorithm.methods.budgeted import given_parameters
from focal_algorithm.methods.config import configured_parameters
from focal_algorithm.models import check_model_name
from focal_common.console import errors_console, output_console, track
from focal_common.errors import ConfigError
from focal_common.places import check_inside
from focal_simulator.accelerators import ACCELERATORS

if TYPE_CHECKING:
    from focal_algorithm.tasks.asking import AskedTask
    from focal_algorithm.tracing.runner import RunResult
    from focal_algorithm.tracing.settings import RunSettings
    from focal_simulator.results.request import Report

app = typer.Typer(
    help="Record a sparse trace from a vision-language model, or look at recorded ones.",
    invoke_without_command=True,
    no_args_is_help=False,
    add_completion=False,
)
app.registered_commands += traces_app.registered_commands

_PROFILES = ("offline", "hub")
_SIMULATION = "simulation"
"""Folder of the results of --simulate in the trace root."""
_QUESTION = "What happens in this video?"


@app.callback()
@spread_options
def trace(
    *,
    context: typer.Context,
    profile: Annotated[str, typer.Option(help="offline: local files only; hub: may download.")] = "offline",
    model: Annotated[
        str, typer.Option(help="Shipped model, family with random weights, checkpoint folder, or Hub name.")
    ] = "llava_onevision",
    size: Annotated[
        str | None, typer.Option(help="Size of a random model: small or tiny.", show_default="small")
    ] = None,
    methods: Annotated[
        list[str] | None,
        typer.Option("--method", help="Compression method, or a file such as mine.py.", show_default="focus"),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="Parameter of the method, field=value; of two for one field the later holds."
        ),
    ] = None,
    budget: Annotated[
        str,
        typer.Option(
            help="Published setting of the method for so many visual tokens, 64, or such a share, 22.2%."
        ),
    ] = "",
    method_config: Annotated[
        Path | None, typer.Option(help="YAML file with parameters of the method; --set goes over it.")
    ] = None,
    video: Annotated[list[Path] | None, typer.Option(help="Video file; repeatable.")] = None,
    image: Annotated[list[Path] | None, typer.Option(help="Image file; repeatable.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Name under which results are filed.")] = None,
    task: Annotated[
        str, typer.Option(help="Ask the questions of a benchmark, such as shapes-video; see focal data list.")
    ] = "",
    questions: Annotated[
        int | None,
        typer.Option(help="Of --task, spread over samples and sub-tasks; 24 without --samples, else all."),
    ] = None,
    split: Annotated[str, typer.Option(help="Of --task: train, val or test.")] = "test",
    task_seed: Annotated[int, typer.Option(help="Of the data of --task.")] = 0,
    against_dense: Annotated[
        bool,
        typer.Option("--against-dense", help="Have the untouched model answer the questions of --task too."),
    ] = False,
    samples: Annotated[
        int | None,
        typer.Option(help="Photograph clips (3), or samples of --task (half as many as questions)."),
    ] = None,
    frames: Annotated[int, typer.Option(help="Most frames per video.")] = 16,
    prompt: Annotated[
        str | None, typer.Option(help="Question after the video (What happens in this video?).")
    ] = None,
    new_tokens: Annotated[
        int | None, typer.Option(help="Tokens to generate greedily after the prefill (2; 4 with --task).")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of random weights and camera paths.")] = 0,
    dtype: Annotated[str, typer.Option(help="fp32, bf16 (bfloat16), or fp16 (not on a CPU).")] = "fp32",
    precision: Precision = "float",
    device: Device = "cpu",
    attention: Annotated[
        str, typer.Option("--attn", "--attention", help="sdpa, eager, or flash_attention_2 (CUDA).")
    ] = "sdpa",
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run Python code that a checkpoint brings along.")
    ] = False,
    threads: Annotated[int, typer.Option(help="CPU threads; 0 leaves torch's choice.")] = 0,
    masks: Annotated[bool, typer.Option(help="Also write bit-packed masks (tier 2).")] = True,
    keep_frames: Annotated[
        bool | None,
        typer.Option(
            "--keep-frames/--no-keep-frames",
            help="Also write the pictures as the model saw them, for focal show; if not said, up to 8 samples.",
            show_default=False,
        ),
    ] = None,
    simulate: Annotated[
        str, typer.Option(help="Then simulate the trace on these accelerators, separated by commas.")
    ] = "",
    match: Annotated[
        tuple[str, str],
        typer.Option(
            metavar="QUANTITY VALUE",
            help="Solve for the method's budget parameter so that the first sample costs this: tokens (equivalent, "
            "layer mean), macs, cycles or energy (mJ).",
            show_default=False,
        ),
    ] = ("", ""),
    match_accelerator: Annotated[
        str, typer.Option(help="Simulated for --match cycles and energy; the method's own, else dense.")
    ] = "",
    spread: Spread,
    output: Annotated[Path, typer.Option(help="Trace root to write into.")] = Path("output"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Run a model with a compression method on real pictures and record its sparse trace."""
    if context.invoked_subcommand is not None:
        return
    method = _only_method(methods, spread)
    _check_choices(profile, method, simulate)
    check_model_name(model)
    given = {"--questions": questions is not None, "--split": split != "test", "--task-seed": task_seed}
    asked = _asked_task(task, prompt, given | {"--against-dense": against_dense})
    if asked is not None:
        from focal_algorithm.tasks.asking import asked_task

        asked = asked_task(task, questions, samples, split, task_seed, frames)
        if new_tokens == 0:
            raise ConfigError("new_tokens must be at least 1 where questions are to be answered, got 0")
    if new_tokens is None:
        new_tokens = 2 if asked is None else asked.answer_tokens
    target, match_accelerator = _match_target(*match, match_accelerator, method)
    base = configured_parameters(method, method_config, _note)
    parameters = given_parameters(method, settings or [], budget, base)
    from focal.environment import require_runnable

    require_runnable()
    from focal_algorithm.models import random_size
    from focal_algorithm.tracing.settings import RunSettings

    wanted = RunSettings(
        output=output,
        model=model,
        size=random_size(model, size),
        method=method,
        parameters=parameters,
        dataset=dataset,
        videos=tuple(video or ()),
        images=tuple(image or ()),
        samples=3 if samples is None or asked is not None else samples,
        frames=frames,
        question=_QUESTION if prompt is None else prompt,
        new_tokens=new_tokens,
        seed=seed,
        dtype=dtype,
        precision=precision,
        device=spread.device(device),
        attention=attention,
        threads=threads or int(spread.is_spread),
        keep_masks=masks,
        keep_frames=keep_frames,
        is_offline=profile == "offline",
        trust_remote_code=trust_remote_code,
        task=asked,
        against_dense=against_dense,
    )
    check_inside(output, output / _SIMULATION)
    result = _traced(spread, wanted, match[0], target, match_accelerator)
    if result is None:
        return
    for note in result.notes:
        _note(note)
    report = _simulated(result, output, simulate) if simulate else None
    if as_json:
        summary = _summary(result)
        if report is not None:
            summary["simulation"] = report.as_json()
        output_console().print(json.dumps(summary), markup=False)
    elif result.accuracy is not None:
        print_answers(result, report)
    else:
        print_samples(result)
        if report is not None:
            show_report(report)


def _traced(
    spread: Spread, settings: RunSettings, quantity: str, target: float | None, accelerator: str
) -> RunResult | None:
    """Trace, here or on workers; None where other shards have samples left."""
    from focal_algorithm.tracing.runner import Unfinished, prepare, run_shard

    notes: tuple[str, ...] = ()
    prepared = None
    if target is not None:
        if spread.is_spread or spread.shard is not None:
            raise ConfigError(
                "--match solves for a parameter before the run; solve it in a run of one process, and give the "
                "parameter with --set to a run that is spread"
            )
        from focal.studies.match_budget import match_budget, match_note

        prepared = prepare(settings)
        settings, found = match_budget(settings, prepared, quantity, target, accelerator)
        notes = (match_note(found, quantity),)
    if spread.is_spread:
        _trace_on_workers(spread, settings)
    result = run_shard(
        settings, spread.shard, lambda items, total: track(items, "tracing", total), prepared, _note
    )
    if isinstance(result, Unfinished):
        print_unfinished(spread.shard, settings.output, result.done, result.total)
        return None
    return replace(result, notes=(*notes, *result.notes))


def _trace_on_workers(spread: Spread, settings: RunSettings) -> None:
    from focal_algorithm.tracing.journal import SampleJournal
    from focal_algorithm.tracing.runner import begin_run, journal_folder, work_shard

    begin_run(settings, _note)
    journal = SampleJournal(journal_folder(settings))
    spread.run(work_shard, settings, lambda: len(journal.finished()), settings.num_samples, "tracing")


def _match_target(quantity: str, text: str, accelerator: str, method: str) -> tuple[float | None, str]:
    """Return the budget, None if none is asked for, and the accelerator that is to be simulated."""
    if accelerator:
        ACCELERATORS.target(accelerator)
    if not quantity:
        if accelerator:
            raise ConfigError("--match-accelerator needs --match cycles or --match energy")
        return None, ""
    from focal.studies.match_budget import check_quantity

    return check_quantity(quantity, text), accelerator or (method if method in ACCELERATORS else "dense")


def _asked_task(task: str, prompt: str | None, given: dict[str, Any]) -> AskedTask | None:
    """Return the benchmark that is asked, None if none is; refuse options that do not go together."""
    if not task:
        for option, value in given.items():
            if value:
                raise ConfigError(f"{option} needs --task, such as --task shapes-video")
        return None
    if prompt is not None:
        raise ConfigError("--task brings its own questions; expected no --prompt beside it")
    from focal_algorithm.tasks.asking import AskedTask

    return AskedTask(task)


def _only_method(methods: list[str] | None, spread: Spread) -> str:
    if methods and len(methods) > 1:
        raise ConfigError(
            f"--method was given {len(methods)} times ({', '.join(methods)}); expected one per run"
        )
    method = methods[0] if methods else "focus"
    if not method.endswith(".py"):
        return method
    if spread.is_spread:
        raise ConfigError(
            f"--method {method}: workers do not know a method given as a file; expected its name in the table of "
            "methods, or a run of one process"
        )
    from focal_algorithm.methods import METHODS
    from focal_algorithm.methods.build import method_of_file

    own = type(method_of_file(Path(method)))
    METHODS.add(own.name, f"{own.__module__}:{own.__name__}")
    return own.name


def _note(sentence: str) -> None:
    errors_console().print(f"note: {sentence}", markup=False)


def _simulated(result: RunResult, root: Path, accelerators: str) -> Report:
    """Simulate what was just traced; results go into a folder of the trace root."""
    from focal_evaluation.exhibits.headline import draw
    from focal_simulator.results.request import Request
    from focal_simulator.results.run import run_request

    header = result.trace.header
    return run_request(
        Request(
            trace=root,
            accelerators=comma_separated(accelerators),
            output=root / _SIMULATION,
            models=(header.model,),
            datasets=(header.dataset,),
            variant=result.files["counts"].parent.name,
            draw=draw,
        )
    )


def _check_choices(profile: str, method: str, simulate: str) -> None:
    # Checked before torch is imported, so that a slip of the pen answers at once.
    if profile not in _PROFILES:
        raise ConfigError(f"--profile must be {' or '.join(_PROFILES)}, got '{profile}'")
    from focal_algorithm.methods import METHODS

    METHODS.target(method)
    for name in comma_separated(simulate):
        if name != "all":
            ACCELERATORS.target(name)


def _summary(result: RunResult) -> dict[str, Any]:
    header = result.trace.header
    return {
        "model": header.model,
        "checkpoint": header.checkpoint,
        "dataset": header.dataset,
        "method": header.method,
        "median_index": header.median_index,
        "samples": list(result.samples),
        "files": {role: str(path) for role, path in result.files.items()},
        "notes": list(result.notes),
        "accuracy": result.accuracy,
    }
