"""Whole migrations of several candidates: the selection split says which of them share the look, one is taken."""

import dataclasses
from types import SimpleNamespace

import msgspec
import pytest
from anyio.from_thread import start_blocking_portal
from tests.workflows.journey.rehearsal import Told, bench, project

from freehold.engines import start
from freehold.store import open_store
from freehold.types.config_file import parse
from freehold.types.encoder import EncoderManifest, EncoderModel, FieldHead
from freehold.types.endpoint import ServePlan
from freehold.types.evaluated import ItemLook
from freehold.types.report import Report
from freehold.types.verdict import Verdict
from freehold.workflows.journey import measuring, selection
from freehold.workflows.journey.candidate import CandidateRunner
from freehold.workflows.journey.methods import METHODS, NotMadeError, candidates
from freehold.workflows.journey.migrate import migrate
from freehold.workflows.journey.selection import Selector, cheapest_first
from freehold.workflows.project import open_project

BAD, GOOD, FAR = (
    "HuggingFaceTB/SmolLM2-135M-Instruct",
    "HuggingFaceTB/SmolLM2-360M-Instruct",
    "Qwen/Qwen3-0.6B",
)
"""From the one that is expected to be cheapest on."""
RULES = """
[serve]
engine = "echo"
[serve.options]
in_process = true
delay_ms = {delay}
rules = [
  {{ model = "{bad}", contains = "refund", answer = "refund" }},
  {{ model = "{good}", contains = "refund", answer = "refund" }},
  {{ model = "{good}", contains = "lamp", answer = "lamp" }},
]
default = "lamp or not"
"""


@pytest.fixture
def served(tmp_path):
    """The address of a server that answers like the good one, but for a few requests."""
    said = {"number 7": "other", "refund": "refund", "lamp": "lamp"}
    rules = [{"contains": words, "answer": answer} for words, answer in said.items()]
    plan = ServePlan(engine="echo", model=FAR, options={"rules": rules})
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(
            start(plan, log_dir=tmp_path / "logs", name="far", key_env=None)
        ) as endpoint,
    ):
        yield endpoint.base_url


def several(
    tmp_path, *, url="http://127.0.0.1:9", stop="all", delay=0, order=(BAD, GOOD, FAR), validation=0.3
):
    """Three candidates: a good one and a bad one on the fake, and one behind an endpoint that is not cheap."""
    opened = project(tmp_path, rows=600)
    text = opened.config_path.read_text()
    head = text.partition("[[candidates]]")[0].replace(
        "held_out = 0.5", f"held_out = 0.5\nvalidation = {validation}"
    )
    tables = {
        BAD: f'[[candidates]]\nmodel = "{BAD}"\n',
        GOOD: f'[[candidates]]\nmodel = "{GOOD}"\n',
        FAR: f'[[candidates]]\nmodel = "{FAR}"\nendpoint = "house"\n',
    }
    opened.config_path.write_text(
        head
        + "".join(tables[one] for one in order)
        + f'[[endpoints]]\nname = "house"\nbase_url = "{url}"\n'
        + "price = { prompt = 900, completion = 900 }\n"
        + f'[selection]\nstop = "{stop}"\n'
        + RULES.format(delay=delay, good=GOOD, bad=BAD)
    )
    return open_project(opened.config_path)


def looks(opened):
    with open_store(opened.store_url) as store:
        return list(store.records(ItemLook)), list(store.records(Verdict))


def rows(migration):
    return {one.model: one for one in migration.report.candidates}


