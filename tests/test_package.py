"""The package as a stranger has it: built, installed into an empty folder, run."""

import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

from freehold import __version__

ROOT = Path(__file__).parents[1]
MOST_MB = 100
"""Of the base install, in millions of bytes: 73 were measured, pip among them."""
PYTHONS = ("3.11", "3.12", "3.13", "3.14")


def uv(*words, **environment):
    certificates = {"SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt"} if sys.platform == "linux" else {}
    program = Path(sysconfig.get_path("scripts")) / "uv"
    values = {**certificates, **os.environ, **environment}
    done = subprocess.run([program, *words], env=values, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done


def python_of(version):
    """A Python of this machine; skips the test where there is none."""
    if sys.version_info[:2] == tuple(map(int, version.split("."))):
        return sys.executable
    for path in (Path(name, f"python{version}") for name in os.get_exec_path()):
        # One that stands for a Python that is not installed ends with an error.
        if path.exists() and subprocess.run([path, "-c", ""], capture_output=True).returncode == 0:
            return str(path)
    pytest.skip(f"Python {version} is not on this machine")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder with the wheel and the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    uv("build", "--quiet", "--python", sys.executable, "--out-dir", str(folder), str(ROOT))
    return folder


@pytest.fixture(scope="module", params=PYTHONS)
def installed(request, built, tmp_path_factory):
    """The wheel as ``uv tool install`` puts it: the folder of its environment, and the program."""
    folder = tmp_path_factory.mktemp("tools")
    python = python_of(request.param)
    (wheel,) = built.glob("*.whl")
    uv(
        *("tool", "install", "--quiet", "--python", python, str(wheel)),
        UV_TOOL_DIR=str(folder / "tools"),
        UV_TOOL_BIN_DIR=str(folder / "bin"),
    )
    return folder / "tools" / "freehold", folder / "bin" / "freehold"


@pytest.mark.process
def test_the_wheel_and_the_sdist_have_what_is_needed_and_no_more(built):
    (wheel,) = built.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert wheel.name == f"freehold-{__version__}-py3-none-any.whl"
    assert "freehold/examples/tickets/freehold.toml" in names and "freehold/py.typed" in names
    tops = {name.split("/")[0] for name in names}
    assert tops == {"freehold", f"freehold-{__version__}.dist-info"}
    assert not [name for name in names if "/tests/" in name or name.endswith((".pyc", ".env"))]
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "pyproject.toml",
        "LICENSE",
        "Containerfile",
        "tests/test_package.py",
    } <= inside


@pytest.mark.process
def test_a_tool_install_answers_without_the_checkout_and_without_a_network(installed, tmp_path):
    environment_folder, program = installed
    # Proxies that are not there stand for a network that is not.
    away = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:1")
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "FREEHOLD_OFFLINE": "1", **away}

    def freehold(*words):
        done = subprocess.run(
            [program, *words], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "Usage: freehold" in freehold("--help")
    version = json.loads(freehold("--version", "--json"))
    assert version["version"] == __version__ and version["extras"]["train"] is False
    assert "items" in freehold("power", "--margin", "0.02")
    assert json.loads(freehold("license", "google/gemma-3-270m", "--json"))
    refused = subprocess.run(
        [program, "train", "nothing"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 2 and "Traceback" not in refused.stderr, (
        "an optional part is said, not stumbled over"
    )
    size = sum(path.lstat().st_size for path in environment_folder.rglob("*") if not path.is_symlink()) / 1e6
    assert size < MOST_MB


def test_the_chart_has_the_version_of_the_package():
    chart = yaml.safe_load((ROOT / "deploy" / "helm" / "freehold" / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == __version__
