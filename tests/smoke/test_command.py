"""Does the installed command answer help, versions and typos with the right exit code?"""

import subprocess
import sys

import pytest


def focal(*words: str) -> subprocess.CompletedProcess[str]:
    code = "from focal.commands.main import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=60, check=False
    )


def test_help_lists_the_verbs() -> None:
    answer = focal("--help")
    assert answer.returncode == 0
    assert "sim" in answer.stdout
    assert "trace" in answer.stdout


def test_a_mistyped_verb_is_answered_with_the_near_match_and_exit_code_2() -> None:
    answer = focal("tracee")
    assert answer.returncode == 2
    assert answer.stderr.startswith("error: unknown verb 'tracee'; did you mean 'trace'")
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize("module", ["focal_traces", "focal_simulator", "focal.commands.main"])
def test_importing_does_not_load_torch_or_figures(module: str) -> None:
    code = (
        f"import sys, {module}; bad = {{'torch', 'transformers', 'matplotlib', 'pandas'}} & set(sys.modules);"
        "sys.exit(f'loaded {bad}' if bad else 0)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
