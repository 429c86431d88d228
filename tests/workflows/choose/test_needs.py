"""What the traffic needs: tokens, languages, and the kind of its task."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from tests.workflows.choose.test_ranking import LOGS

from freehold.types.config_file import parse
from freehold.types.trace import Trace, Usage
from freehold.workflows.choose.needs import Answer, kind_of, known_task, language_of, needs_of

START = datetime(2026, 11, 2, tzinfo=UTC)
GERMAN = "Wo ist meine Bestellung und wann wird sie geliefert? Ich habe das Paket nicht bekommen."
ENGLISH = "Where is my order and when is it going to be here? I have not got the parcel from you."


def trace(number, text=ENGLISH, *, hours=None, request=None, **changes):
    return Trace(
        **{
            "id": f"t{number}", "at": START + timedelta(hours=number if hours is None else hours),
            "source": "import:x", "model": "gpt-4o",
            "request": {"messages": [{"role": "user", "content": text}], **(request or {})},
            "response": {"choices": [{"message": {"content": "ok"}}]},
            "usage": Usage(prompt_tokens=10 * (number + 1), completion_tokens=number + 1),
            **changes,
        }
    )  # fmt: skip


def test_token_distributions_and_peaks():
    needs = needs_of([trace(number, hours=0.24 * number) for number in range(200)])
    assert needs.prompt_tokens == pytest.approx(1005, abs=6)
    assert needs.prompt_tokens_p95 == 1900
    assert needs.completion_tokens_p95 == 190
    assert needs.context_tokens == 2304  # the longest, up to a multiple of 256
    assert needs.peak_factor == pytest.approx(1.2, abs=0.1)
    busy = needs_of([*(trace(n) for n in range(30)), *(trace(n, hours=5.5) for n in range(30))])
    assert busy.peak_factor > 10
    assert needs_of([trace(1), trace(2)]).peak_factor is None  # less than a day says nothing


def test_tools_schemas_and_images():
    plain = needs_of([trace(1)])
    assert (plain.tools, plain.json_schema, plain.vision) == (False, False, False)
    image = {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}
    rich = needs_of(
        [
            trace(1, request={"tools": [{"type": "function"}]}),
            trace(2, request={"response_format": {"type": "json_schema"}}),
            trace(3, request=image),
        ]
    )
    assert (rich.tools, rich.json_schema, rich.vision) == (True, True, True)


def test_duplicates_cacheable_prefixes_and_languages_are_counted():
    system = "You answer questions about orders of a furniture shop. Be short and friendly. " * 5
    texts = [system + f"{letter}: where is it" for letter in "abcd"]
    needs = needs_of([trace(n, text) for n, text in enumerate([*texts, texts[0]])])
    assert needs.duplicate_share == pytest.approx(0.2)
    assert needs.cacheable_prefix_share > 0.7
    apart = needs_of([trace(0, "apples are red"), trace(1, "where is it"), trace(2, "now what")])
    assert apart.cacheable_prefix_share == 0.0
    needs = needs_of([*(trace(n) for n in range(3)), trace(4, GERMAN)])
    assert needs.languages == ("en", "de")
    assert dict(needs.language_shares) == {"en": 0.75, "de": 0.25}
    assert any("languages by script" in line for line in needs.how)
    said = needs_of([trace(1, "ok", metadata={"language": "NL-be"})])
    assert said.languages == ("nl",)
    assert needs_of([trace(1, "ok")]).languages == ()  # too short to tell


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (ENGLISH, "en"),
        (GERMAN, "de"),
        ("¿Dónde está mi pedido? No me ha llegado y no sé cómo se hace para que lo envíen más rápido.", "es"),
        ("注文した商品はどこですか。まだ届いていませんので教えてください。", "ja"),
        ("我的订单在哪里？我还没有收到包裹，请告诉我什么时候可以到达，谢谢你们的帮助。", "zh"),
        ("Где мой заказ? Я ещё не получил посылку.", "ru"),
        ("ok", None),
        ("XKJ-2231 / 4451-B, 88817263 PPQ ZZRT KLMN OPQR STUV", None),
    ],
)
def test_one_text(text, code):
    assert language_of(text) == code


PLAIN = parse('[app]\nname = "a"\n', path="freehold.toml")


def traces(kind, count=60):
    return [
        Trace(id=str(number), at="2026-11-01T00:00:00Z", source="x", model="gpt-4o", **said)
        for number in range(count)
        if (said := {name: LOGS[kind](number)[name] for name in ("request", "response")})
    ]


@pytest.mark.parametrize(
    ("log", "kind"),
    [("labels", "labels"), ("replies", "text"), ("extraction", "extraction"), ("calls", "tools")],
)
def test_the_answers_of_the_traffic_tell_the_task(log, kind):
    found = known_task(PLAIN, traces(log), None)
    assert found.kind == kind and "by 60 answers of the traffic" in found.how


def test_what_is_stated_comes_before_the_file_and_the_file_before_the_traffic():
    closed = [Answer(json.dumps({"team": "ab"[n % 2], "urgent": n % 3 == 0})) for n in range(60)]
    assert kind_of(closed) == "labels"
    assert (
        kind_of([Answer(json.dumps({"name": f"person {n} of {n * 7}"})) for n in range(60)]) == "extraction"
    )
    said = parse('[app]\nname = "a"\n[task]\nscorer = "turn"\n', path="freehold.toml")
    assert known_task(said, traces("labels"), None).kind == "agent"
    assert known_task(said, traces("labels"), "code").kind == "code"