@pytest.mark.process
def test_a_good_and_a_remote_one_share_one_look_and_the_cheaper_is_taken(tmp_path, served):
    """Also where what runs here is slow: the remote one has a price, whatever the speed of the address."""
    opened = several(tmp_path, url=served, delay=40)
    migration = migrate(opened, progress=Told())
    found = rows(migration)
    taken, verdicts = looks(opened)
    assert {one.candidate for one in taken} == {one.candidate for one in verdicts} == {GOOD, FAR}
    assert sum(one.alpha for one in taken) == pytest.approx(opened.config.task.alpha)
    assert sum(found[one].selection.part for one in (GOOD, FAR)) == pytest.approx(1)
    counted = [found[one].comparison.look for one in (GOOD, FAR)]
    assert [(one.number, one.may_promote or one.informs) for one in counted] == [(1, True)] * 2
    assert (migration.best.model, migration.plan.model, migration.exit_code) == (GOOD, GOOD, 0)
    assert verdicts[-1].id == migration.best.verdict.id, "what is read as the last is what was taken"
    assert [one.comparison is not None for one in found.values()] == [False, True, True]
    assert "at most 2.5% of cases" in migration.best.comparison.promise("it"), "whichever is promoted"
    choice = migration.report.choice
    assert (choice.chosen, choice.tried, choice.stop) == (f"{GOOD} · as_is", 3, "all")
    assert found[GOOD].selection.passes and found[FAR].selection.passes and not found[BAD].selection.passes
    assert found[GOOD].selection.cost.basis == "measured_here" and found[GOOD].selection.cost.usd_per_1000 > 0
    assert "it is promoted as well" in found[FAR].not_chosen
    assert "held-out items (it needs 80%)" in found[BAD].not_chosen
    assert choice.overlapping
    with open_store(opened.store_url) as store:
        # How things stand today is written on the page, and is not part of what was found.
        assert store.latest(Report) == msgspec.structs.replace(migration.report, standing=None)
    again = migrate(opened, progress=Told())
    told = [
        [one.verdict.id for one in found.report.candidates if one.verdict] for found in (again, migration)
    ]
    assert told[0] == told[1] and len(looks(opened)[0]) == 2


def test_a_search_that_is_limited_begins_no_more_when_its_time_is_over(tmp_path, monkeypatch):
    """Whether there was time is kept: the same command a second time, which is faster, finds the same one."""
    opened = several(tmp_path, stop="all", order=(BAD, GOOD, FAR))
    text = opened.config_path.read_text()
    opened.config_path.write_text(text.replace('stop = "all"', 'stop = "all"\nwithin_minutes = 2'))
    opened = open_project(opened.config_path)
    passed = iter([0.0, 0.0, 100.0, 130.0])
    monkeypatch.setattr(selection, "monotonic", lambda: next(passed, 130.0))
    first = migrate(opened, progress=(told := Told()), beginning="anyway")
    assert (first.report.choice.tried, first.best.model) == (2, GOOD)
    assert rows(first)[FAR].not_chosen == "not tried: the 2 minutes for the search were over"
    assert "No further one is begun once 2 minutes" in first.report.choice.rule
    assert any("not begun: the 2 minutes for the search were over after 2 of 3" in line for line in told.said)
    monkeypatch.setattr(selection, "monotonic", lambda: 0.0)
    again = migrate(opened, progress=Told(), beginning="anyway")
    assert again.report.choice == first.report.choice
    assert len(looks(opened)[0]) == 1


class Fast:
    """A machine with an accelerator, as far as the search asks."""

    accelerators = ("gpu",)


@pytest.mark.parametrize(
    ("stated", "machine", "minutes"),
    [('stop = "first"', None, 15), ('stop = "all"', None, None), ('stop = "first"', Fast(), None),
     ('stop = "first"\nwithin_minutes = 40', Fast(), 40), ('stop = "all"\nwithin_minutes = 2', None, 2)],
)  # fmt: skip
def test_a_search_is_given_a_quarter_of_an_hour_without_an_accelerator(tmp_path, stated, machine, minutes):
    opened = project(tmp_path, rows=40)
    opened.config_path.write_text(opened.config_path.read_text() + f"[selection]\n{stated}\n")
    with bench(open_project(opened.config_path)) as ready:
        ready = dataclasses.replace(ready, machine=machine or ready.machine)
        assert Selector(CandidateRunner(ready), ()).minutes == minutes


def test_training_ends_with_the_search_and_a_late_one_has_half_of_its_time(tmp_path, monkeypatch):
    given = []

    class Lora:
        name, trains = "lora", True

        def make(self, candidate, bench):
            given.append(bench.minutes)
            raise NotMadeError("no room")

    monkeypatch.setitem(METHODS, "lora", Lora())
    opened = several(tmp_path, stop="first", order=(BAD, GOOD))
    text = opened.config_path.read_text().replace('stop = "first"', 'stop = "first"\nwithin_minutes = 10')
    for model in (BAD, GOOD):
        text = text.replace(f'model = "{model}"\n', f'model = "{model}"\nmethod = "lora"\n', 1)
    opened.config_path.write_text(text)
    for passed in ([0.0, 0.0, 30.0], [0.0, 50.0, 90.0]):
        clock = iter(passed)
        monkeypatch.setattr(selection, "monotonic", lambda clock=clock: next(clock))
        migrate(open_project(opened.config_path), progress=Told(), beginning="anyway")
    assert given == [10, 9.5] * 2, "the same command gives the same time"


