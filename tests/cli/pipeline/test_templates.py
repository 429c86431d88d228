"""The action and the GitLab template, by running their steps as a runner does."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tests.cli.pipeline.forge import TOKEN, Forge, serving
from tests.cli.pipeline.test_check import answers, program

pytestmark = pytest.mark.process

ROOT = Path(__file__).resolve().parents[3]
ACTION = yaml.safe_load((ROOT / "check" / "action.yml").read_text())
SPEC, JOBS = yaml.safe_load_all((ROOT / "check" / "gitlab.yml").read_text())
STEPS = {step["name"]: step for step in ACTION["runs"]["steps"]}
SCRIPTS = sorted((ROOT / "src" / "freehold" / "cli" / "pipeline").glob("*.sh"))


class Runner:
    """A runner of GitHub's kind: expressions filled in, each step in a bash of its own, outputs handed on."""

    def __init__(self, folder, address, **inputs):
        self.folder = folder
        self.temp = folder.parent / "temp"
        (self.temp / "freehold" / "bin").mkdir(parents=True, exist_ok=True)
        unknown = set(inputs) - set(ACTION["inputs"])
        assert not unknown
        given = {name: one["default"] for name, one in ACTION["inputs"].items()} | inputs
        self.known = {f"inputs.{name}": value for name, value in given.items()} | {
            "github.action_path": str(ROOT / "check"),
            "runner.temp": str(self.temp),
            "github.token": TOKEN,
            "github.event.pull_request.number": "7",
        }
        self.address = address

    def filled(self, text):
        while "${{" in text:
            text = re.sub(r"\$\{\{ ([\w.-]+) \}\}", lambda found: self.known[found[1]], text)
        return text

    def step(self, name, *, pip="pip install"):
        one = STEPS[name]
        assert one["shell"] == "bash" and "${{" not in one["run"]
        own = {key: self.filled(value) for key, value in one["env"].items()}
        kept = {
            key: os.environ[key] for key in ("PATH", "PIP_INDEX_URL", "PIP_CONFIG_FILE") if key in os.environ
        }
        ran = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", one["run"].replace("pip install", pip)],
            env={
                **kept, "HOME": os.environ.get("HOME", "/"), "GITHUB_ACTIONS": "true",
                "RUNNER_TEMP": str(self.temp), "GITHUB_OUTPUT": str(self.temp / "output"),
                "GITHUB_STEP_SUMMARY": str(self.temp / "summary"), "GITHUB_API_URL": self.address,
                "GITHUB_REPOSITORY": "own/shop", "FREEHOLD_HOME": str(self.temp / "home"), **own,
            },
            cwd=self.folder, capture_output=True, text=True,
        )  # fmt: skip
        assert TOKEN not in ran.stdout + ran.stderr
        return ran


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "their code"
    (folder / ".git").mkdir(parents=True)
    return folder


def test_the_action_checks_and_comments(repository):
    forge = Forge("github")
    answers(repository, n=400, wrong=0)
    with serving(forge) as address:
        runner = Runner(repository, address, a="a.jsonl", b="b.jsonl", task="exact", margin="0.02")
        program(runner.temp / "freehold")
        (runner.temp / "freehold" / "bin" / "python").symlink_to(sys.executable)
        assert runner.step("Check").returncode == 0
        assert runner.step("Comment").stdout == "commented\n"
        answers(repository, n=400, wrong=200)
        failed = runner.step("Check")
        assert failed.returncode == 1, failed.stdout
        assert runner.step("Comment").stdout == "commented\n"
    (comment,) = forge.comments
    assert "### ✕ Reject" in comment["body"]
    assert "exit-code=1\nverdict=reject\n" in (runner.temp / "output").read_text()


def test_each_input_reaches_the_check_and_the_token_only_the_comment():
    used = {name for step in STEPS.values() for name in re.findall(r"inputs\.([\w-]+)", json.dumps(step))}
    assert used == set(ACTION["inputs"])
    script = (ROOT / "src/freehold/cli/pipeline/check.sh").read_text()
    for name in STEPS["Check"]["env"]:
        assert name == "SOURCE" or name in script, name
    assert "inputs.token" not in json.dumps([STEPS["Check"], STEPS["Install freehold"]])
    assert STEPS["Comment"]["if"] == "${{ !cancelled() && inputs.comment == 'true' }}"
    for output in ACTION["outputs"].values():
        name = re.fullmatch(r"\$\{\{ steps\.check\.outputs\.([\w-]+) \}\}", output["value"])[1]
        assert f"{name}=" in script


