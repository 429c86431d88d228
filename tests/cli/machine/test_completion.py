"""What a shell completes."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.process


@pytest.mark.parametrize(
    ("shell", "mark"), [("bash", "complete"), ("zsh", "#compdef freehold"), ("fish", "complete")]
)
def test_each_shell_gets_its_script(freehold, shell, mark):
    ran = freehold("completion", shell)
    assert ran.code == 0 and mark in ran.out and "_FREEHOLD_COMPLETE" in ran.out


@pytest.mark.parametrize(
    ("typed", "found"),
    [("freehold rol", "rollout"), ("freehold fit --cont", "--context")],
)
def test_what_the_script_asks_is_answered(typed, found):
    """As bash asks: words and place in the environment."""
    words = {
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(typed.split()) - 1),
        "_FREEHOLD_COMPLETE": "bash_complete",
    }
    ran = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; sys.argv[0] = 'freehold'; from freehold.cli.main import main; main()",
        ],
        env={**os.environ, **words},
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"plain,{found}" in ran.stdout.splitlines(), ran.stderr
