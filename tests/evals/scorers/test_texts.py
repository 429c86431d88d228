"""Scorers of text: exact, contains, label, regex, semantic."""

import importlib
import re
import socket
import time
from pathlib import Path

import msgspec
import pytest
from tests.evals.scorers.conftest import score, value

from freehold.errors import ConfigError
from freehold.evals.judging import JudgeOptions
from freehold.evals.scorer import Options
from freehold.evals.scorers import SCORERS, make


def test_exact():
    assert value("exact", " a b ", "a b") == 1.0
    assert value("exact", " a b ", "a b", strip=False) == 0.0
    assert value("exact", "A", "a") == 0.0
    assert value("exact", "A", "a", case_sensitive=False) == 1.0
    assert value("exact", "a \n b", "a b", collapse_whitespace=True) == 1.0
    assert value("exact", "e\u0301", "\u00e9") == 1.0
    assert not score("exact", "", "a").format_ok


def test_contains():
    assert value("contains", "Your  Refund\nis on the way", "refund is") == 1.0
    assert value("contains", "a refund", None, all=["refund"], none=["sorry"]) == 1.0
    assert (
        score("contains", "sorry, a refund", None, all=["refund"], none=["sorry"]).reason
        == "forbidden: sorry"
    )
    assert value("contains", "b", None, any=["a", "b"]) == 1.0
    assert value("contains", "catalog", "cat") == 1.0
    assert value("contains", "catalog", "cat", words=True) == 0.0
    assert value("contains", "Cat", "cat", case_sensitive=True) == 0.0
    with pytest.raises(ConfigError, match="empty text"):
        make("contains", {"all": [" "]})


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("card_arrival", 1.0),
        (' "Card Arrival".\n', 1.0),
        ("ＣＡＲＤ arrival", 1.0),
        ("card arrivals", 0.0),
    ],
)
def test_label_ignores_what_is_not_meaning(answer, right):
    assert value("label", answer, "card_arrival") == right
    assert value("label", answer, "card_arrival", labels=["card_arrival", "top_up"]) == right


def test_label_apart_from_the_known_ones_is_a_format_failure():
    given = score("label", "banana", "yes", labels=["yes", "no"])
    assert (given.value, given.format_ok, given.reason) == (0.0, False, "no_label: banana")
    given = score("label", "no", "yes", labels=["yes", "no"])
    assert (given.value, given.format_ok, given.reason) == (0.0, True, "wrong_label: no")
    assert not score("label", "  ", "yes").format_ok


def test_label_aliases_and_anywhere():
    options = {"labels": ["positive", "negative"], "aliases": {"pos": "positive"}, "anywhere": True}
    assert value("label", "POS", "positive", **options) == 1.0
    assert value("label", "I'd say: Positive, clearly.", "positive", **options) == 1.0
    assert value("label", "positive or negative", "positive", **options) == 0.0
    assert value("label", "unpositively", "positive", **options) == 0.0
    assert value("label", "positive", "pos", **options) == 1.0


def test_label_whose_reference_is_no_label_is_unscored():
    given = score("label", "yes", "maybe", labels=["yes", "no"])
    assert given.value is None
    assert given.reason.startswith("reference_not_a_label")


def test_labels_that_normalise_to_one_are_refused():
    with pytest.raises(ConfigError, match="same label"):
        make("label", {"labels": ["card-lost", "Card Lost"]})
    with pytest.raises(ConfigError, match="not among the labels"):
        make("label", {"labels": ["a"], "aliases": {"x": "b"}})


@pytest.mark.process
def test_regex():
    assert value("regex", "order LL-204816 ok", None, pattern=r"LL-\d{6}") == 1.0
    assert value("regex", "order LL-204816 ok", None, pattern=r"LL-\d{6}", match="full") == 0.0
    assert value("regex", "LL-2 then LL-3", "LL-3", pattern=r"(LL-\d)", group=1) == 1.0
    assert value("regex", "abc", "^a.c$") == 1.0
    assert score("regex", "abc", "(").value is None
    given = score("regex", "none", "LL-3", pattern=r"(?P<order>LL-\d)", group="order")
    assert (given.value, given.format_ok) == (0.0, False)
    assert value("regex", "ll-3", "LL-3", pattern=r"ll-\d", group=0, ignore_case=True) == 1.0
    for options, message in [
        ({"pattern": "("}, "not a valid pattern"),
        ({"pattern": "a", "group": 1}, "no group 1"),
        ({"group": 1}, "group needs a pattern"),
    ]:
        with pytest.raises(ConfigError, match=message):
            make("regex", options)


@pytest.mark.process
@pytest.mark.parametrize("options", [{"pattern": "^(a+)+$"}, {}])
def test_a_pattern_without_end_is_not_scored_and_the_next_one_is(options):
    started = time.monotonic()
    given = score("regex", "a" * 40 + "!", "^(a+)+$", **options)
    assert given.value is None and given.reason.startswith("not_decided: ")
    assert time.monotonic() - started < 20
    assert value("regex", "aaa", "^(a+)+$", **options) == 1.0


def test_semantic_without_its_endpoint_is_unscored():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{one.getsockname()[1]}"
    given = score("semantic", "a", "b", base_url=url, model="m")
    assert given.value is None
    assert given.reason.startswith("no_embedding")
    with pytest.raises(ConfigError, match="threshold is 2"):
        make("semantic", {"base_url": url, "model": "m", "threshold": 2})


PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "scorers.md"


def sections():
    parts = re.split(r"^## (\w+)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def options_of(name):
    if name == "judge":
        return JudgeOptions
    module = importlib.import_module(SCORERS[name].partition(":")[0])
    return next(
        one
        for one in vars(module).values()
        if isinstance(one, type) and issubclass(one, Options) and one.__module__ == module.__name__
    )


def test_every_scorer_has_a_section():
    assert list(sections()) == list(SCORERS)


@pytest.mark.parametrize("name", SCORERS)
def test_every_option_is_in_the_table(name):
    rows = re.findall(r"^\| (`[^|]*`) \|", sections()[name], flags=re.MULTILINE)
    documented = {option for row in rows for option in re.findall(r"`(\w+)`", row)}
    assert documented == {field.encode_name for field in msgspec.structs.fields(options_of(name))}
