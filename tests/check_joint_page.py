"""Writes what the joint study found into docs/joint_study.md: python tests/check_joint_page.py --write.

Without ``--write`` it prints it. `tests/golden/simulator/test_joint_study_page.py` holds the page to it.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
for place in (
    ROOT,
    *(ROOT / name for name in ("common", "traces", "algorithm", "simulator", "evaluation_scripts")),
):
    sys.path.insert(0, str(place))

from focal.studies.joint.results import JointStudy, read_joint_study  # noqa: E402
from focal.studies.joint.study import joint_table  # noqa: E402

START, END = "<!-- written by tests/check_joint_page.py -->", "<!-- end of what it wrote -->"
STUDY, PAGE = ROOT / "example_output" / "joint_study", ROOT / "docs" / "joint_study.md"

NAMES = {
    "dense array": "no compression, dense array",
    "dense": "no compression, Focus hardware",
    "published": "published Focus",
    "best: hardware": "hardware, published method",
    "best: method": "method and what it asks of the hardware, rest as published",
    "best: both": "both",
}


def accuracy(row: Any) -> str:
    return f"{row.accuracy:.1f} [{row.accuracy_low:.1f}, {row.accuracy_high:.1f}]"


def design(row: dict[str, Any]) -> str:
    lanes, columns = row["core.scatter_vectors"], row["tiles.n_tile"]
    return f"{row['method']}; weights {row['weights']}, scatter {lanes:.0f}, n-tile {columns:.0f}"


def verdict(row: dict[str, Any], other: str) -> str:
    if not isinstance(row.get(f"{other}_verdict"), str):
        return "the same answers"
    difference, low, high, p_value = (
        row[f"{other}_{name}"] for name in ("difference", "low", "high", "p_value")
    )
    said = "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"
    return f"{difference:+.1f} [{low:+.1f}, {high:+.1f}], {said}: {row[f'{other}_verdict']}"


def told(front: list[dict[str, Any]], other: str) -> str:
    counts = Counter(str(row.get(f"{other}_verdict")) for row in front)
    return f"{counts['better']} are more accurate, {counts['worse']} less, {counts['not told apart']} not told apart"


def found(study: JointStudy) -> str:
    """What the page says in numbers."""
    table = joint_table(study)
    records = table.to_dict("records")
    by_role = {row["role"]: (row, shown) for row, shown in zip(records, table.itertuples(), strict=True)}
    front = [
        (row, shown) for row, shown in zip(records, table.itertuples(), strict=True) if row["role"] == "front"
    ]
    status = Counter(study.rows["status"])
    parameters = [name for name in study.rows.columns if str(name).startswith("method.")]
    sets = len(study.rows[parameters].astype(str).drop_duplicates())
    questions = int(study.feasible["questions"].iloc[0])
    best, array = by_role["best: both"][0], by_role["dense array"][0]
    lines = [
        f"{len(study.rows)} designs, {status['ok']} of them simulated ({sets} sets of method parameters), "
        f"{status['infeasible']} outside the published area, {status['failed']} failed; {questions} questions for each "
        "set.",
        f"The front has {len(front)} points. Against the published Focus parameters, of these "
        f"{told([row for row, _ in front], 'published')}; against the uncompressed model, "
        f"{told([row for row, _ in front], 'dense')}.",
        "At no lower measured accuracy than published Focus, the design of least energy-delay gains "
        f"{best['edp_gain']:.2f} x over it ({design(best)}). The published design itself gains "
        f"{1 / array['edp_gain']:.2f} x over the dense array.",
        "",
        "![Accuracy against energy-delay](../example_output/joint_study/accuracy_energy_delay.png)",
        "",
        "## What it is measured against",
        "",
        "| design | accuracy (%) | tokens kept (%) | energy-delay (mJ s) | gain | area (mm2) |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for role in ("dense array", "dense", "published"):
        row, shown = by_role[role]
        lines.append(
            f"| {NAMES[role]} | {accuracy(shown)} | {row['kept_tokens']:.1f} | {row['edp_mj_s']:.4g} | "
            f"{row['edp_gain'] / array['edp_gain']:.2f} x | {row['area_mm2']:.3f} |"
        )
    lines += [
        "",
        "## The front",
        "",
        "Differences of accuracy in points with their 95 % intervals; p-values of McNemar's exact test, adjusted for "
        "all comparisons of this table (Holm).",
        "",
        "| design | accuracy (%) | energy-delay (mJ s) | gain over published | area (mm2) | accuracy less that of no "
        "compression | accuracy less that of published |",
        "|---|---:|---:|---:|---:|---|---|",
    ]
    for row, shown in front:
        lines.append(
            f"| {design(row)} | {accuracy(shown)} | {row['edp_mj_s']:.4g} | {row['edp_gain']:.2f} x | "
            f"{row['area_mm2']:.3f} | {verdict(row, 'dense')} | {verdict(row, 'published')} |"
        )
    lines += [
        "",
        "## Method, hardware, or both",
        "",
        "The least energy-delay at a measured accuracy no lower than that of the published Focus parameters:",
        "",
        "| searched | designs | best | accuracy (%) | energy-delay (mJ s) | gain |",
        "|---|---:|---|---:|---:|---:|",
    ]
    for role in ("best: hardware", "best: method", "best: both"):
        row, shown = by_role[role]
        lines.append(
            f"| {NAMES[role]} | {row['designs']:.0f} | {design(row)} | {accuracy(shown)} | {row['edp_mj_s']:.4g} | "
            f"{row['edp_gain']:.2f} x |"
        )
    return "\n".join(lines)


def written() -> str:
    """What the page holds between its marks."""
    return PAGE.read_text(encoding="utf-8").split(f"{START}\n", 1)[1].split(f"\n{END}", 1)[0]


def main() -> None:
    text = found(read_joint_study(STUDY, STUDY / "dense"))
    if "--write" in sys.argv[1:]:
        before, rest = PAGE.read_text(encoding="utf-8").split(START, 1)
        PAGE.write_text(f"{before}{START}\n{text}\n{END}{rest.split(END, 1)[1]}", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
