"""``focal sparsezip published``: the tools of SparseZip's page with their own options and tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from focal_common.commit import check_writable
from focal_common.console import errors_console, output_console, track
from focal_common.errors import ConfigError

if TYPE_CHECKING:
    from focal.studies.sparsezip.published_settings import PublishedSettings

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="The tools of SparseZip's page as typed: tools/mme_run_all.py, tools/pope_run_all.py, scripts/evalkit.py.",
)

_PROCEDURAL_PICTURES = 40  # six questions of each variant of shapes-pope each, or two of shapes-mme

Cfg = Annotated[Path, typer.Option("--cfg", help="YAML file with sections model and runner.")]
OutRoot = Annotated[Path, typer.Option("--out_root", "--out_dir", help="Folder of the results.")]
Only = Annotated[list[str] | None, typer.Option("--only", help="Sub-tasks or variants; all if left out.")]
More = Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Further names after --only.")]
ModelType = Annotated[
    str | None, typer.Option("--model_type", help="llava, llava_vzip, sparsezip, sparsevlm, textaware.")
]
ModelPath = Annotated[str | None, typer.Option("--model_path", help="Shipped model, folder or Hub name.")]
Dominant = Annotated[int | None, typer.Option("--dominant")]
Contextual = Annotated[int | None, typer.Option("--contextual")]
Temperature = Annotated[float | None, typer.Option("--temperature")]
NewTokens = Annotated[int | None, typer.Option("--max_new_tokens")]
Retained = Annotated[int | None, typer.Option("--retained_tokens", help="Budget of sparsevlm.")]
ConvMode = Annotated[str | None, typer.Option("--conv_mode")]
Warmup = Annotated[int | None, typer.Option("--warmup")]
Seed = Annotated[int | None, typer.Option("--seed")]
Limit = Annotated[int | None, typer.Option("--limit", help="Most questions of each sub-task.")]
Device = Annotated[str, typer.Option("--device", help="torch device.")]
Dtype = Annotated[str, typer.Option("--dtype", help="fp32, bf16 or fp16.")]


@app.command("mme_run_all")
def mme_run_all(
    context: typer.Context, cfg: Cfg, out_root: OutRoot,
    mme_root: Annotated[Path | None, typer.Option("--mme_root", help="MME_Benchmark; shapes-mme if left out.")] = None,
    only: Only = None, more: More = None, model_type: ModelType = None, model_path: ModelPath = None,
    dominant: Dominant = None, contextual: Contextual = None, temperature: Temperature = None,
    max_new_tokens: NewTokens = None, retained_tokens: Retained = None, conv_mode: ConvMode = None,
    warmup: Warmup = None, seed: Seed = None, limit: Limit = None, device: Device = "cpu", dtype: Dtype = "fp32",
) -> None:  # fmt: skip
    """Answer every sub-task of MME_Benchmark: mme_summary.csv, and a row in it for what is not there."""
    from focal.studies.sparsezip.benchmark_folders import mme_splits, procedural_splits

    settings = _settings(context, dataset="mme")
    names = _names(only, more)
    if mme_root is None:
        _note("no --mme_root is given; the questions are those of shapes-mme, which the shipped model knows")
        splits = procedural_splits("shapes-mme", names, 9 * _PROCEDURAL_PICTURES)
    else:
        splits = mme_splits(mme_root, names)
    _run(settings, "shapes-mme" if mme_root is None else "mme", splits, out_root, device, dtype)


@app.command("pope_run_all")
def pope_run_all(
    context: typer.Context, cfg: Cfg, out_root: OutRoot,
    pope_root: Annotated[Path | None, typer.Option("--pope_root", help="Questions; shapes-pope if left out.")] = None,
    img_root: Annotated[Path | None, typer.Option("--img_root", help="COCO's pictures.")] = None,
    only: Only = None, more: More = None, model_type: ModelType = None, model_path: ModelPath = None,
    dominant: Dominant = None, contextual: Contextual = None, temperature: Temperature = None,
    max_new_tokens: NewTokens = None, retained_tokens: Retained = None, conv_mode: ConvMode = None,
    warmup: Warmup = None, seed: Seed = None, limit: Limit = None, device: Device = "cpu", dtype: Dtype = "fp32",
) -> None:  # fmt: skip
    """Answer the variants of POPE on COCO: pope_summary.csv."""
    from focal.studies.sparsezip.benchmark_folders import pope_splits, procedural_splits

    settings = _settings(context, dataset="pope")
    names = _names(only, more)
    if (pope_root is None) != (img_root is None):
        raise ConfigError(
            "--pope_root and --img_root belong together: questions, and the pictures that they name"
        )
    if pope_root is None or img_root is None:
        _note(
            "no --pope_root is given; the questions are those of shapes-pope, which the shipped model knows"
        )
        splits = procedural_splits("shapes-pope", names, _PROCEDURAL_PICTURES)
    else:
        splits = pope_splits(pope_root, img_root, names)
    _run(settings, "shapes-pope" if pope_root is None else "pope", splits, out_root, device, dtype)


@app.command("evalkit")
def evalkit(
    context: typer.Context, cfg: Cfg,
    ann_path: Annotated[Path | None, typer.Option("--ann_path", help="Questions: JSON, JSON lines or CSV.")] = None,
    output_dir: Annotated[Path | None, typer.Option("--output_dir", help="Folder of the results.")] = None,
    dataset: Annotated[str | None, typer.Option("--dataset", help="mme, pope or vqa.")] = None,
    model_type: ModelType = None, model_path: ModelPath = None,
    dominant: Dominant = None, contextual: Contextual = None, temperature: Temperature = None,
    max_new_tokens: NewTokens = None, retained_tokens: Retained = None, conv_mode: ConvMode = None,
    warmup: Warmup = None, seed: Seed = None, limit: Limit = None, device: Device = "cpu", dtype: Dtype = "fp32",
) -> None:  # fmt: skip
    """Answer one file of annotations: results.jsonl and summary.csv."""
    from focal.studies.sparsezip.benchmark_folders import annotation_split

    settings = _settings(context)
    if not settings.annotations:
        raise ConfigError(
            f"{cfg}: runner.ann_path names no file of questions; give it there or by --ann_path"
        )
    splits = [annotation_split(Path(settings.annotations), is_yes_or_no=settings.dataset != "vqa")]
    output = Path(settings.output or "outputs_eval")
    _run(settings, settings.dataset, splits, output, device, dtype, is_one_folder=True)


def _run(
    settings: PublishedSettings, benchmark: str, splits: list[Any], output: Path, device: str, dtype: str,
    is_one_folder: bool = False,
) -> None:  # fmt: skip
    """Answer and write; exit code 1 where a question that should be there has no answer."""
    from focal.studies.sparsezip.published_runs import answered, open_published, other_rows, write_published

    check_writable(output)
    other_rows(output, benchmark)  # refused before anything runs
    for sentence in settings.notes:
        _note(sentence)
    model = open_published(settings, device, dtype)
    for sentence in model.notes:
        _note(sentence)
    found = answered(model, settings, splits, track)
    write_published(model, settings, benchmark, found, output, is_one_folder=is_one_folder)
    output_console().print(f"wrote {output / 'summary_final.csv'}", markup=False)
    broken = [one for one in found if one.status != "done"]
    for one in broken:
        errors_console().print(f"{one.status}: {one.split.name or benchmark}: {one.reason}", markup=False)
    if any(one.status != "unknown" for one in broken):
        raise typer.Exit(1)


def _settings(context: typer.Context, **fixed: str) -> PublishedSettings:
    """Return the settings of the file, with what the options and ``fixed`` say in place of its own."""
    from focal.studies.sparsezip.published_settings import OVERRIDES, published_settings

    given = {key: context.params[key] for key in OVERRIDES if key in context.params}
    words = {key: str(value) if isinstance(value, Path) else value for key, value in given.items()}
    return published_settings(context.params["cfg"], words | fixed)


def _names(only: list[str] | None, more: list[str] | None) -> list[str]:
    if more and not only:
        raise ConfigError(f"'{more[0]}' belongs to no option; expected --only before names of sub-tasks")
    return [name for word in [*(only or []), *(more or [])] for name in word.split(",") if name]


def _note(sentence: str) -> None:
    errors_console().print(f"note: {sentence}", markup=False)