def job(**inputs):
    """The template as GitLab fills it in: types, choices and patterns are checked, then values put in."""
    given = {}
    for name, one in SPEC["spec"]["inputs"].items():
        value = inputs.pop(name, one.get("default"))
        assert value is not None, name
        if one.get("type") == "number":
            assert isinstance(value, int)
        assert value in one.get("options", [value])
        assert re.search(one.get("regex", ""), str(value)), name
        given[name] = str(value)
    assert not inputs

    def filled(text):
        return re.sub(r"\$\[\[ inputs\.([\w-]+) \]\]", lambda found: given[found[1]], text)

    ((_, one),) = JOBS.items()
    variables = {
        name: filled(value["value"] if isinstance(value, dict) else value)
        for name, value in one["variables"].items()
    }
    assert all(value["expand"] is False for value in one["variables"].values() if isinstance(value, dict))
    return one["script"], variables


def test_the_gitlab_job_checks_and_comments(repository, tmp_path):
    """All of its lines but that which installs."""
    answers(repository, n=400, wrong=200)
    lines, variables = job(
        source="freehold==0.1.0", a="a.jsonl", b="b.jsonl", task="exact", margin="0.02", hold="pass"
    )
    (install,) = [line for line in lines if "pip install" in line]
    made = program(tmp_path / "own")
    script = "\n".join(
        line.replace(install, f'ln -s "{made}" "$venv/bin/freehold"').replace(" -I -c", " -c")
        for line in lines
    )
    forge = Forge("gitlab", me="project_42_bot", user="project_42_bot")
    with serving(forge) as address:
        ran = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", script],
            env={
                "PATH": os.environ["PATH"], "HOME": str(tmp_path), "TMPDIR": str(tmp_path),
                "PYTHONPATH": os.pathsep.join(sys.path), "FREEHOLD_HOME": str(tmp_path / "home"),
                "GITLAB_CI": "true", "CI_API_V4_URL": address, "CI_PROJECT_ID": "42",
                "CI_MERGE_REQUEST_IID": "7", "CHECK_COMMENT_TOKEN": TOKEN, **variables,
            },
            cwd=repository, capture_output=True, text=True,
        )  # fmt: skip
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert TOKEN not in ran.stdout + ran.stderr
    assert len(forge.comments) == 1
    assert (repository / "freehold-check.md").read_text() == forge.comments[0]["body"]


@pytest.mark.parametrize("script", [*SCRIPTS, *STEPS], ids=lambda one: getattr(one, "name", one))
def test_shellcheck_finds_nothing(script, tmp_path):
    shellcheck = shutil.which("shellcheck") or shutil.which("shellcheck", path=Path(sys.executable).parent)
    if shellcheck is None:
        pytest.skip("shellcheck is not installed (the extra dev has it)")
    path = script
    if not isinstance(script, Path):
        path = tmp_path / "step.sh"
        path.write_text(f"#!/usr/bin/env bash\nset -eo pipefail\n{STEPS[script]['run']}\n")
    ran = subprocess.run([shellcheck, str(path)], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout


@pytest.mark.timeout(900)  # a slow index is not what is tested
def test_the_action_installs_the_commit_it_is_of(repository, tmp_path):
    """Its command as a dry run: it builds freehold from the source. What it needs is named, and had by each install."""
    runner = Runner(repository, "http://127.0.0.1:9")
    shutil.rmtree(runner.temp / "freehold")
    report = tmp_path / "report.json"
    pip = f"pip install --no-deps --dry-run --report {shlex.quote(str(report))}"
    ran = runner.step("Install freehold", pip=pip)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (found,) = json.loads(report.read_text())["install"]
    assert found["metadata"]["name"] == "freehold"
    needs = {
        re.split(r"[^\w-]", one)[0] for one in found["metadata"]["requires_dist"] if "extra ==" not in one
    }
    assert {"msgspec", "click"} <= needs and "torch" not in needs


def test_the_job_may_install_extras_and_nothing_that_is_shell():
    _, variables = job(source="freehold[local,train]@git+https://your.git.host/freehold@v0.1.0")
    assert variables["CHECK_SOURCE"].startswith("freehold[local,train]@")
    for source in ("freehold; touch ran", "$(touch ran)", "freehold --index-url=x", "a\nb"):
        with pytest.raises(AssertionError):
            job(source=source)
