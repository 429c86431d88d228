"""A lineage as written becomes ancestors with licences; what is not known stays without."""

import pytest

from freehold.catalog.ancestry import resolve
from freehold.types.config import UseProfile
from freehold.types.ruling import Lineage, LineageEdge


def sources(*edges, **use):
    lineage = Lineage(model="mine", edges=tuple(LineageEdge(**edge) for edge in edges))
    return resolve(lineage, UseProfile(**use))


def ids(source):
    return [license.id for license in source.licenses]


def test_a_known_release_has_its_licence_whatever_the_tag_claims():
    (found,) = sources({"kind": "base", "model": "Qwen/Qwen2.5-0.5B-Instruct", "claimed_license": "mit"})
    assert ids(found) == ["Apache-2.0"] and found.release is not None


def test_ancestors_of_a_release_come_before_it_and_once():
    edge = {"kind": "base", "model": "deepseek-ai/DeepSeek-R1-Distill-Llama-8B"}
    found = sources(edge)
    assert len(found) > 1 and found[-1].edge.model == edge["model"]
    base = {"kind": "base", "model": found[0].edge.model}
    assert len(sources(base, edge)) == len(found)


def test_an_unknown_model_stays_without_a_licence():
    (found,) = sources({"kind": "base", "model": "nobody/knows-this"})
    assert ids(found) == [] and not found.own


@pytest.mark.parametrize("model", ["ours", "our own logs", "in-house data"])
def test_what_is_ours_needs_no_licence(model):
    found = sources(
        {"kind": "base", "model": "Qwen/Qwen2.5-0.5B-Instruct"}, {"kind": "trained_on", "model": model}
    )
    assert found[-1].own and ids(found[-1]) == []


def test_a_declared_licence_is_taken_where_the_model_is_unknown():
    (found,) = sources({"kind": "base", "model": "org/private", "license_id": "mit"})
    assert ids(found) == ["MIT"]


def test_an_adapter_of_a_third_party_without_a_tag_is_unknown():
    base = {"kind": "base", "model": "Qwen/Qwen2.5-0.5B-Instruct"}
    adapter = {"kind": "adapter", "model": "someone/adapter"}
    assert ids(sources(base, adapter)[-1]) == []
    tagged = sources(base, {**adapter, "claimed_license": "mit"})[-1]
    assert ids(tagged) == ["MIT"] and "published under the tag" in (tagged.note or "")
