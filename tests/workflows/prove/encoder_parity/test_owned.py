"""Which encoder `freehold parity` means, and how it is served for it. Both sides for real: test_check."""

import shutil
from pathlib import Path

import msgspec
import pytest
from tests.workflows.train.owned_encoder import owned_encoder

from freehold.errors import UsageError, WeightsError
from freehold.store import open_store
from freehold.types.endpoint import ServePlan
from freehold.types.progress import Silent
from freehold.workflows.project import open_project
from freehold.workflows.prove import parity
from freehold.workflows.prove.encoder_parity import encoder_meant, owned
from freehold.workflows.serve.encoder import plan_encoder


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "freehold.toml").write_text('[app]\nname = "shop"\n[serve]\nparallel = 3\n')
    monkeypatch.chdir(tmp_path)
    return open_project()


@pytest.fixture
def compared(project, monkeypatch):
    """What is compared: the plan, the encoder and the base of each parity."""
    seen = []

    def both(project, *, plan, encoder, base, samples, progress):
        seen.append((plan, encoder.id, base, len(samples)))
        return "report"

    monkeypatch.setattr(owned, "encoder_parity", both)
    monkeypatch.setattr(owned, "ensure_weights", lambda model, *_, **__: model)

    def run(model=None):
        assert (
            parity.project_parity(project, model=model, adapter=None, count=2, progress=Silent()) == "report"
        )
        return seen[-1]

    return run


def plan_of(project, encoder, name):
    return msgspec.structs.replace(plan_encoder(Path(encoder.path), name, project.settings), port=8421)


def test_without_a_name_the_chosen_encoder_is_compared_as_it_was_chosen(project, compared):
    encoder = owned_encoder(project)
    owned_encoder(project, name="other")
    chosen = plan_of(project, encoder, "test/tiny:shop")
    with open_store(project.store_url) as store:
        store.put(chosen)
    plan, id, base, prompts = compared()
    assert plan == msgspec.structs.replace(chosen, port=0) and (id, base, prompts) == (
        encoder.id,
        "test/tiny",
        2,
    )


def test_an_encoder_is_named_as_everywhere(project, compared):
    encoder = owned_encoder(project)
    for name in ("support", encoder.id, encoder.path, f"file:{encoder.path}"):
        plan, id, base, _ = compared(name)
        assert (plan.engine, plan.model, plan.parallel) == ("encoder", "support", 3)
        assert (id, base) == (encoder.id, "test/tiny")
    owned_encoder(project)
    with pytest.raises(UsageError, match="2 encoders are called support"):
        compared("support")


def test_other_models_are_none_and_what_is_gone_is_told(project):
    assert encoder_meant(project, "org/model", None) is None and encoder_meant(project, None, None) is None
    assert (
        encoder_meant(project, None, ServePlan(engine="llamacpp", model="m", context_tokens=1, parallel=1))
        is None
    )
    encoder = owned_encoder(project)
    chosen = plan_of(project, encoder, "test/tiny:shop")
    shutil.rmtree(encoder.path)
    with pytest.raises(WeightsError, match="holds no encoder"):
        encoder_meant(project, None, chosen)
