"""Echo as an engine, and where its answers come from."""

import aiohttp
import pytest

from freehold import engines
from freehold.engines import keys
from freehold.engines.echo import read_answers
from freehold.errors import InputError, PortInUseError, UsageError
from freehold.types.endpoint import AdapterMount, ServePlan

pytestmark = pytest.mark.anyio


def plan(**options):
    return ServePlan(engine="echo", model="m", context_tokens=64, options=options)


async def test_in_process_it_answers_until_it_is_stopped(tmp_path, anyio_backend):
    mount = AdapterMount(name="m:shop", path="x", adapter_id="a1")
    served = ServePlan(
        engine="echo", model="m", context_tokens=64, adapters=(mount,), options={"in_process": True}
    )
    session = engines.start(served, log_dir=tmp_path, name="near")
    async with session as endpoint, aiohttp.ClientSession() as http:
        async with http.get(f"{endpoint.base_url}/v1/models", headers=keys.headers(endpoint)) as reply:
            assert [one["id"] for one in (await reply.json())["data"]] == ["m", "m:shop"]
        assert endpoint.served("m:shop").adapter_id == "a1"
        running = session.running
        assert running.health().state == "ready"
    assert running.health().state == "stopped"


async def test_plans_that_cannot_hold_are_refused(unused_port, tmp_path, anyio_backend):
    with pytest.raises(UsageError, match=r"failure_rate is 1\.5"):
        engines.check(plan(failure_rate=1.5))
    taken = ServePlan(engine="echo", model="m", port=unused_port, options={"in_process": True})
    async with engines.start(taken, log_dir=tmp_path, name="near"):
        with pytest.raises(PortInUseError):
            engines.check(taken)


def test_answer_files_say_which_line_is_wrong(tmp_path):
    path = tmp_path / "answers.jsonl"
    path.write_text('{"input": "a", "answer": "b"}\n\n{"input": "c"}\n')
    with pytest.raises(InputError, match=r"answers\.jsonl:3"):
        read_answers(str(path))
    path.write_text('{"a": "b"}')
    assert read_answers(str(path)) == {"a": "b"}
