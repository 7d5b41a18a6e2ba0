"""The model card: what a shipped model was trained on, what it can do, and whether it passed."""

from __future__ import annotations

from typing import Any

from focal_algorithm.training.acceptance import KEPT, Measured, Verdict
from focal_algorithm.training.recipe import Recipe, Stage

_WHAT_IT_TOOK = """\
## What it took

- Shapes that differ in what a patch of four pixels shows (filled, hollow, hub, small). Outlines alone (circle, square,
  triangle, cross; then wide and tall bars) stayed near chance after minutes of training on two busy cores.
- A vision stage of its own on crowded pictures with labels per visual token (colour, shape, centre and size of the
  object), and attention heads of the first two tower layers that start out looking at neighbouring patches.
- Labels on hidden states of visual tokens after three decoder layers (video: direction, speed, start, time).
- Losses that put reading where large models have it; without them the question reads the picture in layer 0, and
  dropping tokens later costs nothing. Text spends little attention on visual tokens in layers 0 to 4, and what it
  spends there goes to objects, from a word for a colour or a shape to what it names. In layer 5 such words look at
  what they name; in layers 6 and 7 the answering token looks at the evidence. These two fade out while the learning
  rate decays. Attention is thus partly supervised: that importance finds objects is in part what it was trained for.
- A shape after a colour ("the red ring") must name the object that is both. While each word named all objects of its
  own, questions about two objects stayed at chance.
- Labels on words that name an object (what it is, where, how it moves) and on the answering token (which of two named
  objects is which). Only with the last did comparisons (position, size, relation) leave chance.
- Attention to named objects earns nothing beyond 0.6: what rests elsewhere lets a head count.
"""
_WHAT_CLIPS_TOOK = """\
- Short appearances: an object is visible in 30 to 65 % of the frames. With 45 to 90 % each had so many tokens that a
  random tenth of all nearly sufficed, and importance could not be told from chance.
- A loss on the attention that patches draw in the last layer of the tower: objects get more of it than background.
  Without, a ranking by that attention (VisionZip) was 21 points worse than chance; large towers gather such
  attention by themselves. That it finds objects here is thus trained for.
- A second cycle that asks more often where two objects lie. Few scenes admit such questions, and with their natural
  share of the training one seed left "relation" at its control (0.56) and another stopped at 0.74.
"""


def _described(stage: Stage) -> str:
    text = f"{stage.steps} steps of {stage.samples} samples with {stage.frames} frame(s)"
    if stage.restarts:
        text = f"with a fresh learning rate, {text}"
    if stage.rounds:
        text += f", more often asked: {', '.join(stage.rounds)}"
    return text


def model_card(
    recipe: Recipe, facts: dict[str, Any], measured: Measured, verdicts: list[Verdict], notes: str
) -> str:
    """Return the card in Markdown.

    Args:
        recipe: Recipe of the model.
        facts: Seed, steps, wall time.
        measured: Answers on the test split.
        verdicts: Judgement of them.
        notes: Paragraphs about this training, in Markdown.
    """
    data = "shapes-video" if recipe.name == "video" else "shapes-mme and shapes-pope (adversarial)"
    stages = "; ".join(_described(stage) for stage in (recipe.vision, *recipe.stages))
    minutes = facts["wall_time_s"] / 60
    failed = [verdict for verdict in verdicts if not verdict.holds]
    lines = [
        f"# Offline {recipe.name} model",
        "",
        "A small model with learned attention, so that accuracy under compression means something without a download.",
        "It answers questions about procedural scenes, and nothing else.",
        "",
        f"- Data: {data}, made from a seed by Focal; train and test splits have disjoint random streams.",
        f"- Training: seed {facts['seed']}, {facts['steps']} steps, {minutes:.0f} minutes of wall time.",
        f"  Stages, the vision tower alone first: {stages}.",
        f"- Again: `focal train {recipe.name}`; loss and accuracy in `training_log.csv` and `training.svg`.",
        "",
        *([notes.strip(), ""] if notes.strip() else []),
        _WHAT_IT_TOOK + (_WHAT_CLIPS_TOOK if recipe.name == "video" else ""),
        f"## Accuracy, measured on {measured.common} test questions",
        "",
        "Controls: the same questions with another sample's pictures (other), and with grey ones (blank). Luck:",
        "guessing among the words that fit the scene. Sub-tasks that come up rarely were asked further questions,",
        "which do not count into all.",
        "",
        "| sub-task | dense | 95 % interval | questions | other | blank | luck |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind in (None, *dict.fromkeys(measured.kinds)):
        share, low, high, count = measured.accuracy("dense", kind)
        other, blank = (measured.accuracy(name, kind)[0] for name in ("other", "blank"))
        name = kind or "**all**"
        lines.append(
            f"| {name} | {share:.3f} | {low:.3f} to {high:.3f} | {count} | {other:.3f} | {blank:.3f} "
            f"| {measured.lucky(kind):.3f} |"
        )
    lines += [
        "",
        f"## With {KEPT:.0%} of the visual tokens kept from one layer on",
        "",
        "random: chosen evenly; attention: by what the question's tokens attend to in the layer before, as Focus;",
        "tower: by attention inside the vision tower, as VisionZip. `@0` is before the decoder.",
        "",
        "| choice @ layer | accuracy | 95 % interval |",
        "|---|---|---|",
    ]
    for condition in sorted(name for name in measured.right if "@" in name):
        share, low, high, _ = measured.accuracy(condition)
        lines.append(f"| {condition} | {share:.3f} | {low:.3f} to {high:.3f} |")
    lines += [
        "",
        "## Acceptance",
        "",
        f"{len(verdicts) - len(failed)} of {len(verdicts)} criteria hold"
        + (f"; {len(failed)} do not: treat results that rest on them with care." if failed else ".")
        + " A margin holds if the near end of its 95 % interval meets it. Of controls the nearest",
        "counts. Questions about one picture are not independent: intervals of differences respect that.",
        "",
        "| criterion | | measured |",
        "|---|---|---|",
        *(
            f"| {one.criterion} | {'holds' if one.holds else f'**{one.state}**'} | {one.numbers} |"
            for one in verdicts
        ),
        "",
    ]
    return "\n".join(lines)
