"""One job for all methods, on one thread."""

import pytest
import torch
from tests.training.conftest import task_samples, write_dataset
from tests.training.methods.runs import CONFIG

from freehold import training


@pytest.fixture(autouse=True)
def _one_thread():
    """Threads that wait for each other make tiny products slow on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def job(tmp_path_factory, tiny):
    folder = tmp_path_factory.mktemp("methods")
    dataset = write_dataset(folder / "data", task_samples(24), task_samples(9))
    return training.make(config=CONFIG, dataset=dataset, base=tiny, out_dir=folder / "out", name="x")
