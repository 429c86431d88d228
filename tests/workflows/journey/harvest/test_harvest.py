"""A harvest from end to end, against a local server that speaks the real API's shape."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from tests.workflows.incumbent.fine_tuning_api import KEY
from tests.workflows.journey.test_rescue import rehearsed, training_file

from freehold.datasets import building
from freehold.errors import StorageError, UpstreamError, UsageError
from freehold.evals.chat.chat_client import Patience
from freehold.types.harvest import Harvest
from freehold.types.progress import Silent
from freehold.workflows.data.forget import Whom, forget
from freehold.workflows.journey import rescue
from freehold.workflows.journey.beginning import prepare
from freehold.workflows.journey.harvest import harvest
from freehold.workflows.journey.harvest.harvest import HarvestOptions
from freehold.workflows.journey.paying import answers as paid
from freehold.workflows.journey.rescue_config import RescueRequest
from freehold.workflows.project import now, open_project
from freehold.workflows.prove.results import frozen_answers, own_repeats

QUICK = Patience(attempts=3, first_wait_seconds=0.01)


@pytest.fixture
def ready(api, tmp_path):
    """A rescue's project of 60 rows, not yet harvested."""
    api.files["file-train"] = training_file(tmp_path / "train.jsonl", 60).read_bytes()
    request = RescueRequest(folder=tmp_path / "out", base_url=api.url, api_key_env=KEY)
    return rescue.begin(request, progress=Silent())[0]


def take(project, **options):
    planned = harvest.plan(project, HarvestOptions(**options))
    return harvest.run(planned, progress=Silent(), patience=QUICK)


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_everything_is_taken_with_log_probabilities_and_nothing_twice(api, ready):
    planned = harvest.plan(ready, HarvestOptions(repeats=3))
    assert not api.asked
    counts = {part.name: part.requests for part in planned.manifest.parts}
    assert counts["held_out"] + counts["train"] == 60
    assert counts["repeats"] == 3 * counts["held_out"]
    assert planned.manifest.estimate_usd > 0
    taken = harvest.run(planned, progress=Silent(), patience=QUICK)
    asked = len(api.asked)
    assert asked == sum(counts.values())
    folder = Path(taken.folder)
    answers = lines(folder / "answers.jsonl")
    assert len(answers) == 60
    assert all(one["teacher"][0]["top"][1] == ["other", -2.5] for one in answers)
    assert {body["top_logprobs"] for body in api.asked if "logprobs" in body} == {20}
    assert {len(one) for one in own_repeats(ready).values()} == {3}
    repeats = [body for body in api.asked if "logprobs" not in body and body["model"].startswith("ft:")]
    assert len(repeats) == counts["repeats"]
    assert all("temperature" not in body and body["max_tokens"] for body in repeats)
    assert taken.spent_usd == sum(one.spent_usd for one in taken.parts) > 0
    again = take(ready, repeats=3)
    assert len(api.asked) == asked
    assert again.spent_usd == taken.spent_usd
    assert again.part("train").kept == counts["train"]


def test_the_manifest_has_every_file_with_its_hash_for_this_user_only(api, ready):
    import hashlib

    taken = take(ready)
    folder = Path(taken.folder)
    read = msgspec.json.decode((folder / "harvest.json").read_bytes(), type=Harvest)
    assert read == taken
    assert {"asked.jsonl", "answers.jsonl", "repeats.jsonl", "rubric.md"} <= {
        file.path for file in read.files
    }
    for file in read.files:
        path = folder / file.path
        assert hashlib.sha256(path.read_bytes()).hexdigest() == file.sha256
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert any("stored completions: the API answered 404" in lack for lack in read.not_to_be_had)
    assert any(lack.startswith("critiques: no candidate") for lack in read.not_to_be_had)


def test_what_was_harvested_is_frozen_and_not_asked_again(api, ready):
    take(ready)
    asked = len(api.asked)
    request = RescueRequest(folder=ready.root, base_url=api.url, api_key_env=KEY)
    project, told = rescue.begin(request, progress=Silent())
    assert told.why_not_asked == "its answers are frozen already"
    assert rescue.freeze_answers(project, told, repeats=1, budget_usd=None, progress=Silent()) is None
    assert len(api.asked) == asked


def test_a_harvest_keeps_the_answers_that_were_frozen_before(api, ready):
    request = RescueRequest(folder=ready.root, base_url=api.url, api_key_env=KEY, repeats=2)
    project, told = rescue.begin(request, progress=Silent())
    frozen = rescue.freeze_answers(project, told, repeats=2, budget_usd=None, progress=Silent())
    planned = harvest.plan(project, HarvestOptions())
    before = frozen_answers(project, planned.dataset)
    assert frozen.answered == 2 * len(before)
    harvest.run(planned, progress=Silent(), patience=QUICK)
    assert frozen_answers(project, planned.dataset) == before


