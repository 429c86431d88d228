"""Answers and errors of the hub's library, without a hub."""

from types import SimpleNamespace

import pytest

from freehold.catalog import hub
from freehold.errors import UnknownModelError, UpstreamError

pytest.importorskip("huggingface_hub")


def info(**changes):
    base = {
        "id": "org/model", "sha": "abc", "tags": ["license:mit"], "gated": False, "created_at": None,
        "card_data": None, "safetensors": None, "siblings": [SimpleNamespace(rfilename="config.json", size=7)],
    }  # fmt: skip
    return SimpleNamespace(**(base | changes))


@pytest.fixture
def answer(monkeypatch):
    import huggingface_hub

    def use(result):
        def ask(self, *given, **more):
            if isinstance(result, Exception):
                raise result
            return result

        monkeypatch.setattr(huggingface_hub.HfApi, "model_info", ask)
        monkeypatch.setattr(huggingface_hub.HfApi, "list_models", ask)

    return use


def test_a_repository_is_read_with_its_card(answer):
    answer(
        info(
            card_data={"license": "other", "license_name": "own-terms"}, safetensors=SimpleNamespace(total=5)
        )
    )
    found = hub.read("org/model")
    assert (found.repo, found.commit, found.license, found.parameters) == ("org/model", "abc", "own-terms", 5)
    assert found.files == (hub.File("config.json", 7),)


def test_without_a_card_the_tag_says_the_licence(answer):
    answer(info(gated="manual"))
    found = hub.read("org/model")
    assert found.license == "mit" and found.gated and found.parameters is None


def test_bases_are_those_the_card_declares_each_once(answer):
    answer(info(tags=["base_model:org/base", "base_model:finetune:org/base", "base_model:org/other"]))
    assert hub.read("org/model").bases == (("finetune", "org/base"), ("made from", "org/other"))


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("OfflineModeIsEnabled", UpstreamError, "forbids asking"),
        ("HFValidationError", UnknownModelError, "not the name of a repository"),
        ("LocalEntryNotFoundError", UpstreamError, "cannot be reached"),
    ],
)
def test_errors_of_the_library_become_ours(answer, name, kind, message):
    from huggingface_hub import errors

    answer(getattr(errors, name)("x"))
    with pytest.raises(kind, match=message):
        hub.read("org/model")


def test_a_connection_that_fails_is_told_by_whatever_client_the_library_uses(answer):
    answer(ConnectionError("refused"))
    with pytest.raises(UpstreamError, match="cannot be reached") as caught:
        hub.read("org/model")
    assert "HF_ENDPOINT" in (caught.value.hint or "")
