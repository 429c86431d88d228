"""Rulings, the profile they are for, what must be done and shown."""

import hashlib
import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from tests.workflows.prove.held_out import make_dataset

from freehold.errors import ConfigError, InputError, StorageError, UsageError
from freehold.store import audit
from freehold.types.config_file import parse
from freehold.types.dataset import Message, Sample
from freehold.types.endpoint import ServePlan
from freehold.types.license import Lineage, LineageEdge, duty_id
from freehold.types.use import UseProfile
from freehold.workflows.license.lineage import file_hashes, read_lineage
from freehold.workflows.license.rule import (
    attributions,
    comply,
    comply_texts,
    done_duties,
    lineage_of,
    lineage_of_model,
    mark_duty,
    named_after,
    rule_asked,
    rule_for_model,
)
from freehold.workflows.license.use import with_settings, write_use


@pytest.mark.parametrize(
    ("use", "outcome"),
    [
        (UseProfile(purpose="classifier", commercial=True), "allowed"),
        (UseProfile(purpose="classifier", commercial=True, distributes_weights=True), "not_allowed"),
        (UseProfile(purpose="general chat assistant", commercial=True), "not_allowed"),
        (UseProfile(commercial=True), "unclear"),
    ],
)
def test_incumbents_answers_bring_the_service_contract_in(use, outcome):
    lineage = Lineage(
        model="support-intents",
        edges=(
            LineageEdge(kind="base", model="HuggingFaceTB/SmolLM2-135M-Instruct"),
            LineageEdge(kind="distilled_from", model="gpt-4o-2024-08-06"),
            LineageEdge(kind="adapter", model="support-intents"),
        ),
    )
    ruling = rule_for_model("support-intents", use, lineage=lineage)
    assert ruling.outcome == outcome
    assert any(reason.section == "3.3(e)" for reason in ruling.reasons)


def test_the_incumbents_answers_are_in_the_lineage_where_they_are_learned(tmp_path):
    samples = [Sample(id="s0", messages=(Message(role="user", content="q"),), incumbent="yes")]
    dataset = make_dataset(tmp_path, samples, incumbent_model="gpt-4o-2024-08-06")
    lineage = lineage_of("Qwen/Qwen3-8B", dataset)
    assert [edge.kind for edge in lineage.edges] == ["base", "distilled_from"]
    assert lineage.edges[1].note == "1 training targets are its answers"
    taught = msgspec.structs.replace(dataset, targets_from={"gold": 1})
    assert [edge.kind for edge in lineage_of("Qwen/Qwen3-8B", taught).edges] == ["base"]
    seen = lineage_of("Qwen/Qwen3-8B", dataset, shown=True)
    assert [edge.kind for edge in seen.edges] == ["base", "prompted_with"]
    assert seen.edges[1].note == "1 samples that may be shown as examples carry its answers"
    assert len(lineage_of("Qwen/Qwen3-8B", taught, shown=True).edges) == 1, (
        "answers that people gave are theirs"
    )


@pytest.mark.parametrize(
    ("model", "purpose", "told"),
    [
        (
            "Qwen/Qwen3-8B",
            None,
            "unclear (OpenAI Services Agreement, 3.3(e)) for Qwen3-8B. What would decide it: ",
        ),
        ("Qwen/Qwen3-8B", "classifier", "allowed for Qwen3-8B"),
        ("gpt-4o", None, "unclear (OpenAI Services Agreement, 3.3(e)) for SmolLM2-135M-Instruct"),
    ],
)
def test_a_project_is_told_whether_its_rented_models_answers_may_be_learned(model, purpose, told):
    config = parse('[app]\nname = "a"\n[incumbent]\nmodel = "gpt-4o"\n')
    ruling = rule_asked(lineage_of_model(model), config, UseProfile(commercial=True, purpose=purpose))
    assert ruling.learning.startswith(f"answers of gpt-4o would be learned, which is {told}")


def test_a_model_made_of_itself_is_refused():
    edges = (LineageEdge(kind="base", model="a/b"), LineageEdge(kind="merge", model="c/d"))
    with pytest.raises(UsageError, match="cyclic lineage: c/d is made from c/d"):
        rule_for_model("c/d", UseProfile(), lineage=Lineage(model="c/d", edges=edges))


