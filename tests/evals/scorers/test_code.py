import asyncio

import msgspec
import pytest
from tests.evals.scorers.conftest import SAMPLE, score

from freehold.bounded import sandbox
from freehold.errors import ConfigError, InputError
from freehold.evals.scorers import make
from freehold.evals.scorers.code import CodeScorer

pytestmark = pytest.mark.process

GOLD = msgspec.structs.replace(SAMPLE, gold="a")


def grader(tmp_path, body):
    path = tmp_path / "grader.py"
    path.write_text("import os, time, sys\n\ndef grade(answer, reference, sample):\n" + body)
    return f"{path}:grade"


def given(tmp_path, body, *answers, sample=GOLD, **options):
    async def go():
        scorer = make("code", {"callable": grader(tmp_path, body), "seconds": 2, **options})
        try:
            return [await scorer.score(sample, answer, sample.gold) for answer in answers]
        finally:
            await scorer.close()

    return asyncio.run(go())


@pytest.mark.parametrize(
    ("body", "value", "code"),
    [
        ("    return len(answer) <= sample['metadata']['limit']", 1.0, None),
        ("    return {'value': 0, 'reason': 'bad', 'format_ok': False}", 0.0, "bad"),
        ("    return None", None, "unscored"),
    ],
)
def test_what_a_function_says(tmp_path, body, value, code):
    made = score("code", "yes", None, callable=grader(tmp_path, body))
    assert made.value == value
    assert code is None or made.reason.startswith(code)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("    return 'good'", "returned str"),
        ("    return float('nan')", "returned nan"),
        ("    return {'value': 1, 'reason': 'x' * 2**21}", "over_limit|a reply of more than"),
        ("    raise ValueError('oops')", r"grader.py:4: .*right answer as well: ValueError: oops"),
        ("    os._exit(7)", "right answer as well: the process ended with exit code 7"),
        ("    time.sleep(30)", "right answer as well: longer than 2 s"),
        (
            "    if answer != 'a': raise ValueError('oops')\n    return 0",
            "and gives 0 points to the right one",
        ),
    ],
)
def test_a_function_that_is_at_fault_stops_it(tmp_path, body, said):
    with pytest.raises(InputError, match=said):
        given(tmp_path, body, "odd")


def test_a_promise_of_0_or_1_is_held(tmp_path):
    with pytest.raises(InputError, match="promises 0 or 1"):
        given(tmp_path, "    return 0.5", "a", binary=True)


@pytest.mark.parametrize(
    ("failing", "code"),
    [
        ("int(answer)", "answer_raised: ValueError: invalid literal"),
        ("os._exit(1)", "answer_crashed: the process ended with exit code 1"),
        ("time.sleep(30)", "answer_timeout: longer than 2 s"),
    ],
)
def test_an_answer_that_the_right_one_is_scored_beside_is_wrong(tmp_path, failing, code):
    body = f"    if answer == 'odd': {failing}\n    return answer == reference"
    right, odd, again = given(tmp_path, body, "a", "odd", "a")
    assert (right.value, odd.value, again.value) == (1.0, 0.0, 1.0)
    assert odd.reason.startswith(code)
    if "ValueError" in code:
        assert odd.reason.endswith("(grader.py:4)")
        assert not odd.format_ok


def test_an_answer_is_not_blamed_for_what_an_earlier_one_left_behind(tmp_path):
    body = """    if answer == 'poison': open(os.environ['TMPDIR'] + '/left', 'w').close()
    elif os.path.exists(os.environ['TMPDIR'] + '/left'): os._exit(1)
    return 1
"""
    assert [one.value for one in given(tmp_path, body, "poison", "fine")] == [1.0, 1.0]


def test_without_a_right_answer_it_is_told_by_other_answers(tmp_path):
    body = "    return 1 / (answer != 'odd')"
    first, fine, later = given(tmp_path, body, "odd", "b", "odd", sample=SAMPLE)
    assert first.value is None
    assert first.reason.startswith("not_decided: raised: ZeroDivisionError")
    assert (fine.value, later.value) == (1.0, 0.0)


def test_mistakes_are_named(tmp_path):
    with pytest.raises(ConfigError, match="callable is 'nonsense'"):
        make("code", {"callable": "nonsense"})
    with pytest.raises(ConfigError, match="no such file"):
        make("code", {"callable": "none.py:grade"})
    with pytest.raises(ConfigError, match="there is no module nowhere_to_be_found"):
        make("code", {"callable": "nowhere_to_be_found:grade"})
    with pytest.raises(ConfigError, match=r"can't be loaded: AttributeError: there is no other"):
        score("code", "a", None, callable=grader(tmp_path, "    return 1")[:-5] + "other")
    with pytest.raises(ConfigError, match="callable"):
        make("code", {})


def test_what_is_required_is_refused_where_it_is_not_there(tmp_path, monkeypatch):
    place = grader(tmp_path, "    return 1")
    monkeypatch.setattr(
        "freehold.evals.scorers.code.sandbox_state",
        lambda: sandbox.SandboxState(kind="limits", why="it is not installed", fix="install it"),
    )
    with pytest.raises(ConfigError, match="sandbox is required, and it is not installed"):
        make("code", {"callable": place, "sandbox": "required"})
    assert CodeScorer.own_sandbox({"callable": place}) == sandbox.LIMITS_ONLY
