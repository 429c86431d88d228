import json
import math
import random
from datetime import timedelta

import numpy as np
import pytest
from click.testing import CliRunner
from msgspec.structs import replace
from tests.workflows.shift.shifting import START, trace

from freehold.cli.main import cli
from freehold.errors import UsageError
from freehold.stats.sequential import AipwCanary, Exposure
from freehold.store import default_url, open_store
from freehold.workflows.shift.rollout.simulate import (
    Degradations,
    SimulatedRollout,
    User,
    aipw_crossings,
    simulate,
    users_of,
)

LOG = [User(60.0 * number, 1 + number % 3, number % 50 == 0, 100.0 + number % 7) for number in range(500)]


ROLLOUT = SimulatedRollout(margin=0.1, shadow_share=0.5, canary_share=0.5, max_p95_ms=150.0)
DEGRADATIONS = Degradations(drops=(0.3,), more_errors=(0.2,), slower=(2.0,))


def run(*, rollout=ROLLOUT, degradations=DEGRADATIONS, **options):
    return simulate(LOG, rollout, degradations, **{"users": 600, "runs": 100, **options})


def test_it_is_the_same_process_as_the_one_that_decides():
    draw = random.Random(3)
    candidate = np.array([[draw.random() < 0.3 for _ in range(400)] for _ in range(5)])
    scores = np.array([[float(draw.random() > (0.2 if c else 0.02)) for c in row] for row in candidate])
    found = aipw_crossings(candidate, scores, 0.3, margin=0.005, alpha=0.01)
    for row, values, at in zip(candidate, scores, found, strict=True):
        state, first = AipwCanary(margin=0.005), -1
        for place, (chosen, score) in enumerate(zip(row, values, strict=True)):
            state = state.update([Exposure(bool(chosen), float(score), 0.3)])
            if first < 0 and state.log_e >= math.log(100):
                first = place
        assert at == first


def test_harm_is_found_and_what_is_within_the_margin_is_left_alone():
    made = run()
    rows = {(row.what, row.assumed): row for row in made.rows}
    assert len(rows) == 8 and made.false_alarms <= 0.05
    for row in rows.values():
        assert row.acted > 0.9 if row.harmful else row.acted <= 0.06, row
    found = rows["quality", "30.0% of answers turn wrong"]
    assert 10 < found.users_median < found.users_90 < 300
    assert found.requests_median > found.users_median and found.hours_median == (found.users_median - 1) / 60
    assert rows["latency", "answers take 2 times as long"].users_median < 60


def test_a_smaller_share_takes_longer_and_the_seed_decides():
    slow = next(
        row
        for row in run(rollout=replace(ROLLOUT, canary_share=0.05), users=3000).rows
        if "20.00% more" in row.assumed
    )
    quick = next(row for row in run(users=3000).rows if "20.00% more" in row.assumed)
    assert slow.users_median > quick.users_median
    assert run() == run() and run() != run(seed=1)


@pytest.mark.parametrize(
    "changes",
    [
        {"rollout": replace(ROLLOUT, shadow_share=0.0)},
        {"rollout": replace(ROLLOUT, canary_share=1.0)},
        {"degradations": replace(DEGRADATIONS, drops=(5.0,))},
        {"degradations": replace(DEGRADATIONS, more_errors=(-1.0,))},
    ],
)
def test_shares_outside_their_range_are_refused(changes):
    with pytest.raises(UsageError, match="share"):
        run(**changes)


def test_users_come_from_the_log_in_the_order_of_their_first_request(tmp_path):
    with open_store(default_url(tmp_path)) as store:
        with pytest.raises(UsageError, match="no log to replay"):
            users_of(store, route=None, since=None, most_requests=5)
        store.add_traces(
            [
                trace(1, user="ada"),
                trace(2, user="bob", status=500),
                *[trace(n, user="ada", total_ms=300.0) for n in range(3, 12)],
                trace(20, user="eve", route="other"),
            ]
        )
        found = users_of(store, route="support", since=None, most_requests=5)
        assert found == [User(0.0, 5, 0, 300.0), User(1.0, 1, 1, 100.0)]
        assert len(users_of(store, route=None, since=START + timedelta(seconds=20), most_requests=5)) == 1


def test_the_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "freehold.toml").write_text('[app]\nname = "x"\n[task]\nmargin = 0.1\n')
    (tmp_path / ".freehold").mkdir()
    with open_store(f"sqlite:///{tmp_path / '.freehold' / 'freehold.sqlite'}") as store:
        store.add_traces(trace(number) for number in range(100))
    words = ["rollout", "simulate", "--runs", "50", "--users", "200", "--drop", "0.5", "--errors", "0.5"]
    shown = CliRunner().invoke(cli, words)
    assert shown.exit_code == 0 and "(would be a false alarm)" in shown.stdout and "seed 0" in shown.stdout
    assert "nothing wrong: any test acts in" in shown.stdout
    assert json.loads(CliRunner().invoke(cli, [*words, "--json"]).stdout)["users"] == 200
