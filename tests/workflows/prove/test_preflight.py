import contextlib
import time

import anyio
import pytest
from aiohttp import web
from tests.engines.conftest import serving
from tests.gateway.loopback import plain
from tests.workflows.journey.rehearsal import Told
from tests.workflows.prove.held_out import make_dataset, sample

from benchmarks import tiny_models
from freehold.hardware.gguf_header import Header
from freehold.types.config_file import parse
from freehold.types.dataset import RecordedAsking, Sample
from freehold.types.evaluation import Task
from freehold.workflows.journey import before
from freehold.workflows.prove.preflight import (
    AskedEndpoint,
    PreflightError,
    PreflightRequest,
    address_findings,
    line,
    preflight,
    require,
    scorer_findings,
)
from freehold.workflows.serve import tools


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


def test_a_named_incumbent_without_recorded_answers_is_said(tmp_path):
    config = parse('[app]\nname = "a"\n[incumbent]\nmodel = "gpt-4o"\n')
    (margin,) = (
        one for one in look(tmp_path, incumbent=None, config=config).findings if one.check == "margin"
    )
    assert (
        margin.outcome == "warn" and "gpt-4o has no recorded answer to the 200 held-out items" in margin.text
    )


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


def test_the_margin_is_asked_by_the_incumbents_answers(tmp_path):
    assert "margin" not in outcomes(look(tmp_path, incumbent=None, size=60))
    assert outcomes(look(tmp_path / "b", incumbent=None, size=60, freezes=True))["margin"] == "fail"
    assert outcomes(look(tmp_path, size=60))["margin"] == "fail"
    assert outcomes(look(tmp_path / "b", size=60, incumbent=["no", "yes"]))["margin"] == "warn"


def test_what_failed_stops_it_and_anyway_only_tells(tmp_path):
    found, told = look(tmp_path, size=60), Told()
    with pytest.raises(PreflightError, match="not begun, nothing was spent: with n = 60") as caught:
        require(found, anyway=False, progress=told)
    assert caught.value.preflight is found and "--anyway" in caught.value.hint
    require(found, anyway=True, progress=told)
    assert told.said == [line(found.failed[0])]


def find(answer=None, **fields):
    """What is found of an endpoint that answers so; None: nothing listens."""

    async def handle(request):
        return answer(request)

    async def work():
        nobody = contextlib.nullcontext("http://127.0.0.1:9")
        async with nobody if answer is None else serving(handle) as url:
            address = url if answer is None else f"{url}/v1"
            return await address_findings(AskedEndpoint("the judge", address, **fields), seconds=2)

    (found,) = anyio.run(work)
    return found


def models(*names):
    return lambda request: web.json_response({"data": [{"id": name} for name in names]})


def test_an_endpoint_is_ready_by_the_models_that_it_lists():
    found = find(models("grader", "other"), model="grader")
    assert found.outcome == "ok" and "cost nothing" in found.text
    found = find(models("a", "b", "c", "d"), model="grader")
    assert found.outcome == "warn"
    assert "does not list the model grader; it lists a, b, c and 1 more" in found.text


def test_nobody_there_fails_unless_answers_are_kept():
    found = find()
    assert found.outcome == "fail" and "nothing answers at http://127.0.0.1:9" in found.text
    assert find(cached=True).outcome == "warn"


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_fails(status, monkeypatch):
    monkeypatch.setenv("JUDGE_KEY", "wrong")
    found = find(lambda request: web.Response(status=status), api_key_env="JUDGE_KEY")
    assert found.outcome == "fail" and found.fix == "check the key in JUDGE_KEY"


def test_a_key_that_is_not_set_fails_before_anything_is_asked(monkeypatch):
    monkeypatch.delenv("JUDGE_KEY", raising=False)
    found = find(models("grader"), api_key_env="JUDGE_KEY")
    assert found.outcome == "fail" and "the environment has no JUDGE_KEY" in found.text


GOOD = "def grade(answer, reference, sample):\n    return answer == reference\n"


def find_of_scorer(scorer, options=None, samples=None, seconds=6.0):
    task = Task(name="t", scorer=scorer, margin=0.05, options=options or {})
    samples = [sample(number) for number in range(3)] if samples is None else samples

    async def work():
        return await scorer_findings(task, samples, seconds=seconds)

    (found,) = anyio.run(work)
    return found


@pytest.fixture
def code(tmp_path, monkeypatch):
    def write(text, function="grade"):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "score.py").write_text(text)
        return {"callable": f"score.py:{function}", "memory_mib": 512}

    return write


@pytest.mark.process
def test_a_scorer_that_finds_the_right_answer_right_is_ready(code):
    assert find_of_scorer("label").text == "label gives the right answers full marks"
    assert find_of_scorer("code", code(GOOD)).outcome == "ok"


@pytest.mark.process
def test_a_module_that_never_ends_its_import_is_told_and_not_waited_for(code):
    found = find_of_scorer("code", code("import time\ntime.sleep(600)\n" + GOOD), seconds=0.5)
    assert found.outcome == "warn"
    assert "it loads slowly, or hangs" in found.text


@pytest.mark.process
def test_a_scorer_that_gives_the_right_answer_no_points_is_told(code):
    found = find_of_scorer("code", code("def grade(answer, reference, sample):\n    return 0\n"))
    assert found.outcome == "fail"
    found = find_of_scorer("regex", {"pattern": "(\\d+)"})
    assert found.outcome == "fail"
    assert "the right answer of sample s0000" in found.text and "3 of 3 tried" in found.text


def test_a_judge_is_not_asked():
    found = find_of_scorer("judge", {"base_url": "http://127.0.0.1:9", "model": "m"})
    assert found.outcome == "ok" and "costs a call" in found.text


def gguf(tmp_path):
    path = tmp_path / "base.gguf"
    tiny_models.write_header(tiny_models.SHAPES["llama"], "Q8_0", path)
    return path


def test_a_base_that_cannot_write_the_calls_that_requests_demand_fails(tmp_path, settings, monkeypatch):
    def demanding(choice):
        asking = RecordedAsking(tool_choice=choice)
        return Sample(id="s", messages=(), tools=[{"type": "function"}], asking=asking)

    headers = {"tokenizer.chat_template": "{{ messages }}"}
    monkeypatch.setattr(tools, "read_header", lambda path: Header(str(path), headers, (), 1))
    base, samples = str(gguf(tmp_path)), [demanding("required"), demanding("auto")]
    (found,) = before.tool_findings(base, settings, samples)
    assert found.outcome == "fail" and "1 of 2 held-out requests demand a tool call" in found.text
    assert not list(before.tool_findings(base, settings, samples[1:]))
    headers["tokenizer.chat_template"] = "{{ tools }}"
    assert not list(before.tool_findings(base, settings, samples))
    # Not here yet: the catalog knows, or says nothing.
    (found,) = before.tool_findings("deepseek-ai/DeepSeek-R1", settings, samples)
    assert found.fix
    assert not list(before.tool_findings("org/nowhere", settings, samples))