def test_a_search_goes_on_beyond_its_time_where_none_is_left(tmp_path, monkeypatch):
    opened = several(tmp_path, stop="first", order=(BAD, GOOD, FAR))
    text = opened.config_path.read_text()
    opened.config_path.write_text(text.replace('stop = "first"', 'stop = "first"\nwithin_minutes = 2'))
    passed = iter([0.0])
    monkeypatch.setattr(selection, "monotonic", lambda: next(passed, 1e6))
    found = migrate(open_project(opened.config_path), progress=Told(), beginning="anyway")
    assert (found.report.choice.tried, found.best.model) == (2, GOOD)


@pytest.mark.parametrize(
    ("field", "stage", "begun"),
    [("one", "auto", False), ("copied", "auto", True), ("one", "frozen", True), ("words", "auto", True)],
)
def test_no_small_model_is_trained_after_an_encoder_that_learned_the_same_labels(
    tmp_path, monkeypatch, field, stage, begun
):
    """It answers worse than the incumbent here, so that the search would go on."""
    made = []

    class Encoder:
        name, trains = "encoder", True

        def make(self, candidate, bench):
            model = msgspec.structs.replace(candidate, model=BAD, method="as_is")
            return msgspec.structs.replace(METHODS["as_is"].make(model, bench), encoder=encoder_of(field))

    class Lora(Encoder):
        def make(self, candidate, bench):
            made.append(candidate.model)
            raise NotMadeError("no room")

    monkeypatch.setitem(METHODS, "encoder", Encoder())
    monkeypatch.setitem(METHODS, "lora", Lora())
    opened = several(tmp_path, stop="first", order=(BAD,))
    text = opened.config_path.read_text().replace(
        f'model = "{BAD}"\n', f'model = "org/e"\nmethod = "encoder"\nstage = "{stage}"\n[[candidates]]\n'
        f'model = "{BAD}"\nmethod = "lora"\n', 1,
    )  # fmt: skip
    opened.config_path.write_text(text)
    found = rows(migrate(open_project(opened.config_path), progress=(told := Told()), beginning="anyway"))
    assert (made == [BAD]) == begun
    assert begun or found[BAD].not_chosen.startswith("not tried: where answers are labels")
    assert begun or any("is not begun: where answers are labels" in line for line in told.said)


@pytest.mark.parametrize(
    ("characters", "wrong", "begun"), [(1, 0.1, True), (10**9, 0.1, False), (1, 0.0, False)]
)
def test_words_that_suffice_end_the_search_only_where_the_encoder_is_slow_or_can_win_nothing(
    tmp_path, monkeypatch, characters, wrong, begun
):
    monkeypatch.setattr(selection, "CHARACTERS_A_MINUTE", 1e5 / characters)
    with bench(several(tmp_path)) as ready:
        selector = Selector(CandidateRunner(ready), ())
        encoder, lora = (
            msgspec.structs.replace(candidates(ready.project.config)[0], method=name)
            for name in ("encoder", "lora")
        )
        made = SimpleNamespace(made=SimpleNamespace(encoder=encoder_of("words")))
        before = SimpleNamespace(made=made, scores=SimpleNamespace(mean=1 - wrong), label="words · encoder")
        assert selector._may_win_cheaply(encoder, before) is begun
        assert not selector._may_win_cheaply(lora, before)


def encoder_of(field):
    if field == "words":
        return msgspec.structs.replace(encoder_of("one"), stage="words")
    manifest = EncoderManifest(
        base_model="org/e", base_sha256="b", width=4, answer="label", fields=(FieldHead(name="", kind=field),)
    )
    return EncoderModel(
        id="e" * 32, name="e", path="", base_model="org/e", base_sha256="b", dataset_id="d", manifest=manifest,
        stage="tuned", seed=0, train_samples=30, train_seconds=1.0, validation_right=9, validation_asked=10,
        calibration_error=None, peak_memory_bytes=None, files={}, versions={}, made_from=(),
    )  # fmt: skip


