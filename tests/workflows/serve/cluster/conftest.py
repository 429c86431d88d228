"""Plans for a cluster."""

import pytest

from freehold.settings import load
from freehold.types.config import AppConfig, ClusterConfig, ProjectConfig
from freehold.types.endpoint import AdapterMount, ServePlan
from freehold.workflows.project import Project
from freehold.workflows.serve.cluster import cluster


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "m.gguf"
    path.write_bytes(bytes(1000))
    return str(path)


@pytest.fixture
def made(tmp_path, weights):
    """A plan of two to four replicas; fields change `[cluster]`."""

    def make(serve=None, **fields):
        config = {"min_replicas": 2, "max_replicas": 4, "cpus": 1.5, "memory_gib": 3.0, **fields}
        project = Project(tmp_path, ProjectConfig(app=AppConfig(name="Support Intents!")), load(), None)
        mounts = (AdapterMount(name="org/base:shop", path="/adapters/shop"),)
        serve = serve or ServePlan(
            engine="llamacpp", model="org/base", weights_path=weights, adapters=mounts, parallel=3
        )
        return cluster.plan(project, serve, ClusterConfig(**config))

    return make
