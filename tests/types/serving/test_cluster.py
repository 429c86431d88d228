from freehold.types.config import ClusterConfig
from freehold.types.endpoint import ServePlan
from freehold.types.serving.cluster import ClusterPlan


def test_a_replica_takes_what_it_serves_at_once_unless_said_otherwise():
    serve = ServePlan(engine="echo", model="m", parallel=6)
    plan = ClusterPlan(name="x", serve=serve, config=ClusterConfig(), memory_bytes=1)
    assert plan.requests_per_replica == 6.0
    said = ClusterPlan(name="x", serve=serve, config=ClusterConfig(requests_per_replica=2.5), memory_bytes=1)
    assert said.requests_per_replica == 2.5
