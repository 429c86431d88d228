import asyncio

import pytest
from tests.evals.scorers.conftest import SAMPLE, score

from freehold.errors import ConfigError
from freehold.evals.scorers import make


def grader(tmp_path, body):
    path = tmp_path / "grader.py"
    path.write_text("import os, time, sys\n\ndef grade(answer, reference, sample):\n" + body)
    return f"{path}:grade"


@pytest.mark.parametrize(
    ("body", "given_value", "code"),
    [
        ("    return len(answer) <= sample['metadata']['limit']", 1.0, None),
        ("    return 0.25", 0.25, None),
        ("    return {'value': 0, 'reason': 'bad', 'format_ok': False}", 0.0, "bad"),
        ("    return None", None, "unscored"),
        ("    return 'good'", None, "grader_failed"),
        ("    return float('nan')", None, "grader_failed"),
        ("    return 1.5", None, "grader_failed"),
        ("    raise ValueError('oops')", None, "grader_failed"),
        ("    os._exit(7)", None, "grader_crashed"),
        ("    time.sleep(30)", None, "timeout"),
        ("    return bool('x' * 10**10)", None, "grader_failed"),
    ],
)
def test_code(tmp_path, body, given_value, code):
    given = score("code", "yes", None, callable=grader(tmp_path, body), seconds=0.7)
    assert given.value == given_value
    assert code is None or given.reason.startswith(code)


def test_code_goes_on_after_a_crash_and_a_hang(tmp_path):
    body = "    if answer == 'die': os._exit(1)\n    if answer == 'hang': time.sleep(30)\n"
    body += "    return answer == reference"

    async def go():
        scorer = make("code", {"callable": grader(tmp_path, body), "seconds": 0.7, "timeout": "wrong"})
        given = [
            (await scorer.score(SAMPLE, answer, "a")).value for answer in ("a", "die", "a", "hang", "b", "a")
        ]
        await scorer.close()
        return given

    assert asyncio.run(go()) == [1.0, None, 1.0, 0.0, 0.0, 1.0]


def test_code_mistakes_are_named(tmp_path):
    with pytest.raises(ConfigError, match="callable is 'nonsense'"):
        make("code", {"callable": "nonsense"})
    with pytest.raises(ConfigError, match="no such file"):
        make("code", {"callable": "none.py:grade"})
    with pytest.raises(ConfigError, match=r"can't be loaded: AttributeError"):
        score("code", "a", None, callable=grader(tmp_path, "    return 1")[:-5] + "other")
    with pytest.raises(ConfigError, match="callable"):
        make("code", {})