def test_a_declared_licence_is_an_id_a_name_or_a_text(tmp_path):
    assert lineage_of_model("a/b").edges[0].license_id is None
    for declared in ("Apache-2.0", "apache-2.0"):
        assert lineage_of_model("a/b", declared=declared).edges[0].license_id == "Apache-2.0"
    with pytest.raises(UsageError, match="no licence 'apache-20'") as raised:
        lineage_of_model("a/b", declared="apache-20")
    assert "did you mean" in raised.value.hint
    (tmp_path / "LICENSE").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="is not UTF-8 text"):
        lineage_of_model("a/b", declared=str(tmp_path / "LICENSE"))


def test_duties_are_written_as_files(tmp_path):
    use = UseProfile(commercial=True, mode="hosted_service")
    ruling = rule_for_model("meta-llama/Llama-3.2-1B-Instruct", use)
    written = {path.name: path.read_text() for path in comply(ruling, tmp_path / "duties")}
    assert "Built with Llama" in written["ATTRIBUTION.txt"]
    assert {"NOTICE", "CHECKLIST.md", "ruling.json"} <= set(written)
    assert msgspec.json.decode(written["ruling.json"], type=type(ruling)) == ruling
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        comply(ruling, tmp_path / "file")


def test_a_merge_is_checked_under_the_name_it_has():
    edges = (
        LineageEdge(kind="merge", model="meta-llama/Llama-3.1-8B"),
        LineageEdge(kind="merge", model="meta-llama/Llama-3.1-8B-Instruct"),
    )
    use = UseProfile(mode="distribute_weights", commercial=True)
    lineage = Lineage(model="acme-merge", edges=edges)
    named = named_after(lineage, use)
    assert named.derivative_name == "acme-merge"
    assert rule_for_model("acme-merge", named, lineage=lineage).violations == ("name_prefix",)
    fine = Lineage(model="Llama-acme-merge", edges=edges)
    assert rule_for_model("x", named_after(fine, use), lineage=fine).violations == ()
    base = Lineage(model="Qwen/Qwen2.5-7B", edges=(LineageEdge(kind="base", model="Qwen/Qwen2.5-7B"),))
    assert named_after(base, use) == use


def test_settings_are_typed_and_checked():
    use = with_settings(
        UseProfile(), ("commercial=true", "monthly_active_users=120_000", "regions=EU, US", "seat=DE")
    )
    assert (use.commercial, use.monthly_active_users, use.regions, use.seat) == (
        True,
        120_000,
        ("EU", "US"),
        "DE",
    )
    with pytest.raises(ConfigError, match="unknown key comercial") as caught:
        with_settings(use, ("comercial=true",))
    assert caught.value.hint == "did you mean commercial?"
    with pytest.raises(ConfigError):
        with_settings(use, ("mode=somehow",))


def test_the_table_is_put_in_place_and_the_rest_stays(tmp_path):
    path = tmp_path / "freehold.toml"
    path.write_text('[app]\nname = "a"\n\n[use]\ncommercial = false\n\n[task]\nmargin = 0.03\n')
    write_use(path, UseProfile(commercial=True, monthly_active_users=5_000, regions=("EU",)))
    config = parse(path.read_text())
    assert (config.use.commercial, config.use.monthly_active_users, config.task.margin) == (True, 5_000, 0.03)
    assert path.read_text().count("[use]") == 1
    fresh = tmp_path / "new" / "freehold.toml"
    fresh.parent.mkdir()
    write_use(fresh, UseProfile(seat="DE"))
    assert parse(fresh.read_text()).use.seat == "DE"


def plan(model):
    return ServePlan(model=model, engine="echo", context_tokens=512, parallel=1)


def test_a_prescribed_phrase_is_shown_and_an_unknown_model_has_none():
    use = UseProfile(mode="hosted_service", commercial=True)
    found = attributions([plan("meta-llama/Llama-3.2-1B-Instruct"), plan("someone/unheard-of")], use)
    assert list(found) == ["meta-llama/Llama-3.2-1B-Instruct"]
    assert "Built with Llama" in found["meta-llama/Llama-3.2-1B-Instruct"]


