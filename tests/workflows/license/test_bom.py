import json
import sys

import pytest

from freehold.errors import MissingExtraError
from freehold.types.license import Lineage, LineageEdge
from freehold.types.use import UseProfile
from freehold.workflows.license.bom import bill_of_materials
from freehold.workflows.license.rule import rule_for_model

pytest.importorskip("cyclonedx", reason="needs the extra 'bom'")
pytest.importorskip("jsonschema", reason="needs the extra 'bom'")

USE = UseProfile(mode="hosted_service", commercial=True)
LINEAGE = Lineage(
    model="shop/support",
    edges=(
        LineageEdge(kind="base", model="Qwen/Qwen2.5-7B"),
        LineageEdge(kind="distilled_from", model="gpt-4o-2024-08-06"),
        LineageEdge(kind="trained_on", model="(ours) tickets"),
    ),
)


def bill(**more):
    ruling = rule_for_model(LINEAGE.model, USE, lineage=LINEAGE)
    return ruling, json.loads(bill_of_materials(ruling, LINEAGE, USE, **more))


def test_ancestors_data_and_services_are_told_apart():
    ruling, bom = bill()
    parts = {part["name"]: part for part in bom["components"]}
    assert parts["Qwen/Qwen2.5-7B"]["type"] == "machine-learning-model"
    assert parts["Qwen/Qwen2.5-7B"]["licenses"] == [
        {"license": {"id": "Apache-2.0", "url": "https://spdx.org/licenses/Apache-2.0.html"}}
    ]
    assert parts["tickets"]["type"] == "data"
    (service,) = bom["services"]
    assert service["name"] == "gpt-4o-2024-08-06"
    root = bom["metadata"]["component"]
    assert [one["name"] for one in root["pedigree"]["ancestors"]] == ["Qwen/Qwen2.5-7B"]
    assert {"name": "freehold:ruling_id", "value": ruling.id} in root["properties"]


def test_files_carry_their_hashes():
    _, bom = bill(hashes={"b.gguf": "b" * 64, "a.json": "a" * 64})
    files = [part for part in bom["components"] if part["type"] == "file"]
    assert [file["name"] for file in files] == ["a.json", "b.gguf"]
    assert files[1]["hashes"] == [{"alg": "SHA-256", "content": "b" * 64}]


def test_without_the_extra_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "cyclonedx.model", None)
    ruling = rule_for_model(LINEAGE.model, USE, lineage=LINEAGE)
    with pytest.raises(MissingExtraError, match="bill of materials"):
        bill_of_materials(ruling, LINEAGE, USE)
