import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import anyio
import pytest
from aiohttp import web
from tests.workflows.journey.rehearsal import Told
from tests.workflows.prove.held_out import dataset, sample

from freehold.types.config import parse
from freehold.types.evaluation import Task
from freehold.workflows.prove.preflight import (
    AskedEndpoint,
    PreflightError,
    PreflightRequest,
    address_findings,
    label_findings,
    length_findings,
    line,
    preflight,
    require,
    scorer_findings,
)


def look(tmp_path, *, scorer="label", options=None, size=200, incumbent="yes", **fields):
    answers = [incumbent] if incumbent is None or isinstance(incumbent, str) else incumbent
    held_out = [sample(number, incumbent=answers[number % len(answers)]) for number in range(size)]
    request = PreflightRequest(
        dataset=dataset(tmp_path, train=held_out[:2], held_out=held_out),
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


class _Models(BaseHTTPRequestHandler):
    def do_GET(self):
        data = b'{"data": [{"id": "m"}]}'
        self.send_response(200)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_POST(self):
        self.server.paid.append(self.path)
        self.send_error(500)

    def log_message(self, *_):
        pass


@pytest.mark.parametrize(
    ("scorer", "fixed"),
    [
        ("judge", lambda model: model),
        ("semantic", lambda model: model | {"threshold": 0.8}),
        ("turn", lambda model: {"text": "judge", "text_options": model}),
        ("turn", lambda model: {"text": "semantic", "text_options": model | {"threshold": 0.8}}),
    ],
)
def test_a_model_that_scores_is_found_but_paid_for_nothing(tmp_path, scorer, fixed):
    with ThreadingHTTPServer(("127.0.0.1", 0), _Models) as server:
        server.paid = []
        Thread(target=server.serve_forever, daemon=True).start()
        options = fixed({"base_url": f"http://127.0.0.1:{server.server_port}", "model": "m"})
        found = look(tmp_path, scorer=scorer, options=options, incumbent=["yes", "no"])
        server.shutdown()
    assert server.paid == []
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


GOOD = "def grade(answer, reference, sample):\n    return answer == reference\n"


def find(scorer, options=None, samples=None, seconds=6.0):
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
    assert find("label").text == "label finds the right answer right"
    assert find("code", code(GOOD)).outcome == "ok"


@pytest.mark.process
def test_a_missing_function_is_told_and_does_not_hang(code):
    found = find("code", code(GOOD, "nope"))
    assert found.outcome == "fail"
    assert "nope" in found.text and found.fix


@pytest.mark.process
def test_a_module_that_never_ends_its_import_is_told_and_not_waited_for(code):
    found = find("code", code("import time\ntime.sleep(600)\n" + GOOD), seconds=0.5)
    assert found.outcome == "warn"
    assert "it loads slowly, or hangs" in found.text


@pytest.mark.process
def test_a_scorer_that_gives_the_right_answer_no_points_is_told(code):
    found = find("code", code("def grade(answer, reference, sample):\n    return 0\n"))
    assert found.outcome == "fail"
    found = find("regex", {"pattern": "(\\d+)"})
    assert found.outcome == "fail"
    assert "the right answer of sample s0000" in found.text and "3 of 3 tried" in found.text


def test_a_judge_is_not_asked():
    found = find("judge", {"base_url": "http://127.0.0.1:9", "model": "m"})
    assert found.outcome == "ok" and "costs a call" in found.text


TASK = Task(name="t", scorer="label", margin=0.05)


def lengths(tmp_path, characters, *, more=""):
    samples = [sample(number, asked=f"{number} " + "x" * size) for number, size in enumerate(characters)]
    config = parse(f'[app]\nname = "t"\n{more}')
    made = dataset(tmp_path, train=samples, held_out=samples)
    return list(length_findings(config, made, samples, trains=True, serves=True))


def test_prompts_longer_than_what_is_trained_on_fail_and_name_the_key(tmp_path):
    train, context = lengths(tmp_path, [20_000] * 36, more="[serve]\ncontext_tokens = 8192\n")
    assert train.outcome == "fail"
    assert (
        train.text == "36 of 36 training samples are longer than [train] max_tokens = 1,024 and are left out"
    )
    assert train.fix == "[train] max_tokens = 8192 in freehold.toml"
    assert context.outcome == "ok"


def test_a_few_long_ones_are_a_warning(tmp_path):
    train, context = lengths(tmp_path, [100] * 35 + [9_000])
    assert (train.outcome, context.outcome) == ("warn", "warn")
    assert "about 1 of 36 training samples may be longer" in train.text
    assert context.fix == "[serve] context_tokens = 4096 in freehold.toml"


def test_labels_that_are_asked_for_and_never_taught_are_named(tmp_path):
    train = [sample(1, gold="Yes"), sample(2, gold="no")]
    held_out = [
        sample(3, gold="yes"),
        sample(4, gold="perhaps"),
        sample(5, gold="perhaps"),
        sample(6, gold="no"),
    ]
    (found,) = label_findings(TASK, dataset(tmp_path, train=train, held_out=held_out), held_out)
    assert found.outcome == "warn"
    assert found.text == (
        "1 of 3 labels of the held-out part are never taught: perhaps (2); that is 50.0% of its items"
    )
    (found,) = label_findings(TASK, dataset(tmp_path, train=train, held_out=held_out[:1]), held_out[:1])
    assert found.outcome == "ok"
    (found,) = label_findings(TASK, dataset(tmp_path, train=train, held_out=held_out), held_out[1:3])
    assert found.outcome == "fail"


def find_of_address(answer=None, **fields):
    """What is found of an endpoint that answers so; None: nothing listens."""

    async def handle(request):
        return answer(request)

    async def work():
        url = "http://127.0.0.1:9"
        runner = None
        if answer is not None:
            app = web.Application()
            app.router.add_get("/v1/models", handle)
            runner = web.AppRunner(app, shutdown_timeout=0.1)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        try:
            return await address_findings(AskedEndpoint("the judge", url, **fields), seconds=2)
        finally:
            if runner is not None:
                await runner.cleanup()

    (found,) = anyio.run(work)
    return found


def models(*names):
    return lambda request: web.json_response({"data": [{"id": name} for name in names]})


def test_one_that_lists_the_model_is_ready_and_cost_nothing():
    found = find_of_address(models("grader", "other"), model="grader")
    assert found.outcome == "ok" and "cost nothing" in found.text


def test_one_that_lists_other_models_is_doubted():
    found = find_of_address(models("a", "b", "c", "d"), model="grader")
    assert found.outcome == "warn"
    assert "does not list the model grader; it lists a, b, c and 1 more" in found.text


def test_nobody_there_fails_unless_answers_are_kept():
    found = find_of_address()
    assert found.outcome == "fail" and "nothing answers at http://127.0.0.1:9" in found.text
    assert find_of_address(cached=True).outcome == "warn"


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_fails(status, monkeypatch):
    monkeypatch.setenv("JUDGE_KEY", "wrong")
    found = find_of_address(lambda request: web.Response(status=status), api_key_env="JUDGE_KEY")
    assert found.outcome == "fail" and found.fix == "check the key in JUDGE_KEY"


def test_a_key_that_is_not_set_fails_before_anything_is_asked(monkeypatch):
    monkeypatch.delenv("JUDGE_KEY", raising=False)
    found = find_of_address(models("grader"), api_key_env="JUDGE_KEY")
    assert found.outcome == "fail" and "the environment has no JUDGE_KEY" in found.text
