"""Is work without a trace read as it is written, and refused in one sentence where it cannot be?"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import focal
from focal_common.errors import ConfigError, FocalError
from focal_simulator.results.work import given_workload
from focal_simulator.whole_model.given import Prompt, gemm_operators, read_operators

QWEN2_7B = {
    "model_type": "qwen2",
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 2,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "vocab_size": 152064,
    "sliding_window": 4096,
    "use_sliding_window": False,
}

LLAVA = {
    "model_type": "llava",
    "vision_config": {
        "model_type": "clip_vision_model",
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "image_size": 56,
        "patch_size": 7,
    },
    "text_config": QWEN2_7B,
}


def written(folder: Path, text: str, name: str = "layers.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "text",
    [
        "Layer, M, N, K,\nfc1, 4, 5, 6,\nq*K, 7, 8, 9,\n",
        "Layer,M,N,K\nfc1,4,5,6\nq*K,7,8,9",
        "\ufeffLayer name, M, N, K\r\n\r\nfc1, 4, 5, 6\r\nq*K, 7, 8, 9,,\r\n",
        "layer,k,m,n\nfc1,6,4,5\nq*K,9,7,8\n",
    ],
)
def test_a_topology_of_scale_sim_is_read_as_it_is(tmp_path: Path, text: str) -> None:
    found = read_operators(written(tmp_path, text), Prompt())
    assert [(one.name, one.m, one.n, one.k) for one in found] == [("fc1", 4, 5, 6), ("q*K", 7, 8, 9)]


WRONG = [
    (
        "Layer, M, N\nfc1, 4, 5\n",
        r"expected the columns Layer, M, N, K in its first line, got columns layer, m, n",
    ),
    ("Layer, M, N, K, Sparsity\nfc1, 4, 5, 6, 2:4\n", r"in its first line, got column 'sparsity'"),
    ("fc1, 4, 5, 6\n", r"in its first line, got column 'fc1'"),
    ("", r"in its first line, got columns \(none\)"),
    ("Layer, M, N, K\n", r"holds no GEMM"),
    ("Layer, M, N, K\nfc1, 4, 5\n", r", line 2: 3 cells, expected 4: Layer, M, N, K"),
    ("Layer, M, N, K\nfc1, 4, 0, 6\n", r", GEMM 1: N is 0, expected a whole number of 1 to 16777216"),
    ("Layer, M, N, K\nfc1, 4, 5, -6\n", r", GEMM 1: K is -6, expected a whole"),
    ("Layer, M, N, K\nfc1, 4.5, 5, 6\n", r", GEMM 1: M is '4.5', expected a whole"),
    ("Layer, M, N, K\nfc1, inf, 5, 6\n", r", GEMM 1: M is 'inf', expected a whole"),
    (
        "Layer, M, N, K\nfc1, 99999999999999999999, 5, 6\n",
        r"M is '99999999999999999999', expected a whole number of 1 to 16777216",
    ),
    ("Layer, M, N, K\nfc1, 16777216, 16777216, 16777216\n", r"multiply-accumulates in all, expected at most"),
    ("Layer, M, N, K\n , 4, 5, 6\n", r", GEMM 1: name '', expected 1 to 64 printable"),
]


@pytest.mark.parametrize(("text", "sentence"), WRONG)
def test_a_file_that_cannot_be_is_refused_with_its_place(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=rf"layers\.csv.*{sentence}"):
        read_operators(written(tmp_path, text), Prompt())


CALLS: list[tuple[Callable[[], Any], str]] = [
    (lambda: focal.simulate([], "dense"), "holds no GEMM"),
    (
        lambda: focal.simulate([(1, 2)], "dense"),
        r"GEMM 1: \(1, 2\), expected \(M, N, K\) or \(name, M, N, K\)",
    ),
    (lambda: focal.simulate([(1, 2, 3.5)], "dense"), "GEMM 1: K is 3.5, expected a whole number"),
    (lambda: focal.simulate([(True, 2, 3)], "dense"), "GEMM 1: M is True, expected a whole number"),
    (lambda: focal.simulate("gone.csv", "dense"), "gone.csv: no such file"),
    (lambda: focal.simulate([(1, 2, 3)], "dense", fidelity="parity"), "list of GEMMs.*use fidelity cycle"),
    (lambda: focal.simulate([(1, 2, 3)], "dense", models=["x"]), "a list of GEMMs has none"),
    (lambda: focal.gemms([(1, 2, 3)], batch=0), "batch is 0, expected 1 to"),
    (lambda: focal.gemms([(1, 2, 3)], tokens=5), "takes no tokens"),
    (lambda: focal.gemms([(2**24, 2, 3)], batch=2), "M x batch is 33554432, expected at most 16777216"),
    (
        lambda: focal.simulate([(2**24, 1, 2**24)], "dense"),
        "row counts in tiles of 1024 rows.*at most 50000000",
    ),
]


@pytest.mark.parametrize(("call", "sentence"), CALLS)
def test_calls_that_cannot_be_are_refused(call: Callable[[], Any], sentence: str) -> None:
    with pytest.raises(FocalError, match=sentence):
        call()


def test_a_configuration_becomes_the_gemms_of_its_blocks(tmp_path: Path) -> None:
    path = written(tmp_path, json.dumps(QWEN2_7B), "config.json")
    found = read_operators(path, Prompt(tokens=100, batch=3, generated_tokens=5))
    products = {(one.layer, one.name): one for one in found if one.kind != "vector"}
    assert (products[1, "gate_proj"].m, products[1, "gate_proj"].n, products[1, "gate_proj"].k) == (
        300,
        18944,
        3584,
    )
    assert (products[0, "k_proj"].n, products[0, "scores"].count, products[0, "scores"].m) == (512, 84, 100)
    assert products[-1, "lm_head.lm_head"].m == 3
    # By hand: 2 layers, linear and attention of each step with 101 to 105 keys, then the head.
    linear = 3584 * 3584 * 2 + 2 * 3584 * 512 + 3 * 3584 * 18944
    decode = sum(one.macs for one in found if one.phase == "decode")
    assert decode == 3 * (2 * (5 * linear + 2 * 28 * 128 * (101 + 102 + 103 + 104 + 105)) + 5 * 3584 * 152064)


def test_a_model_with_pictures_has_its_tower_in_the_list(tmp_path: Path) -> None:
    path = written(tmp_path, json.dumps(LLAVA), "config.json")
    whole = read_operators(path, Prompt(tokens=20, pictures=1))
    small = read_operators(
        path, Prompt(tokens=20, pictures=1, patch_rows=4, patch_columns=4, visual_tokens=16)
    )
    tower = [sum(one.macs for one in listed if one.phase == "vision") for listed in (whole, small)]
    assert 0 < tower[1] < tower[0]
    assert {one.name.partition(".")[0] for one in whole if one.phase == "vision"} == {"vision"}


@pytest.mark.parametrize(
    ("change", "prompt", "sentence"),
    [
        ({}, {}, "expected tokens above 0"),
        (
            {"model_type": "qwen3"},
            {"tokens": 8},
            "field 'model_type' is 'qwen3', whose blocks are not known; did you mean",
        ),
        ({"hidden_size": None}, {"tokens": 8}, "field 'hidden_size' is None, expected a whole number"),
        (
            {"use_sliding_window": True},
            {"tokens": 5000},
            "field 'sliding_window' is 4096, but the prompt .* 5000",
        ),
        ({}, {"tokens": 8, "pictures": 2}, "has no vision tower"),
        ({"num_key_value_heads": 5}, {"tokens": 8}, r"kv_heads \(5\) must divide heads"),
        ({"model_type": "llava"}, {"tokens": 8}, "expected pictures above 0"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused(
    tmp_path: Path, change: dict[str, Any], prompt: dict[str, int], sentence: str
) -> None:
    path = written(tmp_path, json.dumps(QWEN2_7B | change), "config.json")
    with pytest.raises(ConfigError, match=rf"config\.json: .*{sentence}"):
        read_operators(path, Prompt(**prompt))


def test_accelerators_say_which_units_idle() -> None:
    results = focal.simulate([("a", 64, 64, 64)], "all")
    assert set(results.frame()["origin"]) == {"given"}
    assert set(results.frame()["macs"]) == {64**3}
    idle = {
        note.partition(":")[0]: note.partition(" its units ")[2]
        for note in results.notes
        if " its units " in note
    }
    assert idle == {
        "focus": "scatter, gather, sec idle",
        "focus_sec_only": "scatter, gather, sec idle",
        "adaptiv": "preprocess idle",
        "cmc": "preprocess idle",
    }
    assert (
        results.explain("0.a", "focus").total_cycles
        == results.frame().set_index("accelerator")["cycles"]["focus"]
    )


def test_no_array_streams_more_rows_than_its_buffers_hold() -> None:
    short = {"tiles": {"m_tile": 512}}
    with pytest.raises(ConfigError, match=r"core.row_limit is 1024, expected at most tiles.m_tile \(512\)"):
        focal.simulate([(2048, 96, 32)], "dense", overrides=short)
    results = focal.simulate([(2048, 96, 32)], "focus", overrides=short)
    assert [time.job.rows.tolist() for run in results.runs for time in run.result.times] == [[512] * 4]
    # Its buffers are built for full passes, whatever its m-tile.
    full = focal.simulate([(2048, 96, 32)], "focus_sec_only").runs[0]
    assert full.accelerator.hardware.tiles.m_tile.value < 1024
    assert [time.job.rows.tolist() for time in full.result.times] == [[1024] * 2]


def test_a_list_stands_for_nothing_but_its_gemms() -> None:
    workload = given_workload([(1, 2, 3), (4, 5, 6)], name="mine")
    assert workload.label == "mine/gemms"
    assert [one.macs for one in workload.operators] == [6, 120]
    assert gemm_operators([(1, 2, 3)], "here")[0].name == "gemm0"
