"""What is installed with freehold: pinned by hash, without addresses, listed, and audited or said not to be."""

import json
import os
import re
import subprocess
import sys
import tomllib
import venv

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tests.source import ROOT, script
from tests.test_package import uv

CONSTRAINTS = ROOT / "constraints.txt"


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_every_package_has_hashes_and_none_an_address():
    text = CONSTRAINTS.read_text()
    assert "://" not in text
    blocks = re.split(r"\n(?=[a-z0-9])", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).strip())
    assert len(blocks) > 40
    assert [block for block in blocks if "==" not in block or "--hash=sha256:" not in block] == []


def test_the_constraints_satisfy_what_the_project_asks_for(project):
    pinned = script("audit").pinned()
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["prove"], *extras["gateway"], *extras["llamacpp"]]
    for requirement in (one for one in map(Requirement, wanted) if one.name != "freehold"):
        versions = pinned[canonicalize_name(requirement.name)]
        assert all(version in requirement.specifier for version in versions), (
            f"{requirement}: run scripts/lock"
        )


def test_floors_keep_known_vulnerabilities_out(project):
    facts = tomllib.loads((ROOT / "scripts" / "advisories.toml").read_text())["advisory"]
    floors = {}
    for text in (
        *project["dependencies"],
        *(one for extra in project["optional-dependencies"].values() for one in extra),
    ):
        requirement = Requirement(text)
        for specifier in requirement.specifier:
            if specifier.operator == ">=":
                floors.setdefault(canonicalize_name(requirement.name), specifier.version)
    asked = {fact["package"] for fact in facts if fact["package"] in floors and "fixed" in fact}
    assert {"aiohttp", "jinja2", "torch", "pyyaml"} <= asked
    assert script("audit").known({name: {version} for name, version in floors.items()}, "floors") == []


def test_a_vulnerable_release_is_found_and_a_stolen_one():
    known = script("audit").known({"jinja2": {"3.1.4"}, "litellm": {"1.82.7", "1.82.6"}}, "here")
    assert [line.split(":")[0] for line in known] == ["jinja2 3.1.4 (here)", "litellm 1.82.7 (here)"]


def test_an_audit_that_nobody_answered_does_not_pass(monkeypatch, capsys):
    audit = script("audit")
    monkeypatch.setattr(audit, "ask", lambda requirements, options: None)
    monkeypatch.setattr(sys, "argv", ["audit"])
    assert audit.main() == 3
    assert "NOT AUDITED" in capsys.readouterr().err
    # A database that knows nothing of the canary is not one.
    monkeypatch.setattr(audit, "ask", lambda requirements, options: [])
    assert audit.main() == 3


def test_an_audit_with_a_database_tells_what_it_knows(monkeypatch, capsys):
    audit = script("audit")
    monkeypatch.setattr(sys, "argv", ["audit"])
    monkeypatch.setattr(
        audit,
        "ask",
        lambda requirements, options: ["jinja2 2.4.1: PYSEC-1"] if len(requirements) == 1 else [],
    )
    assert audit.main() == 0
    monkeypatch.setattr(audit, "ask", lambda requirements, options: ["aiohttp 3.14.5: PYSEC-2"])
    assert audit.main() == 1
    assert "PYSEC-2" in capsys.readouterr().out


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The Python of an environment that has what the constraints name, and nothing else."""
    folder = tmp_path_factory.mktemp("installed") / "env"
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    options = ["--quiet", "--require-hashes", "--only-binary", ":all:"]
    uv("pip", "install", "--python", str(python), *options, "-r", str(CONSTRAINTS))
    return python


@pytest.mark.process
def test_the_bill_of_materials_names_what_freehold_needs(project, installed):
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "sbom", installed], capture_output=True, check=True
    )
    bill = json.loads(done.stdout)
    assert (bill["bomFormat"], bill["metadata"]["component"]["name"]) == ("CycloneDX", "freehold")
    listed = {canonicalize_name(one["name"]) for one in bill["components"]}
    needed = {canonicalize_name(Requirement(text).name) for text in project["dependencies"]}
    assert needed - listed == set()
    root = bill["metadata"]["component"]["bom-ref"]
    graph = {one["ref"]: one.get("dependsOn", []) for one in bill["dependencies"]}
    assert len(graph[root]) >= len(needed)


@pytest.mark.process
def test_the_constraints_install_and_freehold_runs_on_them(tmp_path, installed):
    done = subprocess.run(
        [installed, "-m", "freehold", "--version"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert done.stdout.startswith("freehold")
