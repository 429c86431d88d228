from tests.workflows.journey.rehearsal import Told, bench, candidate_of, project

from freehold.workflows.journey.candidate import CandidateRunner
from freehold.workflows.journey.measuring import measured


def test_a_candidate_is_measured_once_on_the_same_samples(tmp_path):
    told = Told()
    with bench(project(tmp_path), progress=told) as ready:
        candidate = candidate_of(ready.project, "as_is")
        made = CandidateRunner(ready).make(candidate).made
        first = measured(ready, candidate, made, items=5)
        again = measured(ready, candidate, made, items=5)
    assert first == again and len(first.differences) == 5
    assert [note for name, note in told.steps if "measure it on 5" in name] == [
        "",
        "unchanged since the last run",
    ]
