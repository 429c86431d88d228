"""Commands and Python of the documentation, run as they stand in a project that has gone through its journey."""

import ast
import importlib.util
import json
import shlex
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.snippets import blocks, shell
from tests.workflows.journey.rehearsal import project

import freehold
from freehold.cli.main import cli
from freehold.store import open_store
from freehold.types.dataset import Dataset

pytestmark = [pytest.mark.process, pytest.mark.timeout(600)]
RUN = {
    "assess": 0, "audit": 0, "catalog list": 0,
    "compare": 1, "cost Qwen": 0, "dataset build": 0, "dataset check": 0,
    "dataset show": 0, "defer plan": 1, "doctor": 1,
    "engines list": 0, "evaluate --a gpt4o.jsonl --b smollm2.jsonl --task label": 0,
    "fit google": 0, "fit Qwen": 0, "import traffic": 0, "keys add app-eu": 0, "keys limit": 0,
    "keys list": 0, "keys revoke app-eu": 0, "license google": 0, "license identify": 0,
    "migrate --dry-run": 0, "models list": 0, "power": 0, "report --json": 0,
    "retirements --fail-within": 1, "routes list": 0, "routes set support --model": 0,
    "scan src/": 1, "scan app.py": 1, "status": 0, "store backup": 0, "store check": 0,
    "tasks traffic.jsonl": 0, "traces export": 0, "traces list --since": 0, "traces show": 0,
}  # fmt: skip
"""Beginnings of command lines that are run, in this order, and how they end: 0, or 1 where a finding or a
verdict may be told by 1 or 3."""
SKIPPED = ("--measure", "--make", "--train", "--engine vllm", "catalog sync", "exports/")
"""Options of lines that need what is not here: weights, an engine, files of a user's own."""
ANSWERS = ("gpt4o.jsonl", "smollm2.jsonl", "gpt-4o.jsonl", "mine.jsonl", "old.jsonl", "new.jsonl")


@pytest.fixture(scope="module")
def journey(tmp_path_factory):
    """A project after its journey on the shipped fake, with the files that guides name."""
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("home")
        patch.setenv("FREEHOLD_HOME", str(home))
        patch.setenv("FREEHOLD_OFFLINE", "1")
        folder = tmp_path_factory.mktemp("project")
        patch.chdir(folder)
        project(folder)
        path = folder / "freehold.toml"
        text = path.read_text().replace('"rented-1"', '"rented-1"\nbase_url = "http://127.0.0.1:9/v1"')
        path.write_text(text)
        for name in ANSWERS:
            rows = [{"id": str(n), "output": "yes", "gold": "yes"} for n in range(300)]
            (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
        scores = [{"id": str(n), "a": 1, "b": int(n % 9 > 0), "language": "de"} for n in range(300)]
        (folder / "scores.jsonl").write_text("".join(json.dumps(row) + "\n" for row in scores))
        (folder / "src").mkdir()
        for name in ("src/app.py", "app.py", "deploy.yaml"):
            (folder / name).write_text('model = "gpt-4-0613"\n')
        shutil.copy(blocks.ROOT / "LICENSE", folder)
        (box,) = [one for one in blocks.blocks("toml") if one.text.startswith('name = "box"')]
        (folder / "box.toml").write_text(box.text)
        assert ran("migrate --no-serve").exit_code == 0
        yield folder


def ran(line):
    return CliRunner().invoke(cli, shlex.split(line) if isinstance(line, str) else line)


def with_real_ids(words, folder):
    """Guides name records by ids that this project does not have."""
    with open_store(f"sqlite:///{folder / '.freehold' / 'freehold.sqlite'}") as store:
        dataset, trace = store.latest(Dataset).id, next(iter(store.traces())).id
    kinds = {"dataset": dataset, "traces": trace}
    named = ("1a2b3c4d", "01a210d9")
    return [kinds.get(words[0], word) if word in named else word for word in words]


def of_beginning(beginning):
    """The lines of all pages that begin so, each once."""
    found = {}
    for block in blocks.blocks("sh"):
        for line in shell.lines(block.text):
            for one in shell.commands(line):
                words = shell.of_freehold(one)
                text = " ".join(words or ())
                if (
                    words
                    and f"{text} ".startswith(f"{beginning}")
                    and not any(one in text for one in SKIPPED)
                ):
                    found.setdefault(tuple(words), block.name)
    return found


@pytest.mark.parametrize(("beginning", "code"), RUN.items(), ids=RUN)
def test_lines_run_as_they_stand(journey, beginning, code):
    lines = of_beginning(beginning)
    assert lines, "the documentation shows it no more: strike it"
    if beginning in ("keys limit", "keys revoke app-eu"):  # the key is there, whichever lines ran before
        for words in of_beginning("keys add app-eu"):
            ran(list(words))
    for words, where in lines.items():
        done = ran(with_real_ids(list(words), journey))
        wrong = done.exception is not None and not isinstance(done.exception, SystemExit)
        assert not wrong, f"{where}: freehold {' '.join(words)}: {done.exception!r}"
        said = f"{where}: freehold {' '.join(words)}: {done.output[-500:]}"
        assert done.exit_code in ({0, 1, 3} if code else {0}), said


PYTHON = blocks.blocks("python")


def test_python_compiles_and_what_it_imports_and_calls_is_there():
    for block in PYTHON:
        for node in ast.walk(ast.parse(block.text)):
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == "freehold"
            ):
                assert hasattr(freehold, node.attr), f"{block.name}: {node.attr}"
            names = [node.module] if isinstance(node, ast.ImportFrom) else []
            names += [one.name for one in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                there = importlib.util.find_spec(name.partition(".")[0]) is not None
                assert there or name in blocks.UNCHECKED["modules"], f"{block.name}: {name}"


def test_what_is_done_by_freehold_runs(journey, monkeypatch):
    monkeypatch.chdir(journey)
    for block in PYTHON:
        if "freehold." in block.text:
            text = block.text.replace('"examples/tickets"', "")
            exec(compile(text, block.name, "exec"), {"freehold": freehold})  # noqa: S102 (of the documentation)
            assert Path("freehold.toml").exists(), block.name
