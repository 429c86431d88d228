"""What a request costs a worker, counted: no timing on a shared machine sees two percent, these numbers see each call.

A change that raises one says why in its commit, and raises the budget; `python tests/gateway/counted.py --functions`
lists what is called.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.process
BUDGETS = {
    "plain": {"calls": 29, "c_calls": 56, "functions": 29, "files": 11},
    "limited": {"calls": 48, "c_calls": 76, "functions": 46, "files": 17},
    "chunk": {"calls": 6, "c_calls": 10, "functions": 6, "files": 6},
}
"""For a plain request, one under a limit of requests and tokens, a chunk of a stream."""
NOT_LOADED = {"jsonschema", "numpy", "scipy", "sqlalchemy", "zstandard"}


@pytest.fixture(scope="module")
def counted():
    program = Path(__file__).with_name("counted.py")
    ran = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


@pytest.mark.parametrize("what", BUDGETS)
def test_a_request_does_no_more_than_its_budget(counted, what):
    budget = BUDGETS[what]
    assert {name: counted[what][name] for name in budget if counted[what][name] > budget[name]} == {}, budget


def test_a_worker_that_answers_has_loaded_nothing_heavy(counted):
    assert NOT_LOADED.isdisjoint(counted["modules"])
