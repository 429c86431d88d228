"""A command whose output is no longer read ends quietly, by the exit code of SIGPIPE."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.process


@pytest.mark.parametrize(
    "words",
    [
        "--help",
        "import --help",
        "settings --keys",
        "settings --keys --json",
        "completion bash",
        "no-such --json",
    ],
)
@pytest.mark.parametrize("errors_too", [False, True])
def test_a_closed_pipe(words, errors_too):
    read, write = os.pipe()
    os.close(read)
    try:
        command = [sys.executable, "-m", "freehold", *words.split()]
        ended = subprocess.run(
            command, stdout=write, stderr=write if errors_too else subprocess.PIPE, text=True, check=False
        )
    finally:
        os.close(write)
    assert ended.returncode == 141, ended
    assert errors_too or ("Traceback" not in ended.stderr and "Exception ignored" not in ended.stderr), ended