def test_with_stop_first_those_expected_to_cost_more_are_not_made(tmp_path):
    opened = several(tmp_path, stop="first", order=(FAR, GOOD, BAD))
    migration = migrate(opened, progress=Told(), beginning="anyway")
    found = rows(migration)
    assert list(found) == [FAR, GOOD, BAD], "as the project names them"
    assert (migration.best.model, migration.report.choice.tried) == (GOOD, 2)
    assert found[FAR].not_chosen == f"not tried: {GOOD} · as_is was expected to cost less, and suffices"
    assert found[FAR].ruling is None and found[FAR].selection is None
    assert not found[BAD].selection.passes


def test_where_none_suffices_the_nearest_is_proven_with_the_incumbent_behind_it(tmp_path):
    migration = migrate(several(tmp_path, order=(BAD, FAR)), progress=Told(), beginning="anyway")
    assert (migration.best.model, migration.exit_code) == (BAD, 0)
    assert migration.best.verdict.mixture_id is not None
    assert migration.best.comparison.verdict == "reject", "alone it is not good enough"
    assert not migration.report.choice.selection.passes and "came closest" in migration.report.choice.why


def test_none_that_can_be_made_is_no_verdict(tmp_path):
    opened = several(tmp_path, order=(FAR,))
    text = opened.config_path.read_text().replace(
        "[[endpoints]]", '[[candidates]]\nmodel = "org/other"\nendpoint = "house"\n[[endpoints]]'
    )
    opened.config_path.write_text(text)
    migration = migrate(open_project(opened.config_path), progress=Told(), beginning="anyway")
    assert (migration.best, migration.plan, migration.exit_code) == (None, None, 1)
    assert all(one.stopped for one in migration.report.candidates)
    why = migration.report.choice.why
    assert (
        why.startswith("no candidate could be measured: ")
        and f"{SMALL} is one freehold models pull away" in why
    )


def test_without_a_selection_split_the_first_that_can_be_made_is_proven_unmeasured(tmp_path):
    opened = several(tmp_path, validation=0.0, order=(FAR, GOOD))
    migration = migrate(opened, progress=Told(), beginning="anyway")
    assert migration.best.model == GOOD
    assert "no selection split" in migration.report.choice.why and rows(migration)[GOOD].selection is None


def test_a_run_that_was_killed_goes_on_where_it_was(tmp_path, monkeypatch):
    opened = several(tmp_path, order=(BAD, GOOD))
    real, asked = measuring.score_on_selection, []

    async def score(plan, candidate, **given):
        asked.append(candidate.model)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return await real(plan, candidate, **given)

    monkeypatch.setattr(measuring, "score_on_selection", score)
    with pytest.raises(KeyboardInterrupt):
        migrate(opened, progress=Told())
    assert looks(opened) == ([], [])
    told = Told()
    migration = migrate(opened, progress=told)
    kept = [name for name, note in told.steps if note and "selection samples" in name and "135M" in name]
    assert len(kept) == 1, "what was measured before is not measured again"
    assert (migration.best.model, len(looks(opened)[0])) == (GOOD, 1)


def test_a_fault_of_freehold_itself_ends_the_journey(tmp_path, monkeypatch):
    async def broken(*_, **__):
        raise RuntimeError("a defect")

    monkeypatch.setattr(measuring, "score_on_selection", broken)
    with pytest.raises(RuntimeError, match="a defect"):
        migrate(several(tmp_path, order=(BAD, GOOD)), progress=Told())


SMALL, LARGE, HOUSE = "HuggingFaceTB/SmolLM2-135M-Instruct", "Qwen/Qwen3-8B", "org/served"


def order(tables):
    config = parse(
        '[app]\nname = "x"\n[[endpoints]]\nname = "house"\nbase_url = "http://127.0.0.1:9"\n'
        "price = { prompt = 2, completion = 2 }\n" + "".join(f"[[candidates]]\n{one}\n" for one in tables)
    )
    return [(one.model, one.method) for one in cheapest_first(candidates(config), config)]


def test_small_and_untrained_models_come_first_and_what_is_paid_for_by_its_price():
    tables = [
        f'model = "{HOUSE}"\nendpoint = "house"',
        f'model = "{LARGE}"',
        'model = "org/encoder"\nmethod = "encoder"',
        f'model = "{SMALL}"',
    ]
    assert [model for model, _ in order(tables)] == ["org/encoder", SMALL, LARGE, HOUSE]
    tables = [
        f'model = "{SMALL}"\nmethod = "{method}"' + ('\nsystem = "x"' if method == "prompt" else "")
        for method in ("examples", "lora", "prompt", "as_is")
    ]
    assert [method for _, method in order(tables)] == ["as_is", "lora", "prompt", "examples"]
