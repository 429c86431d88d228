import os
import re
import signal
import sqlite3
import subprocess
import sys

import pytest
from click.testing import CliRunner
from tests.documents import schemas

from freehold.cli.main import EXIT_DAMAGED, cli
from freehold.processes import claim_port

pytestmark = pytest.mark.process


@pytest.mark.parametrize("words", [words for words, _ in schemas().commands()], ids=" ".join)
def test_every_command_has_help_with_an_example_in_80_columns(words):
    result = CliRunner().invoke(cli, [*words, "--help"], terminal_width=80)
    assert result.exit_code == 0, result.output
    prose, example, options = re.fullmatch(
        r"(.*)  Examples?:\n(.+?)\n\n(.*)", result.output, re.DOTALL
    ).groups()
    assert f"freehold {' '.join(words)}" in example
    assert max(map(len, f"{prose}{options}".splitlines())) <= 80


def test_misspelt_command_names_the_nearest():
    result = CliRunner().invoke(cli, ["setings"])
    assert result.exit_code == 2
    assert "did you mean 'freehold settings'" in result.output


@pytest.mark.parametrize("words", [("--help",), ("license", "Qwen/Qwen3-8B")], ids=" ".join)
def test_help_and_a_ruling_import_no_heavy_library(words):
    heavy = ["torch", "transformers", "numpy", "scipy", "sqlalchemy", "aiohttp", "httptools", "rich"]
    code = (
        "import sys\nfrom freehold.cli.main import cli\n"
        f"try: cli.main({words!r}, prog_name='freehold')\nexcept SystemExit: pass\n"
        f"loaded = [m for m in {heavy!r} if m in sys.modules]\nassert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_sigterm_ends_a_command_as_ctrl_c_does():
    program = (
        "import time\nfrom freehold.cli import main\n"
        "def work(**_):\n    try:\n        print('on', flush=True)\n        time.sleep(60)\n"
        "    finally:\n        print('put away', flush=True)\n"
        "main.cli.main = work\nmain.main()"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "on\n"
    process.terminate()
    assert process.communicate(timeout=30)[0] == "put away\n"
    assert process.returncode == 143


@pytest.fixture
def served(tmp_path):
    """Run ``freehold … serve echo …`` until it is ready, end it; returns what it wrote to stderr."""

    def run(*words, **environment):
        command = [sys.executable, "-m", "freehold", *words, "--port", str(claim_port())]
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env={**os.environ, **environment},
        )
        assert process.stdout.readline().startswith("ready"), process.stderr.read()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
        return said

    return run


def test_an_operator_sees_what_starts_and_stops(served):
    said = served("serve", "echo", "-v")
    assert re.search(
        r"INFO    freehold\.engines\.supervisor: local: ready at http://127\.0\.0\.1:\d+\n", said
    )
    assert re.search(r"INFO    freehold\.workflows\.serve\.hold: gateway ready at .*, pid \d+", said)
    assert "INFO    freehold.workflows.serve.hold: gateway stopped" in said
    assert "INFO    freehold.engines.supervisor: local: stopped" in said
    assert "DEBUG" not in said


def test_one_flipped_bit_costs_one_row_and_the_command_says_so(freehold, tmp_path):
    lines = [
        f'{{"messages": [{{"role": "user", "content": "q {n}"}}, {{"role": "assistant", "content": "a"}}]}}'
        for n in range(400)
    ]
    (tmp_path / "log.jsonl").write_text("\n".join(lines))
    assert freehold("import", "log.jsonl").code == 0
    with sqlite3.connect(tmp_path / ".freehold" / "freehold.sqlite") as holder:
        body = holder.execute("SELECT body FROM trace_blocks WHERE place = 113").fetchone()[0]
        holder.execute("UPDATE trace_blocks SET body = ? WHERE place = 113", (body[:-9] + b"?" + body[-8:],))
        lost = holder.execute("SELECT id FROM imported_traces WHERE place = 123").fetchone()[0]
    holder.close()
    for command in (("traces", "export", "all.jsonl"), ("dataset", "build"), ("traces", "list", "-n", "999")):
        done = freehold(*command)
        assert done.code == EXIT_DAMAGED, done.err
        assert "warning: 1 damaged row left out: trace_blocks 113 (16 traces)" in done.err
        assert "hint: freehold store check" in done.err and "Traceback" not in done.err
    assert len((tmp_path / "all.jsonl").read_text().splitlines()) == 384
    alone = freehold("traces", "show", lost)
    assert alone.code == 2 and f"the trace {lost} in the store is damaged" in alone.err


@pytest.mark.parametrize(
    "words",
    [
        ("assess", "Qwen/Qwen3-8B"), ("catalog", "list"),
        ("fit", "Qwen/Qwen3-8B", "--quants"), ("fit", "Qwen/Qwen3-8B"),
        ("cost", "Qwen/Qwen3-8B", "--machine", "H100 SXM"),
        ("license", "Qwen/Qwen3-8B"), ("retirements",), ("scan", "."),
        ("power", "--margin", "0.1"), ("report",), ("routes", "list"), ("traces", "list"),
        ("tasks",), ("doctor",), ("settings",),
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_question_leaves_no_state_folder_behind(freehold, tmp_path, words):
    freehold(*words)
    assert {one.name for one in tmp_path.iterdir()} <= {"home"}