def test_it_ends_before_the_budget_is_exceeded_and_goes_on_with_a_larger_one(api, ready):
    whole = harvest.plan(ready, HarvestOptions()).manifest.estimate_usd
    budget = whole / 4
    first = take(ready, budget_usd=budget)
    assert first.stopped.startswith("the budget: $")
    assert 0 < first.spent_usd <= budget
    asked = len(api.asked)
    assert asked < first.part("held_out").requests * 4 + 60
    second = take(ready, budget_usd=budget)  # the same budget holds for all runs of the harvest
    assert second.spent_usd <= budget
    assert any("ended early" in lack for lack in second.not_to_be_had)
    third = take(ready, budget_usd=whole * 100)
    assert third.stopped is None
    keys = [json.dumps(body, sort_keys=True) for body in api.asked if "logprobs" in body]
    assert len(keys) == len(set(keys)) == 60


def test_rate_limits_are_waited_for(api, ready):
    api.limited = 3
    taken = take(ready)
    assert taken.part("held_out").answered == taken.part("held_out").requests
    assert api.limited == 0


@pytest.mark.parametrize("refusal", [False, "403"])
def test_a_model_without_log_probabilities_is_asked_without_and_it_is_said(api, ready, refusal):
    api.logprobs = refusal
    taken = take(ready)
    part = taken.part("train")
    assert part.answered == part.requests > 0
    assert f"{part.answered} of {part.answered} answers came without log-probabilities" in part.notes


def test_a_key_that_is_refused_mid_way_leaves_what_was_answered(api, ready):
    api.refuse_after = 9
    with pytest.raises(UpstreamError, match="401"):
        take(ready)
    read = msgspec.json.decode((ready.state / "harvest" / "harvest.json").read_bytes(), type=Harvest)
    assert "401" in read.stopped
    assert read.part("held_out").answered == 9
    api.refuse_after = None
    taken = take(ready)
    keys = [json.dumps(body, sort_keys=True) for body in api.asked if "logprobs" in body]
    assert len(keys) == len(set(keys)) == 60
    assert taken.stopped is None


