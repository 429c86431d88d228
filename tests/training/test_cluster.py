"""Two workers make the run that one makes."""

from pathlib import Path

import msgspec
import pytest
from tests.training.conftest import task_samples, write_dataset
from tests.training.runs import CONFIG

from freehold import training
from freehold.training import cluster
from freehold.training import job as jobs
from freehold.training.worker import run_job

pytest.importorskip("ray")
pytest.importorskip("pyarrow")
# Ray ends a node whose agent, a Python program of four seconds, isn't up after fifteen (ray-project/ray#65983).
pytestmark = [pytest.mark.process, pytest.mark.alone, pytest.mark.timeout(900)]

TWO = training.WorkerGroup(workers=2)


def make(tmp_path, tiny, **changes):
    # 25 samples: the last batch of an epoch has one, and one worker then none.
    dataset = write_dataset(tmp_path / "data", task_samples(25), task_samples(9))
    config = msgspec.structs.replace(CONFIG, learning_rate=0.002, epochs=30, **changes.pop("config", {}))
    return training.make(
        config=config, dataset=dataset, base=tiny, out_dir=tmp_path / "out", name="task", threads=1, **changes
    )


def test_two_workers_stopped_and_resumed_take_the_steps_of_one(tmp_path, tiny):
    alone, together = make(tmp_path / "one", tiny), make(tmp_path / "two", tiny, cluster=TWO)
    assert together.id == alone.id
    events = training.train(together)
    for event in events:
        if event.kind == "step" and event.step == 5:
            break
    events.close()
    assert training.finished_adapter(together) is None
    again = list(training.train(together))
    assert "resumed at step" in next(event.message for event in again if event.kind == "start")

    Path(alone.run_dir).mkdir(parents=True)
    assert run_job(alone, lambda event: None, lambda: False)
    one, two = training.finished_adapter(alone), training.finished_adapter(together)
    assert [step for step, _ in two.curve] == list(range(1, 121))
    for (step, wanted), (_, found) in zip(one.curve, two.curve, strict=True):
        assert found == pytest.approx(wanted, rel=1e-2), step
    assert two.metadata["validation_loss"] == pytest.approx(one.metadata["validation_loss"], rel=1e-2)
    assert two.train_tokens == one.train_tokens


def test_what_cannot_be_trained_is_said_in_one_line_and_not_tried_again(tmp_path, tiny):
    job = make(tmp_path, tiny, config={"r": 64}, cluster=TWO)
    run = tmp_path / "run"
    run.mkdir()
    (run / jobs.JOB).write_bytes(msgspec.json.encode(msgspec.structs.replace(job, run_dir=str(run))))
    cluster._loop({"run_dir": str(run)})
    (line,) = (run / jobs.EVENTS).read_text().splitlines()
    assert '"error"' in line and "rank r=64 is larger" in line
    assert (run / cluster.STOP).exists()
