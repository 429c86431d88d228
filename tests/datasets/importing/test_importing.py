"""Formats are recognised, records read or rejected with their line."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.datasets.importing import exports
from tests.datasets.importing.exports import ASKED, CALL, CHAT, PAIR, TOOL, answer, one, write
from tests.rows.written import CHATS, asked

from freehold.datasets import importing
from freehold.datasets.importing import (
    IMPORTERS,
    Imported,
    PassedOver,
    RejectedRecord,
    check_fields,
    named,
    read,
    sniff,
)
from freehold.errors import ConfigError, InputError
from freehold.types.config import DataConfig
from freehold.types.trace import Usage


def test_csv_with_line_breaks_and_bad_rows(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('text,category\n"two\nlines",x\nlonely\nhello,y,z\n,x\n')
    records = list(read(path, DataConfig(input="text", label="category", system="Sort.")))
    first, *rest = records
    assert first.request["messages"] == [
        {"role": "system", "content": "Sort."},
        {"role": "user", "content": "two\nlines"},
    ]
    assert first.gold == "x"
    assert [type(record) for record in rest] == [RejectedRecord, RejectedRecord, RejectedRecord]
    assert "more fields" in rest[1].reason


OTHER_KINDS = (b"ARROW1", b"PAR1", b"PK\x03\x04", b"\xff\xfe", b"\xfe\xff", b"\x1f\x8b", b"\x28\xb5\x2f\xfd")
"""How files begin that are no lines of text, whatever they are called: these may be refused as a whole."""


@pytest.mark.process
@given(st.lists(st.binary(max_size=60), max_size=8))
@example([b"ARROW1"])
@example([b"PK\x03\x04"])
def test_any_bytes_give_records_or_rejects_never_a_crash(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("fuzz") / "a.jsonl"
    path.write_bytes(b"\n".join(lines))
    try:
        for record in read(path, DataConfig(format="pairs")):
            assert isinstance(record, Imported | RejectedRecord)
    except InputError:
        assert path.read_bytes().lstrip().startswith(OTHER_KINDS)


def test_a_format_that_is_not_there_names_the_nearest(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"messages": []}\n')
    with pytest.raises(ConfigError, match=r"data\.format is langfuze") as caught:
        sniff(path, DataConfig(format="langfuze"))
    assert caught.value.hint == "did you mean langfuse?"
    with pytest.raises(ConfigError) as caught:
        named("zzz")
    assert "auto, opentelemetry" in (caught.value.hint or "")


def test_a_named_field_stands_in_some_record_of_one_file_or_the_name_is_wrong(tmp_path):
    plain = {"text": "x", "incumbent": "a"}
    early = write(tmp_path / "early.jsonl", *[plain] * 30)
    late = write(tmp_path / "late.jsonl", *[plain] * 30, {**plain, "gold": "b"})
    data = DataConfig(input="text", label="gold", incumbent="incumbent")
    check_fields([early, late], data)
    check_fields([late], data)
    check_fields([early], data, DataConfig(incumbent="incumbent"))
    check_fields([write(tmp_path / "chats.jsonl", CHAT)], data)  # has no fields to name
    (tmp_path / "folder").mkdir()
    write(tmp_path / "folder" / "a.jsonl", {**plain, "gold": "b"})
    (tmp_path / "folder" / "b.csv").write_text("other,columns\n1,2\n")
    (tmp_path / "folder" / "empty.jsonl").touch()
    check_fields([tmp_path / "folder"], data)  # what is of no use in a folder is passed over
    with pytest.raises(InputError, match="no record has a field 'gold'; fields are: text, incumbent"):
        check_fields([early], data)
    with pytest.raises(InputError, match="no record has a field 'incumbnt'") as told:
        check_fields([early, late], DataConfig(input="text", label="gold", incumbent="incumbnt"))
    assert told.value.hint == "did you mean incumbent?" and "late.jsonl" in told.value.path


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ("{nope", "not valid JSON"),
        ("[1]", "expected a JSON object, got list"),
        ({"messages": []}, "messages is missing or empty"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role: Invalid enum value 'wizard'"),
        ({"messages": [{"role": "user", "content": "x"}]}, "not from the assistant"),
        ({"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": ""}]}, "is empty"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "no user message"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content: Expected `str"),
        ({"messages": [{"role": "user"}]}, "has no content"),
        ({**CHAT, "metadata": [1]}, "metadata is not an object"),
    ],
)
def test_bad_records_are_rejected_by_line(tmp_path, record, reason):
    good, bad, again = read(write(tmp_path / "a.jsonl", CHAT, record, CHAT), DataConfig(format="openai"))
    assert isinstance(good, Imported) and isinstance(again, Imported)
    assert isinstance(bad, RejectedRecord)
    assert bad.line == 2
    assert reason in bad.reason


@pytest.mark.parametrize(
    "history",
    [
        [{"role": "assistant", "content": None, "tool_calls": [CALL]}, {"role": "tool", "content": None}],
        [
            {"role": "assistant", "function_call": CALL["function"]},
            {"role": "function", "name": "find", "content": None},
        ],
        [{"role": "assistant", "content": None, "refusal": "No."}, {"role": "user", "content": "please"}],
    ],
)
def test_what_the_api_allows_is_kept(tmp_path, history):
    turns = [{"role": "user", "content": "x"}, *history, {"role": "assistant", "content": "z"}]
    (found,) = read(write(tmp_path / "a.jsonl", {"messages": turns}), DataConfig(format="openai"))
    assert isinstance(found, Imported)
    assert len(found.request["messages"]) == 3


def test_columns_are_guessed_and_said(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text;category;region\nwhere is it;order;EU\n")
    source = importing.sniff(path)
    assert (
        source.mapping["asked"] == "text (guessed)" and source.mapping["right answer"] == "category (guessed)"
    )
    assert source.mapping["slices"] == "region"
    (found,) = importing.read(path)
    assert (found.gold, found.metadata) == ("order", {"region": "EU"})


def test_a_table_of_calls_says_model_time_tokens_and_latency(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(
        "ts,utterance,intent,model,prompt_tokens,completion_tokens,latency_ms\n"
        "2026-11-03 10:00:00,where is it,order,gpt-4.1-mini,30,2,412.5\n"
    )
    assert "slices" not in importing.sniff(path).mapping
    (found,) = importing.read(path)
    assert (found.request["model"], found.total_ms, found.metadata) == ("gpt-4.1-mini", 412.5, {})
    assert (found.usage.prompt_tokens, found.at.isoformat()) == (30, "2026-11-03T10:00:00+00:00")
    path.write_text("text,label,model,time\nit rattles,brakes,Corolla,morning\n")
    (of_cars,) = importing.read(path)
    assert of_cars.request["model"] == "" and of_cars.metadata == {"model": "Corolla", "time": "morning"}


@pytest.mark.parametrize("name", ["ts", "time", "startTime"])
def test_chats_say_when_they_were_asked(tmp_path, name):
    messages = [*ASKED, {"role": "assistant", "content": "ok"}]
    _, found = one(tmp_path, {"messages": messages, name: 1_767_225_600})
    assert found.at.isoformat() == "2026-01-01T00:00:00+00:00" and found.metadata == {}


def test_a_table_without_the_usual_names_says_what_it_has(tmp_path):
    with pytest.raises(InputError, match="no field for the question; fields are: q, a"):
        exports.read(tmp_path, {"q": "x", "a": "y"})
    _, found = one(tmp_path, {"question": [ASKED], "label": "x", "function": [TOOL["function"]]})
    assert found.request["tools"] == [TOOL] and found.request["messages"] == ASKED


def test_alpaca_and_sharegpt(tmp_path):
    _, found = one(tmp_path, {"instruction": "Sort.", "input": "b a", "output": "a b"})
    assert found.request["messages"] == [{"role": "user", "content": "Sort.\n\nb a"}]
    assert answer(found)["content"] == "a b"
    turns = [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "hello"}]
    format, found = one(tmp_path, {"conversations": turns})
    assert format == "openai" and found.request["messages"] == [{"role": "user", "content": "hi"}]


def test_the_time_is_the_record_s_else_the_answer_s(tmp_path):
    answered = {**PAIR, "response": {**PAIR["response"], "created": 1_767_225_600}}
    plain, told, both = read(
        write(tmp_path / "a.jsonl", PAIR, answered, {**answered, "at": "2026-03-01T08:00:00Z"})
    )
    assert plain.at is None
    assert told.at.isoformat() == "2026-01-01T00:00:00+00:00"
    assert both.at.isoformat() == "2026-03-01T08:00:00+00:00"


def test_lines_of_a_batch_job_are_pairs_at_the_batch_price(tmp_path):
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}
    answer = {
        "choices": [{"message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 2},
    }
    _, found = one(
        tmp_path,
        {
            "request": {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": body},
            "response": {
                "id": "batch_req_1",
                "custom_id": "a",
                "response": {"status_code": 200, "body": answer},
            },
        },
    )
    assert found.usage == Usage(prompt_tokens=10, completion_tokens=2, service_tier="batch")
    message = {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "text", "text": "hi"}],
        "usage": {"input_tokens": 10, "output_tokens": 2},
    }
    _, of_anthropic = one(
        tmp_path,
        {
            "request": {"custom_id": "a", "params": {**body, "model": "claude-haiku-4-5", "max_tokens": 9}},
            "response": {"custom_id": "a", "result": {"type": "succeeded", "message": message}},
        },
    )
    assert of_anthropic.usage == found.usage


KEYS = [key for known in (
    "messages role content tool_calls function name arguments input output request response inputs outputs",
    "run_type type choices message parts item sample prompt chosen rejected completion label observations",
    "request_body response_body request_id call_type spend resourceSpans resourceLogs scopeSpans spans attributes",
    "events id kwargs metadata extra generations data trace datasource_item text",
) for key in known.split()]  # fmt: skip


anything = st.recursive(
    st.none() | st.integers(-5, 5) | st.sampled_from(["user", "tool", "llm", "assistant", "", "{"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=10,
)


lines = st.lists(st.dictionaries(st.sampled_from(KEYS), anything, max_size=5), min_size=3, max_size=6)


@pytest.mark.parametrize("importer", IMPORTERS, ids=lambda one: one.name)
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(records=lines)
def test_any_record_is_imported_rejected_or_passed_over(tmp_path_factory, importer, records):
    path = tmp_path_factory.mktemp("fuzz") / "a.jsonl"
    records.append({"text": 1, "label": 1})
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    named = {"input": "text", "label": "label"} if importer.name == "columns" else {}

    for found in importing.read(path, DataConfig(format=importer.name, **named)):
        assert isinstance(found, Imported | RejectedRecord | PassedOver)


@pytest.mark.process
def test_a_saved_hugging_face_dataset_keeps_its_splits(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    for split, texts in (("train", ["a", "b"]), ("test", ["c"])):
        folder = tmp_path / "saved" / split
        folder.mkdir(parents=True)
        table = pyarrow.Table.from_pylist([{"text": text, "label": "x"} for text in texts])
        name = "data-00000-of-00001.arrow"
        with (
            pyarrow.OSFile(str(folder / name), "wb") as sink,
            pyarrow.ipc.new_stream(sink, table.schema) as stream,
        ):
            stream.write_table(table)
        (folder / "cache-1.arrow").write_bytes((folder / name).read_bytes())
        (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name}]}))
        (folder / "dataset_info.json").write_text("{}")
    (tmp_path / "saved" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    found = list(importing.read(tmp_path / "saved"))
    assert {asked(one): one.metadata.get("split") for one in found} == {"a": None, "b": None, "c": "held_out"}
    assert found[0].file == "test/data-00000-of-00001.arrow"


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "log.jsonl")
    with pytest.raises(InputError, match="not a file") as caught:
        importing.sniff(tmp_path / "log.jsonl")
    assert caught.value.hint == "write it to a file first"
    with pytest.raises(InputError, match="not a file"):
        importing.sniff(Path("/dev/zero"))


def test_a_file_of_no_use_costs_its_folder_nothing(tmp_path):
    (tmp_path / "scores").mkdir()
    (tmp_path / "a-empty.jsonl").write_text("")
    (tmp_path / "b.jsonl").write_text(json.dumps(CHATS[0]) + "\n")
    (tmp_path / "scores" / "c.jsonl").write_text('{"value": 1}\n')
    assert importing.sniff(tmp_path).importer.name == "openai"
    empty, good, scores = importing.read(tmp_path)
    assert (
        isinstance(empty, RejectedRecord)
        and empty.file == "a-empty.jsonl"
        and "no record in it" in empty.reason
    )
    assert asked(good) == "grüße 0"
    assert (
        isinstance(scores, RejectedRecord)
        and scores.file == "scores/c.jsonl"
        and "fields are: value" in scores.reason
    )
    (tmp_path / "b.jsonl").unlink()
    with pytest.raises(InputError, match="a-empty"):
        list(importing.read(tmp_path))