AT = datetime(2026, 11, 29, 12, tzinfo=UTC)
MODEL = "meta-llama/Llama-3.1-8B-Instruct"


@pytest.fixture
def ruling():
    return rule_for_model(MODEL, UseProfile(mode="distribute_weights", commercial=True))


def test_it_is_kept_taken_back_and_noted_each_time(store, ruling):
    id = duty_id(MODEL, ruling.obligations[0])
    mark_duty(store, ruling, id, done=True, who="ada", at=AT)
    assert [(one.who, one.at) for one in done_duties(store, MODEL, ruling.obligations).values()] == [
        ("ada", AT)
    ]
    mark_duty(store, ruling, id, done=False, who="bob", at=AT)
    assert done_duties(store, MODEL, ruling.obligations) == {}
    assert [(one.action, one.who, one.detail["duty"]) for one in audit.entries(store.database)] == [
        ("duty.done", "ada", ruling.obligations[0].key),
        ("duty.open", "bob", ruling.obligations[0].key),
    ]


def test_of_two_consoles_that_say_the_same_the_first_stands(store, ruling):
    id = duty_id(MODEL, ruling.obligations[0])
    mark_duty(store, ruling, id, done=True, who="ada", at=AT)
    said = mark_duty(store, ruling, id, done=True, who="bob", at=AT + timedelta(days=9))
    assert (said.who, said.at) == ("ada", AT)
    assert done_duties(store, MODEL, ruling.obligations) == {id: said}
    assert len(list(audit.entries(store.database))) == 1


def test_a_duty_that_says_something_else_is_open_again(store, ruling):
    first = ruling.obligations[0]
    mark_duty(store, ruling, duty_id(MODEL, first), done=True, who="ada", at=AT)
    changed = msgspec.structs.replace(first, text=f"{first.text} In bold type.")
    assert done_duties(store, MODEL, [changed]) == {}
    assert done_duties(store, "another/model", ruling.obligations) == {}
    with pytest.raises(UsageError, match="no such duty"):
        mark_duty(store, ruling, duty_id(MODEL, changed), done=True, who="ada", at=AT)


def test_the_checklist_is_ticked_only_where_all_that_a_line_stands_for_is_done(store, ruling):
    marks = {}
    for number, one in enumerate(ruling.obligations):
        mark = mark_duty(store, ruling, duty_id(MODEL, one), done=True, who="ada", at=AT)
        marks[mark.id] = mark
        text = comply_texts(ruling, marks=marks)["CHECKLIST.md"]
        assert text.count("(done, says ada, 2026-11-29)") == text.count("- [x]") <= number + 1
    assert "- [ ]" not in text
    assert "- [x]" not in comply_texts(ruling)["CHECKLIST.md"]


USE = UseProfile()


def edges(path):
    return [(edge.kind, edge.model) for edge in read_lineage(path, USE).lineage.edges]


def test_model_card(tmp_path):
    card = tmp_path / "README.md"
    card.write_text(
        "---\nbase_model: google/gemma-2-9b\nbase_model_relation: adapter\nlicense: mit\n---\n# x\n"
    )
    read = read_lineage(tmp_path, USE).lineage
    assert [edge.kind for edge in read.edges] == ["base", "adapter"]
    assert read.edges[1].claimed_license == "mit"
    card.write_text("---\nbase_model: [a/b, c/d]\n---\n")
    assert [kind for kind, _ in edges(card)] == ["merge", "merge", "fine_tune"]
    card.write_text("# no front matter\n")
    with pytest.raises(InputError, match=r"README\.md"):
        read_lineage(card, USE)


def test_adapter_config(tmp_path):
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "Qwen/Qwen2.5-3B"}')
    assert edges(tmp_path)[0] == ("base", "Qwen/Qwen2.5-3B")


