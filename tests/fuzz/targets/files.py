"""Targets of files from strangers: headers of weights, exports of other tools, results of evaluations.

What holds: `InputError`, or what was read; a bad record of an export is a reject with its line.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import struct
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zstandard
from tests.fuzz.draw import Draw, changed, flipped, text_of
from tests.fuzz.target import Target
from tests.fuzz.targets.wire import CHAT, COMPLETION, MESSAGES, RESPONSE, RESPONSES

from freehold.datasets import importing
from freehold.errors import InputError, MissingExtraError
from freehold.evals import outputs as evaluations
from freehold.evals.outputs import OutputSource
from freehold.hardware import hf_config
from freehold.hardware.gguf_header import read_header
from freehold.hardware.model_files import kind_of, safetensors_header
from freehold.types.config import DataConfig

_FOLDER = tempfile.TemporaryDirectory(prefix="freehold-fuzz-")
_ROOT = Path(_FOLDER.name)
_ASKED = [{"role": "user", "content": "where is my lamp"}]
_SAID = {"role": "assistant", "content": "on its way"}


def _attributes(**values: Any) -> list[dict[str, Any]]:
    return [{"key": key.replace("__", "."), "value": {"stringValue": value}} for key, value in values.items()]


_SPAN = {
    "traceId": "t", "spanId": "s", "name": "chat", "startTimeUnixNano": "1760000000000000000",
    "endTimeUnixNano": "1760000000500000000",
    "attributes": _attributes(
        gen_ai__operation__name="chat", gen_ai__request__model="m", llm__model_name="m",
        gen_ai__input__messages='[{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]',
        gen_ai__output__messages='[{"role": "assistant", "parts": [{"type": "text", "content": "a"}]}]',
        llm__input_messages__0__message__role="user", llm__input_messages__0__message__content="hi",
        llm__output_messages__0__message__content="a", openinference__span__kind="LLM",
    ),
}  # fmt: skip
RECORDS: tuple[Any, ...] = (
    {"resourceSpans": [{"scopeSpans": [{"spans": [_SPAN]}]}]},
    {"type": "sampling", "run_id": "r", "event_id": 1, "sample_id": "s", "data": {"prompt": _ASKED, "sampled": ["a"]}},
    {"spec": {"completion_fns": ["gpt-4o"], "run_id": "r", "eval_name": "e"}},
    {**COMPLETION, "messages": _ASKED, "metadata": {"k": "v"}, "object": "chat.completion", "request_id": "r"},
    {**RESPONSE, "input": RESPONSES["input"], "instructions": "x", "created_at": 1760000000},
    {"request_body": CHAT, "response_body": COMPLETION, "helicone_properties": {"a": "b"}, "request_created_at": "x",
     "request": {"body": CHAT}, "response": {"body": COMPLETION}},
    {"request_id": "r", "call_type": "acompletion", "messages": _ASKED, "response": COMPLETION, "spend": 0.1,
     "startTime": "2026-05-01T10:00:00Z", "proxy_server_request": {"body": CHAT}},
    {"id": "r", "run_type": "llm", "inputs": {"messages": [[{"lc": 1, "type": "constructor", "id": ["HumanMessage"],
     "kwargs": {"content": "hi"}}]]}, "outputs": {"generations": [[{"text": "a", "message": _SAID}]]},
     "start_time": "2026-05-01T10:00:00", "extra": {"invocation_params": {"model": "m"}, "metadata": {}}},
    {"id": "g1", "traceId": "t1", "type": "GENERATION", "name": "a", "startTime": "2026-05-01T10:00:00.000Z",
     "model": "m", "modelParameters": {"temperature": "0"}, "metadata": {"tenant": "a"},
     "usageDetails": {"input": 9, "output": 3}, "input": {"messages": _ASKED}, "output": _SAID},
    {"prompt": _ASKED, "chosen": [_SAID], "rejected": [{**_SAID, "content": "no"}], "label": True},
    {"input": {"messages": _ASKED}, "preferred_output": [_SAID], "non_preferred_output": [_SAID]},
    {"request": CHAT, "response": COMPLETION, "at": "2026-05-01T10:00:00Z"},
    {"request": MESSAGES, "response": {"type": "message", "content": [{"type": "text", "text": "a"}]}},
    {"messages": [*_ASKED, {**_SAID, "weight": 1}], "tools": CHAT["tools"], "metadata": '{"a": 1}', "gold": "x"},
    {"conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "a"}], "system": "be kind"},
    {"instruction": "do", "input": "this", "output": "that", "history": [["a", "b"]]},
    {"question": "where", "answer": "here", "user": "u", "created_at": 1760000000, "id": 7},
)  # fmt: skip
RESULTS: tuple[Any, ...] = (
    {"doc_id": 1, "doc": {"question": "q"}, "target": "a", "resps": [["a"]], "filtered_resps": ["a"],
     "filter": "none", "metrics": ["acc"], "acc": 1.0},
    {"eval": {"task": "t"}, "samples": [{"id": 1, "epoch": 1, "input": [{"role": "user", "content": "q"}],
     "target": ["a"], "scores": {"match": {"value": "C"}}, "output": {"choices": [{"message": _SAID}]}}]},
    {"results": {"results": [{"vars": {"q": "x"}, "response": {"output": "a"}, "success": True, "score": 1.0,
     "provider": {"id": "p"}, "prompt": {"raw": "q"}, "testIdx": 0, "promptIdx": 0}]}},
    {"spec": {"run_id": "r"}}, {"sample_id": "s", "type": "match", "data": {"correct": True, "sampled": "a"}},
    {"id": "1", "output": "a", "gold": "a", "score": 1.0},
)  # fmt: skip
CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 128, "vocab_size": 1000, "head_dim": 16,
    "max_position_embeddings": 2048, "tie_word_embeddings": True, "torch_dtype": "bfloat16", "sliding_window": 512,
    "layer_types": ["full_attention", "sliding_attention"], "num_experts": 4, "num_experts_per_tok": 2,
    "text_config": {"hidden_size": 64}, "quantization_config": {"quant_method": "gptq", "bits": 4},
    "moe_intermediate_size": 32, "kv_lora_rank": 8, "q_lora_rank": 8, "rope_scaling": {"factor": 2.0},
}  # fmt: skip


def _file(name: str, data: bytes) -> Path:
    path = _ROOT / name
    path.write_bytes(data)
    return path


def _text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def small_gguf() -> bytes:
    """A sound GGUF of one tensor and every kind of metadata, made by hand."""
    pairs = [
        _text("general.architecture") + struct.pack("<I", 8) + _text("llama"),
        _text("general.alignment") + struct.pack("<II", 4, 32),
        _text("general.file_type") + struct.pack("<II", 4, 0),
        _text("llama.block_count") + struct.pack("<IQ", 10, 2),
        _text("a.floats") + struct.pack("<IIQ2f", 9, 6, 2, 0.5, 1.0),
        _text("a.words") + struct.pack("<IIQ", 9, 8, 2) + _text("a") + _text("b"),
        _text("a.nested") + struct.pack("<IIQ", 9, 9, 1) + struct.pack("<IQ2B", 0, 2, 7, 8),
    ]
    tensor = _text("w") + struct.pack("<IQQIQ", 2, 4, 2, 0, 0)
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, len(pairs)) + b"".join(pairs) + tensor
    return head + bytes(-len(head) % 32) + bytes(32)


def small_safetensors(listed: Any) -> bytes:
    head = json.dumps(listed).encode()
    return struct.pack("<Q", len(head)) + head + bytes(64)


def gguf(data: bytes) -> None:
    path = _file("model.gguf", data)
    with contextlib.suppress(InputError):
        kind_of(path)
        header = read_header(path)
        _ = (header.architecture, header.quantization, header.tensor_bytes)


_TENSORS = {"__metadata__": {"format": "pt"}, "w": {"dtype": "F16", "shape": [4, 8], "data_offsets": [0, 64]}}


def safetensors(data: bytes) -> None:
    draw = Draw(data)
    made = flipped(draw, small_safetensors(changed(draw, _TENSORS))) if draw.below(2) else draw.rest()
    path = _file("model.safetensors", made)
    with contextlib.suppress(InputError):
        kind_of(path)
        safetensors_header(path)


def config(data: bytes) -> None:
    draw = Draw(data)
    path = _file("config.json", text_of(draw, CONFIG))
    with contextlib.suppress(InputError):
        kind_of(path)
        hf_config.shape_from_config(path)


def _arrow(values: list[Any], write: str) -> bytes:
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.Table.from_pylist(
        [value if isinstance(value, dict) else {"text": str(value)} for value in values]
    )
    out = io.BytesIO()
    if write == "parquet":
        pyarrow.parquet.write_table(table, out)
    else:
        with pyarrow.ipc.new_file(out, table.schema) as writer:
            writer.write_table(table)
    return out.getvalue()


def _lines(draw: Draw, seeds: tuple[Any, ...]) -> tuple[list[Any], bytes]:
    seed = draw.one_of(seeds)
    values = [changed(draw, seed) for _ in range(1 + draw.below(3))]
    return values, b"\n".join(json.dumps(value).encode() for value in values) + b"\n"


def _csv(draw: Draw) -> bytes:
    heads = ("prompt", "completion", "messages", "", "id", "prompt", 'a"b', "at", "user", "ünter")
    cells = (
        "x",
        "",
        '"a ""b"" c"',
        '"two\nlines"',
        "[1",
        '[{"role": "user", "content": "x"}]',
        "\0",
        '"open',
        "é",
        "1",
    )
    mark = draw.one_of((",", ";", "\t"))
    rows = [mark.join(draw.one_of(heads) for _ in range(1 + draw.below(4)))]
    rows += [mark.join(draw.one_of(cells) for _ in range(draw.below(6))) for _ in range(draw.below(5))]
    return draw.one_of(("\n", "\r\n", "\r")).join(rows).encode(draw.one_of(("utf-8", "latin-1", "utf-16")))


def exports(data: bytes) -> None:
    draw = Draw(data)
    kind = draw.one_of(("jsonl", "json", "jsonl", "csv", "jsonl", "parquet", "arrow", "txt"))
    if kind == "csv":
        made = _csv(draw)
    elif kind == "txt":
        made = draw.take(200)
    else:
        values, made = _lines(draw, RECORDS)
        if kind == "json":
            made = json.dumps(values if draw.below(2) else values[0], indent=draw.one_of((None, 1))).encode()
        elif kind in ("parquet", "arrow"):
            try:
                made = _arrow(values, kind)
            except Exception:  # what pyarrow cannot write is not an export
                return
    made = flipped(draw, made)
    packed = draw.one_of(("", "", "", ".gz", ".zst"))
    pack: dict[str, Callable[[bytes], bytes]] = {
        ".gz": lambda raw: gzip.compress(raw, 1),
        ".zst": zstandard.compress,
    }
    if packed:
        made = flipped(draw, pack[packed](made))
    formats = ("auto", "auto", "auto", *importing.FORMATS[1:])
    given = DataConfig(format=draw.one_of(formats))
    path = _file(f"export.{kind}{packed}", made)
    with contextlib.suppress(InputError, MissingExtraError):
        for outcome in importing.read(path, given):
            if isinstance(outcome, importing.Imported):
                json.dumps([outcome.request, outcome.response])


def results(data: bytes) -> None:
    draw = Draw(data)
    values, made = _lines(draw, RESULTS)
    if draw.below(4) == 0:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr("header.json", json.dumps({"eval": {}}))
            for number, value in enumerate(values):
                inner = value.get("samples") if isinstance(value, dict) else None
                sample = inner[0] if isinstance(inner, list) and inner else value
                archive.writestr(f"samples/{number}_epoch_1.json", json.dumps(sample))
        made = out.getvalue()
    path = _file("results.eval", flipped(draw, made))
    with contextlib.suppress(InputError):
        evaluations.read_outputs(OutputSource(path, draw.one_of((None, "match", "none"))))


def _each(count: int, *more: int) -> tuple[bytes, ...]:
    return tuple(bytes([*more, n, *(0 for _ in range(16))]) for n in range(count))


TARGETS = (
    Target("gguf", gguf, "headers of GGUF files", (small_gguf(),)),
    Target(
        "safetensors",
        safetensors,
        "headers of safetensors files",
        (b"\1\0\0", b"\0" + small_safetensors(_TENSORS)),
    ),
    Target("config-json", config, "config.json of models", (bytes(8),)),
    Target(
        "exports", exports, "exports of other tools, in every container", _each(len(RECORDS), 0) + _each(8)
    ),
    Target("results", results, "results of other evaluation tools", _each(len(RESULTS))),
)
