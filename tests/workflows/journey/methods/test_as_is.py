from tests.workflows.journey.rehearsal import Told, bench, candidate_of, project

from freehold.types.machine import Fit
from freehold.workflows.journey.methods import METHODS, Made


def test_a_plan_by_name_and_no_records(tmp_path):
    told = Told()
    with bench(project(tmp_path), progress=told) as ready:
        made = METHODS["as_is"].make(candidate_of(ready.project, "as_is"), ready)
        assert ready.store.latest(Fit) is None
    assert made == Made(plan=made.plan), "nothing but the plan"
    serve = ready.project.config.serve
    assert (made.plan.engine, made.plan.model) == ("echo", ready.project.config.models[0])
    assert (made.plan.options, made.plan.weights_path, made.plan.adapters) == (serve.options, None, ())
    assert told.steps == []