def test_own_manifest_brings_the_incumbent_in(tmp_path):
    adapter = tmp_path / "adapters" / "support"
    dataset = tmp_path / "datasets" / "d1"
    adapter.mkdir(parents=True)
    dataset.mkdir(parents=True)
    manifest = {"name": "support", "base_model": "b/c", "dataset_id": "d1", "files": {"a.gguf": "00ff"}}
    (adapter / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="dataset d1"):
        read_lineage(adapter, USE)
    (dataset / "manifest.json").write_text(
        json.dumps({"id": "d1", "incumbent_model": "gpt-4o-2024-08-06", "targets_from": {"incumbent": 7}})
    )
    assert edges(adapter) == [
        ("base", "b/c"), ("distilled_from", "gpt-4o-2024-08-06"), ("adapter", "(ours) support")
    ]  # fmt: skip
    assert file_hashes(adapter) == {"a.gguf": "00ff"}


@pytest.mark.parametrize(
    "text", ["", "[]]", '"x"', "{}", '[{"role": "base"}]', '{"model": "m", "edges": [{}]}']
)
def test_what_is_no_lineage_is_an_error_with_the_path(tmp_path, text):
    path = tmp_path / "odd.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"odd\.json"):
        read_lineage(path, USE)


def test_gguf_metadata(tmp_path):
    gguf = pytest.importorskip("gguf")
    path = tmp_path / "m.gguf"
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_name("Acme 8B")
    writer.add_base_model_count(1)
    writer.add_base_model_repo_url(0, "https://example.org/meta-llama/Llama-3.1-8B")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    assert edges(path) == [("base", "meta-llama/Llama-3.1-8B"), ("quantize", "(ours) Acme 8B")]
    path.write_bytes(b"not a gguf file at all")
    with pytest.raises(InputError, match=r"m\.gguf"):
        read_lineage(path, USE)


def test_weights_without_a_manifest_are_hashed(tmp_path):
    (tmp_path / "README.md").write_text("---\nbase_model: Qwen/Qwen2.5-7B\n---\n")
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "notes.txt").write_text("no weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    assert file_hashes(tmp_path) == {"model.safetensors": digest}


@pytest.mark.parametrize(
    ("copy", "base"),
    [
        ("unsloth/Qwen3.5-4B-GGUF", "Qwen/Qwen3.5-4B"),
        ("bartowski/gemma-2-9b-it-GGUF", "google/gemma-2-9b-it"),
        ("mlx-community/Llama-3.2-3B-Instruct-4bit", "meta-llama/Llama-3.2-3B-Instruct"),
        ("hf:unsloth/Qwen3-8B-unsloth-bnb-4bit", "Qwen/Qwen3-8B"),
        ("llama3.1:8b", "meta-llama/Llama-3.1-8B-Instruct"),
        ("ollama:gemma3:4b-it-q4_K_M", "google/gemma-3-4b-it"),
    ],
)
def test_a_copy_in_another_form_stands_under_the_licence_of_its_base(copy, base):
    ruling, own = (
        rule_for_model(name, UseProfile(distributes_weights=True, commercial=True)) for name in (copy, base)
    )
    assert (ruling.outcome, ruling.licenses) == (own.outcome, own.licenses)
    assert any(f"by its name a copy of {base}" in one for one in ruling.assumptions)


def test_what_a_copy_is_made_of_can_be_said():
    use = UseProfile(distributes_weights=True, commercial=True)
    lineage = lineage_of_model("stranger/mine-Q4", copy_of="google/gemma-2-9b-it")
    ruling, own = (
        rule_for_model("stranger/mine-Q4", use, lineage=lineage),
        rule_for_model("google/gemma-2-9b-it", use),
    )
    assert (ruling.outcome, ruling.licenses) == (own.outcome, own.licenses)
    assert rule_for_model("x", use, lineage=lineage_of_model("x", copy_of="not/known")).outcome == "unclear"


@pytest.mark.parametrize(
    "name", ["stranger/Qwen3-8B-GGUF", "bartowski/Qwen3-8B-abliterated-GGUF", "ft:gpt-4o:x"]
)
def test_a_name_that_only_resembles_a_copy_stays_unclear(name):
    assert rule_for_model(name, UseProfile()).outcome == "unclear"
