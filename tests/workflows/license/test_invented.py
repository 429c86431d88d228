"""Names that nobody published: made from the catalog's families and suffixes people use, none of them allowed."""

import random

import pytest

from freehold.catalog.licenses import families, releases, releases_of
from freehold.types.license import Lineage, LineageEdge
from freehold.types.use import UseProfile
from freehold.workflows.license.rule import rule_for_model

WORDS = ("Banana", "Commercial", "Pro", "Ultra", "Open", "Next", "v9", "Turbo", "Max", "Free", "Enterprise")
SIZES = ("3B", "9B", "13B", "77B", "500M", "1T-A9B")
ENDS = ("", "-Instruct", "-it", "-Chat", "-Base", "-GGUF", "-FP8", "-2611")
ALLOWED = ("allowed", "allowed_with_obligations")


def invented(count):
    """Ids from stems of releases and families, a word or a size, and an ending; no release of the catalog."""
    chance = random.Random(1_000)
    stems = {pattern.rstrip("*-") for family in families() for pattern in family.patterns}
    stems |= {model for release in releases() for model in release.models}
    stems |= {model.rsplit("-", 1)[0] for model in stems if "-" in model.partition("/")[2]}
    ordered = sorted(stem for stem in stems if "/" in stem)
    found = []
    while len(found) < count:
        stem = chance.choice(ordered)
        middle = chance.choice((chance.choice(WORDS), chance.choice(SIZES)))
        name = f"{stem}{chance.choice('-.')}{middle}{chance.choice(ENDS)}"
        if not releases_of(name) and name not in found:
            found.append(name)
    return found


@pytest.mark.parametrize("shape", ["hub id", "name alone", "with spaces"])
def test_of_1000_invented_models_none_is_allowed(shape):
    allowed = []
    for number, model in enumerate(invented(1_000)):
        asked = model
        if shape != "hub id":
            asked = model.partition("/")[2]
        if shape == "with spaces":
            asked = asked.replace("-", " ")
        use = UseProfile(mode=("internal", "hosted_service")[number % 2], commercial=bool(number % 3))
        if rule_for_model(asked, use).outcome in ALLOWED:
            allowed.append(asked)
    assert allowed == []


def test_an_invented_teacher_or_base_of_an_adapter_is_not_allowed_either():
    use = UseProfile(mode="train_other_model", then="internal", commercial=True)
    base = LineageEdge(kind="base", model="Qwen/Qwen2.5-0.5B-Instruct")
    for model in invented(300):
        teacher = Lineage(model="ours", edges=(base, LineageEdge(kind="distilled_from", model=model)))
        assert rule_for_model("ours", use, lineage=teacher).outcome not in ALLOWED, model
        adapter = Lineage(
            model="ours",
            edges=(
                LineageEdge(kind="base", model=model),
                LineageEdge(kind="adapter", model="(ours) adapter"),
            ),
        )
        assert rule_for_model("ours", use, lineage=adapter).outcome not in ALLOWED, model