def test_a_full_disk_stops_it_before_more_is_paid(api, ready, monkeypatch):
    written = 0

    def full(file):
        nonlocal written
        written += 1
        if written > 20:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(paid.os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        take(ready)
    assert len(api.asked) <= 14  # ten were written whole, four were under way
    monkeypatch.undo()
    os.environ[KEY] = "sk-test"
    assert take(ready).stopped is None


def test_a_kill_at_any_request_pays_no_kept_answer_twice(api, ready):
    script = (
        "from pathlib import Path\n"
        "from freehold.types.progress import Silent\n"
        "from freehold.workflows.journey.harvest import harvest\n"
        "from freehold.workflows.project import now, open_project\n"
        f"project = open_project(Path({str(ready.root / 'freehold.toml')!r}))\n"
        "harvest.run(harvest.plan(project, harvest.HarvestOptions()), progress=Silent())\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(api.asked) < 25 and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(api.asked) >= 25
    kept = [line for line in lines(ready.state / "harvest" / "asked.jsonl") if "answer" in line]
    before = len(api.asked)
    taken = take(ready)
    whole = sum(part.requests for part in taken.parts)
    assert len(api.asked) - before == whole - len(kept)
    assert before - len(kept) <= 4  # what was under way is asked again
    assert taken.stopped is None


def test_a_budget_needs_a_price(api, tmp_path):
    path = training_file(tmp_path / "train.jsonl", 60)
    request = RescueRequest(
        folder=tmp_path / "out", file=path, base_url=api.url, api_key_env=KEY, model="unheard-of-1"
    )
    project, _ = rescue.begin(request, progress=Silent())
    with pytest.raises(UsageError, match="no price of unheard-of-1 is known"):
        harvest.plan(project, HarvestOptions(budget_usd=Decimal(5)))
    assert harvest.plan(project, HarvestOptions()).manifest.estimate_usd is None


def test_terms_that_forbid_training_leave_those_parts_out(api, tmp_path):
    path = training_file(tmp_path / "train.jsonl", 60)
    request = RescueRequest(
        folder=tmp_path / "out",
        file=path,
        base_url=api.url,
        api_key_env=KEY,
        model="claude-3-5-sonnet-20241022",
    )
    project, _ = rescue.begin(request, progress=Silent())
    taken = take(project)
    assert taken.terms.outcome == "needs_separate_license"
    assert taken.part("train").requests == 0
    assert "needs separate license" in taken.part("train").not_taken
    assert taken.part("held_out").answered == taken.part("held_out").requests > 0


def test_another_api_is_refused_before_anything_is_counted(api, ready):
    path = ready.root / "freehold.toml"
    path.write_text(path.read_text().replace("[incumbent]\n", '[incumbent]\napi = "anthropic"\n'))
    with pytest.raises(UsageError, match="anthropic API"):
        harvest.plan(open_project(path), HarvestOptions())


def test_without_an_address_nothing_can_be_harvested(tmp_path):
    request = RescueRequest(folder=tmp_path / "out", file=training_file(tmp_path / "train.jsonl", 60))
    project, _ = rescue.begin(request, progress=Silent())
    with pytest.raises(UsageError, match="no incumbent that can be asked"):
        harvest.plan(project, HarvestOptions())


def test_a_dataset_to_distill_has_the_distributions_and_stays_so(api, ready):
    path = ready.root / "freehold.toml"
    text = path.read_text()
    assert 'method = "as_is"' in text
    path.write_text(text.replace('method = "as_is"', 'method = "distill"'))
    project = open_project(path)
    take(project)
    asked = len(api.asked)
    dataset = prepare(project, progress=Silent())
    train = list(building.samples(dataset, "train"))
    assert train and all(sample.teacher is not None for sample in train)
    again = take(project)
    assert len(api.asked) == asked
    assert prepare(project, progress=Silent()).id == dataset.id
    assert "log-probabilities are here already" in again.part("train").not_taken
    request = RescueRequest(folder=ready.root, base_url=api.url, api_key_env=KEY)
    assert rescue.begin(request, progress=Silent())[1].why_not_asked == "its answers are frozen already"


def test_repeats_give_the_noise_of_a_comparison(api, ready):
    turns = iter(range(10_000))

    def of_two_minds(body):
        body["messages"][-1]["content"] += " refund" if next(turns) % 2 else ""

    take(ready)
    lamps = [one for one in own_repeats(ready).values() if one[0] == "lamp"]
    (ready.state / "harvest" / "asked.jsonl").unlink()
    api.on_post = of_two_minds
    taken = take(ready)
    different = [one["different"] for one in lines(Path(taken.folder) / "repeats.jsonl")]
    assert max(different) == 2
    told = f"on {different.count(2)} of {len(different)} samples the answers are not all the same"
    assert told in taken.part("repeats").notes
    rehearsed(ready.root / "freehold.toml")
    migration = rescue.finish(open_project(ready.root / "freehold.toml"), progress=Silent())
    (candidate,) = migration.report.candidates
    assert candidate.comparison.self_noise > 0
    assert any("harvested answers" in note for note in candidate.comparison.notes)
    assert lamps


def test_a_person_who_is_forgotten_leaves_the_harvest_too(api, tmp_path):
    path = training_file(tmp_path / "train.jsonl", 60)
    rows = [
        json.loads(line) | {"user": f"person-{number}"}
        for number, line in enumerate(path.read_text().splitlines())
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    request = RescueRequest(
        folder=tmp_path / "out", file=path, base_url=api.url, api_key_env=KEY, model="gpt-4o-mini"
    )
    project, _ = rescue.begin(request, progress=Silent())
    planned = harvest.plan(project, HarvestOptions())
    folder = Path(harvest.run(planned, progress=Silent(), patience=QUICK).folder)
    names = ("train", "validation", "held_out")
    samples = [one for name in names for one in building.samples(planned.dataset, name)]
    gone = next(one for one in samples if one.messages[-1].content.startswith("number 7 "))
    before = len(lines(folder / "asked.jsonl"))
    mentioned = [one.name for one in folder.rglob("*") if one.is_file() and gone.id in one.read_text()]
    assert {"asked.jsonl", "answers.jsonl"} <= set(mentioned)
    forget(project, Whom(user="person-7"), who="op", at=now(), dry_run=False, progress=Silent())
    assert not [one.name for one in folder.rglob("*") if one.is_file() and gone.id in one.read_text()]
    assert before - 10 < len(lines(folder / "asked.jsonl")) < before


def test_a_candidate_s_errors_are_criticized(api, ready):
    path = ready.root / "freehold.toml"
    rehearsed(path)
    path.write_text(path.read_text().replace('answer = "lamp"', 'answer = "refund"'))
    project = open_project(path)
    request = RescueRequest(folder=ready.root, base_url=api.url, api_key_env=KEY)
    project, told = rescue.begin(request, progress=Silent())
    rescue.freeze_answers(project, told, repeats=1, budget_usd=None, progress=Silent())
    rescue.finish(project, progress=Silent())
    taken = take(project)
    found = lines(Path(taken.folder) / "critiques.jsonl")
    assert len(found) == taken.part("critiques").requests > 0
    assert {(one["reference"], one["answer"], one["score"], one["made_by"]) for one in found} == {
        ("lamp", "refund", 2.0, "gpt-4o-mini-2024-07-18")
    }
