"""A profile that is misspelt is refused with the choices: it never changes a ruling silently."""

import random

import pytest

from freehold.catalog.licenses import licenses
from freehold.errors import ConfigError
from freehold.licensing.words import domain_tags
from freehold.types.config_file import parse
from freehold.types.license import BusinessClause, DomainClause
from freehold.types.use import BUSINESSES, CLOSED, DOMAINS, OPEN, PLACES, UseProfile, check_use
from freehold.workflows.license.use import with_settings


def typos(count):
    """Words of the vocabulary with two letters swapped, one left out, or one doubled and changed."""
    chance = random.Random(100)
    fields = {**CLOSED, **OPEN, "seat": ("Germany", "France", "Switzerland", "Japan", "Denmark")}
    known = {word.lower() for words in fields.values() for word in words}
    found = []
    while len(found) < count:
        field = chance.choice(sorted(fields))
        word = chance.choice(fields[field])
        if len(word) < 5:
            continue
        at = chance.randrange(1, len(word) - 2)
        made = chance.choice(
            (
                word[:at] + word[at + 1] + word[at] + word[at + 2 :],
                word[:at] + word[at + 1 :],
                f"{word[:at]}x{word[at:]}",
            )
        )
        parts = made.lower().split("_")
        whole = not any(part in OPEN.get(field, ()) for part in parts)
        if made.lower() not in known and whole and f"{field}={made}" not in found:
            found.append(f"{field}={made}")
    return found


def test_of_100_typos_none_is_accepted():
    accepted = []
    for setting in typos(100):
        try:
            with_settings(UseProfile(), (setting,))
        except ConfigError:
            continue
        accepted.append(setting)
    assert accepted == []


def test_the_nearest_word_and_the_choices_are_shown():
    with pytest.raises(ConfigError, match=r"is none of: .*military") as caught:
        with_settings(UseProfile(), ("domain=militry",))
    assert caught.value.hint == "did you mean military?"
    with pytest.raises(ConfigError, match="is none of: internal, personal") as caught:
        with_settings(UseProfile(), ("mode=hosted",))
    assert caught.value.hint == "did you mean hosted_service?"


def test_the_project_file_is_checked_as_well():
    with pytest.raises(ConfigError, match=r"use: domain: 'militry'"):
        parse('[app]\nname = "a"\n[use]\ndomain = "militry"\n')


@pytest.mark.parametrize(
    "table",
    [
        {"domain": "Medical advice", "human_review": True},
        {"domain": "automated_decision_credit, banking"},
        {
            "seat": "DE",
            "parent_seat": "us",
            "regions": ["EU", "KR", "DE-BY"],
            "user_location": "United States",
        },
        {"regions": ["worldwide"]},
        {
            "purpose": "spam classifier labels",
            "modification": "guardrails removed",
            "litigation": "patent suit",
        },
        {"business": "cloud-provider", "product_type": "inference api", "accounts": ["OpenAI"]},
        {"monthly_active_users": 0, "commercial": None, "obtained": "2024-05-30"},
    ],
)
def test_what_people_write_is_taken(table):
    check_use(table, "use")


def test_every_word_a_licence_reads_can_be_written():
    gates = {
        word
        for one in licenses().values()
        for c in one.clauses
        if isinstance(c, BusinessClause)
        for word in (*c.gated, *c.free)
    }
    assert {word.replace(" ", "_") for word in gates} - {"*"} <= set(BUSINESSES)
    barred = {
        tag
        for one in licenses().values()
        for c in one.clauses
        if isinstance(c, DomainClause)
        for tag in c.barred
    }
    reached = {tag for word in DOMAINS for tag in domain_tags(word)}
    assert barred <= reached
    assert len(PLACES) == 249 + 3
