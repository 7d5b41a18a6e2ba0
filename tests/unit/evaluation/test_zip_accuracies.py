"""Are accuracies of the SparseZip study read from the answers by the parser that was asked for?"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from focal.studies.sparsezip.results import Results


def test_the_parser_decides_what_an_answer_without_yes_or_no_counts() -> None:
    truths = ["yes", "no"] * 10
    questions = pd.DataFrame({"benchmark": "shapes-mme", "split": "count", "truth": truths})
    answers = pd.DataFrame({"visionzip-64": ["yes", "no"] * 5 + ["<|im_end|>"] * 10})
    configurations = pd.DataFrame({"configuration": list(answers), "status": "done"})
    tables = {"accuracy": pd.DataFrame({"x": [0]})}
    results = Results(Path(), questions, answers, configurations, tables, {})
    both = [results.read_by(parser).tables["accuracy"] for parser in ("repo", "official")]  # type: ignore[arg-type]
    found = [one.set_index(["configuration", "group"]).loc[("visionzip-64", "shapes-mme")] for one in both]
    assert [(one["accuracy"], one["unparsed"]) for one in found] == [(0.5, 0.5), (0.75, 0.0)]
    assert [round(found[0][end], 3) for end in ("low", "high")] == [0.299, 0.701]
