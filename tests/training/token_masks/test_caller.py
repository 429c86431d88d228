"""The parent's side, with a real child: pages are kept, a child that hangs ends, no training library is loaded here."""

import subprocess
import sys

import msgspec
import pytest
from tests.training.conftest import task_samples, write_dataset

from freehold.bounded.pool import OutOfBoundsError
from freehold.errors import TrainingError
from freehold.training.token_masks import caller
from freehold.types.config import FinetuneConfig
from freehold.types.planning.token_mask import MaskRequest

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def request_here(tmp_path, tiny):
    dataset = write_dataset(tmp_path / "data", task_samples(4))
    return MaskRequest(base=tiny, dataset=dataset, config=FinetuneConfig(), samples=tuple(task_samples(2)))


@pytest.fixture
def masks():
    made = caller.MaskCaller()
    yield made
    made.close()


def test_a_page_comes_from_a_child_and_a_second_look_costs_none(masks, request_here, monkeypatch):
    found = masks.masks(request_here)
    assert [one.id for one in found.samples] == ["s0", "s1"]
    assert any(run.learned and "order" in "".join(run.tokens) for run in found.samples[0].runs)
    monkeypatch.setattr(masks._caller, "run", lambda *told, **bounds: pytest.fail("asked again"))
    assert masks.masks(request_here) is found
    assert max(map(len, masks._pages)) <= 64, "not the samples, which may hold pictures"


def test_after_a_while_unused_the_child_is_gone_and_the_next_page_starts_another(masks, request_here):
    masks.masks(request_here)
    masks.close()
    other = msgspec.structs.replace(request_here, samples=tuple(task_samples(3)[2:]))
    assert [one.id for one in masks.masks(other).samples] == ["s2"]


def test_a_child_is_ended_by_its_timer(request_here):
    made = caller.MaskCaller(idle_s=0.0)
    made.masks(request_here)
    made._end.join()
    assert made._caller._link is None


@pytest.mark.parametrize(
    ("why", "words"), [("time", "120 seconds"), ("memory", "too much memory"), ("died", "ended")]
)
def test_a_child_that_does_not_come_to_an_end_is_told(masks, request_here, monkeypatch, why, words):
    def hangs(*told, **bounds):
        assert bounds["cpu_s"] > 0 and bounds["wall_s"] > 0
        raise OutOfBoundsError(why)

    monkeypatch.setattr(masks._caller, "run", hangs)
    with pytest.raises(TrainingError, match=words) as told:
        masks.masks(request_here)
    assert told.value.hint.endswith("freehold dataset show --tokens 3")
    assert not told.value.hint.startswith("freehold"), (
        "a screen shows what begins so as a command, to be copied"
    )
    assert not masks._pages, "a failure is not kept: the next look tries again"


def test_the_asking_process_loads_no_training_library():
    program = (
        "import sys; from freehold.training.token_masks.caller import MaskCaller; MaskCaller(); "
        "sys.exit(bool({'torch', 'transformers'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
