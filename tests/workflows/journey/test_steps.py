"""Steps that run once for the same inputs, over a real store."""

import pytest
from tests.workflows.journey.rehearsal import Told

from freehold.progress import Silent
from freehold.store import open_store
from freehold.types.record import Record
from freehold.workflows.journey.steps import Steps


class Result(Record, frozen=True, kw_only=True):
    number: int


@pytest.fixture
def store(tmp_path):
    with open_store(f"sqlite:///{tmp_path / 'x.sqlite'}") as opened:
        yield opened


@pytest.fixture
def run(store):
    """Runs a step named ``count`` in a new run of the workflow; each that works makes the next number."""
    made = []

    def step(inputs, *, fresh=False, progress=None, **options):
        def work():
            made.append(inputs)
            return Result(number=len(made))

        steps = Steps(store, progress or Silent(), fresh=fresh)
        return steps.run("count", "count", inputs, Result, work, **options).number, steps.times[0].skipped

    return step


def test_a_step_runs_once_for_the_same_inputs(run):
    assert run(["a", 1]) == (1, False)
    assert run(["a", 1]) == (1, True)
    assert run(["a", 2]) == (2, False)
    assert run(["a", 2], fresh=True) == (3, False)


def test_a_result_whose_files_are_gone_is_made_again(run, tmp_path):
    def there(result):
        return (tmp_path / f"{result.number}").exists()

    assert run("a", still_there=there) == (1, False)
    assert run("a", still_there=there) == (2, False)
    (tmp_path / "2").touch()
    assert run("a", still_there=there) == (2, True)


def test_two_steps_with_the_same_inputs_are_two(store):
    steps = Steps(store, Silent())
    for number, name in enumerate(("one", "two")):
        assert steps.run(name, name, "same", Result, lambda n=number: Result(number=n)).number == number


def test_a_step_that_fails_is_not_done(store, run):
    def fail():
        raise OSError("disk full")

    with pytest.raises(OSError):
        Steps(store, Silent()).run("count", "count", "a", Result, fail)
    assert run("a") == (1, False)


def test_what_is_told_is_numbered(store):
    told = Told()
    steps = Steps(store, told)
    for name in ("a", "b", "c"):
        steps.run(name, f"do {name}", 1, Result, lambda: Result(number=0))
    assert told.steps == [("[1] do a", ""), ("[2] do b", ""), ("[3] do c", "")]
    Steps(store, told).run("a", "do a", 1, Result, lambda: Result(number=1))
    assert told.steps[-1] == ("[1] do a", "unchanged since the last run")
