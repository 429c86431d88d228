import time

import anyio
import pytest
from tests.gateway.loopback import plain
from tests.workflows.journey.rehearsal import Told
from tests.workflows.prove.held_out import make_dataset, sample

from freehold.types.evaluation import Task
from freehold.workflows.prove.preflight.check import (
    PreflightError,
    PreflightRequest,
    line,
    preflight,
    require,
)


def look(tmp_path, *, scorer="label", options=None, size=200, incumbent="yes", **fields):
    answers = [incumbent] if incumbent is None or isinstance(incumbent, str) else incumbent
    held_out = [sample(number, incumbent=answers[number % len(answers)]) for number in range(size)]
    request = PreflightRequest(
        dataset=make_dataset(tmp_path, held_out, train=held_out[:2]),
        task=Task(name="t", scorer=scorer, margin=0.03, options=options or {}),
        held_out=held_out,
        **fields,
    )
    began = time.monotonic()
    found = anyio.run(preflight, request)
    assert time.monotonic() - began < 30, "it is told in seconds, also on a busy machine"
    return found


def outcomes(found):
    return {one.check: one.outcome for one in found.findings}


def test_all_is_well(tmp_path):
    found = look(tmp_path, size=1_000, trains=True, teaches=True)
    assert outcomes(found) == {"scorer": "ok", "labels": "ok", "margin": "ok"}
    assert not found.failed and not found.doubted and found.items == 1_000


@pytest.mark.parametrize(
    ("scorer", "fixed"),
    [
        ("judge", lambda model: model),
        ("semantic", lambda model: model | {"threshold": 0.8}),
        ("turn", lambda model: {"text": "judge", "text_options": model}),
        ("turn", lambda model: {"text": "semantic", "text_options": model | {"threshold": 0.8}}),
    ],
)
def test_a_model_that_scores_is_found_but_paid_for_nothing(tmp_path, upstream, scorer, fixed):
    upstream.answer = lambda seen: plain({"data": [{"id": "m"}]})
    options = fixed({"base_url": upstream.base_url, "model": "m"})
    found = look(tmp_path, scorer=scorer, options=options, incumbent=["yes", "no"])
    assert upstream.seen == [], "only its list of models was asked for"
    assert outcomes(found)["scorer"] == outcomes(found)["endpoint"] == "ok"


def test_a_broken_scorer_is_the_one_thing_that_is_said(tmp_path):
    found = look(tmp_path, scorer="judge", trains=True, teaches=True)
    assert [one.check for one in found.findings] == ["scorer"]


def test_without_answers_of_the_incumbent_no_margin_is_asked_unless_they_will_be_frozen(tmp_path):
    assert "margin" not in outcomes(look(tmp_path, incumbent=None, size=60))
    assert outcomes(look(tmp_path / "b", incumbent=None, size=60, freezes=True))["margin"] == "fail"


def test_the_incumbents_own_errors_count(tmp_path):
    assert outcomes(look(tmp_path, size=60))["margin"] == "fail"
    assert outcomes(look(tmp_path / "b", size=60, incumbent=["no", "yes"]))["margin"] == "warn"


def test_what_failed_stops_it_and_anyway_only_tells(tmp_path):
    found, told = look(tmp_path, size=60), Told()
    with pytest.raises(PreflightError, match="not begun, nothing was spent: with n = 60") as caught:
        require(found, anyway=False, progress=told)
    assert caught.value.preflight is found and "--anyway" in caught.value.hint
    require(found, anyway=True, progress=told)
    assert told.said == [line(found.failed[0])]
