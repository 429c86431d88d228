import msgspec
import pytest

from freehold.hardware.probes import probe_machine
from freehold.settings import load
from freehold.store import open_store
from freehold.types.config import parse
from freehold.types.machine import MeasuredSpeed, Speed
from freehold.workflows.fit.speeds import all_measured, measured, newest
from freehold.workflows.project import Project


def speed(id, rate, *, model="org/Model", quantization="Q8_0", machine="here"):
    rates = (rate, rate)
    return MeasuredSpeed(
        id=id,
        model=model,
        engine="llamacpp",
        weights_sha256=None,
        machine=machine,
        prompt_tokens=512,
        completion_tokens=64,
        quantization=quantization,
        speed=Speed(
            prefill_tokens_per_second=rates,
            decode_tokens_per_second=rates,
            decode_all_tokens_per_second=rates,
            concurrency=1,
            how="measured",
            basis="test",
        ),
    )


def test_the_newest_of_these_weights_on_this_machine_counts():
    rows = [
        speed("a", 5.0),
        speed("b", 7.0),
        speed("c", 9.0, quantization="Q4_0"),
        speed("d", 1.0, machine="there"),
    ]
    assert newest(rows, "ORG/model", "Q8_0", "here") == rows[1].speed
    assert newest(rows, "org/Model", "Q6_K", "here") is None
    assert newest(rows, "org/Other", "Q8_0", "here") is None
    unnamed = speed("e", 3.0, quantization=None)
    assert newest([*rows, unnamed], "org/Model", "Q6_K", "here") == unnamed.speed


@pytest.fixture
def project(tmp_path):
    return Project(
        tmp_path, parse('[app]\nname = "t"\n'), load({"FREEHOLD_HOME": str(tmp_path / "home")}), None
    )


def test_a_project_without_a_store_has_none_and_gets_none(project, tmp_path):
    assert all_measured(project) == ()
    assert not (tmp_path / ".freehold").exists()


def test_what_was_kept_is_found_for_this_machine(project):
    here = probe_machine(project.settings.home).name
    row = speed("a", 5.0, machine=here)
    with open_store(project.store_url) as store:
        store.put(row)
        store.put(msgspec.structs.replace(row, id="b", machine="elsewhere"))
    assert [one.id for one in all_measured(project)] == ["a", "b"]
    assert measured(project, "org/model", "Q8_0") == row.speed
    assert measured(project, "org/model", "Q4_0") is None
