"""A project from Python: the whole journey, in a notebook's loop, and two processes at once."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from tests.workflows.journey.rehearsal import Told
from tests.workflows.journey.test_migrate import project as rehearsed

import freehold
from freehold.errors import ConfigError, UsageError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path / "home"))
    rehearsed(tmp_path)
    return tmp_path


def test_a_project_is_loaded_from_its_folder_its_file_or_here(folder, monkeypatch):
    of_folder, of_file = freehold.Project.load(folder), freehold.Project.load(str(folder / "freehold.toml"))
    monkeypatch.chdir(folder)
    assert of_folder.root == of_file.root == freehold.Project.load().root == folder
    assert repr(of_folder) == f"Project('inbox', root={str(folder)!r})"
    assert of_folder.candidates()[0].model == "HuggingFaceTB/SmolLM2-135M-Instruct"


def test_a_folder_without_a_file_is_an_error_unless_that_is_right(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="no such file"):
        freehold.Project.load()
    assert freehold.Project.load(must_exist=False).root == tmp_path


def test_the_whole_journey(folder):
    project, told = freehold.Project.load(folder), Told()
    with pytest.raises(UsageError, match="no report yet"):
        project.report()
    assert not project.rehearse().preflight.failed
    migration = project.migrate(progress=told)
    assert migration.best.verdict.outcome == "promote" and told.steps
    assert isinstance(migration.best.verdict, freehold.Verdict)
    assert isinstance(migration.best.comparison, freehold.Comparison)
    assert project.report().id == migration.report.id
    assert project.dataset().id == migration.report.dataset.id
    assert isinstance(project.build_dataset(), freehold.Dataset)
    assert [line.candidate for line in project.evaluations()]
    with pytest.raises(UsageError, match="no fallback was planned"):
        project.mixture()


def test_data_step_by_step(folder):
    project = freehold.Project.load(folder)
    (read,) = project.import_traffic()
    assert read.new == 400 and read.rejected == 0
    (again,) = project.import_traffic(folder / "traffic.jsonl")
    assert again.new == 0
    card = project.check_dataset()
    assert sum(split.samples for split in card.splits.values()) > 0
    with pytest.raises(UsageError, match="dataset"):  # a check keeps nothing
        project.dataset()
    with pytest.raises(UsageError, match="colour is not a key"):
        project.import_traffic(colour="red")
    with pytest.raises(UsageError, match=r"epoch is not a key of \[train\]"):
        project.train(epoch=3)


def test_it_works_in_a_notebooks_loop(folder):
    async def cell():
        return freehold.Project.load(folder).migrate().best.verdict.outcome

    assert asyncio.run(cell()) == "promote"


@pytest.mark.process
def test_the_example_reads_like_the_readme_and_ends_with_the_verdict(folder):
    ran = subprocess.run(
        [sys.executable, ROOT / "examples" / "journey.py", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "inbox: leaving rented-1\n" in ran.stdout and "\nverdict: promote: " in ran.stdout
    assert "HuggingFaceTB/SmolLM2-135M-Instruct: allowed\n" in ran.stdout


@pytest.mark.process
def test_the_notebook_runs_from_its_first_cell_to_its_last(folder):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    notebook = nbformat.read(ROOT / "examples" / "journey.ipynb", as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells), "kept without outputs"
    client = nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(folder)}})
    client.execute()
    shown = [
        output["data"].get("text/plain", "")
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "data" in output
    ]
    assert len(shown) >= 6 and all(shown), "the last value of a cell is a record"
