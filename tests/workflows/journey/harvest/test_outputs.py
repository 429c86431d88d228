import json

import msgspec

from freehold.datasets.identity import question_id
from freehold.evals.answers import ChatAnswer
from freehold.types.dataset import Message, Sample
from freehold.workflows.journey.harvest.outputs import usable, write_outputs
from freehold.workflows.journey.harvest.parts import Ask, PlannedPart

NAMES = ("held_out", "repeats", "train", "unlabelled", "rubric", "critiques", "paraphrases")


def ask(key, sample, **body):
    messages = msgspec.to_builtins(sample.messages)
    return Ask(key, "rented", {"model": "rented", "messages": messages, **body}, sample.id, 5, None, sample)


def written(folder, name, asks, answers, held_out=frozenset()):
    parts = [PlannedPart(one, "rented", tuple(asks) if one == name else ()) for one in NAMES]
    write_outputs(folder, parts, answers, {}, set(held_out))
    return {
        path.name: [json.loads(line) for line in path.read_text().splitlines()] for path in folder.iterdir()
    }


def test_paraphrases_are_for_training_and_never_what_is_held_out(tmp_path):
    sample = Sample(id="a", messages=(Message(role="user", content="where is it"),), gold="lamp")
    held_out = {question_id([{"role": "user", "content": "  where IS  it?"}])}
    answer = ChatAnswer(output='["where IS it?", "can you find it"]')
    (line,) = written(tmp_path, "paraphrases", [ask("k", sample)], {"k": answer}, held_out)[
        "paraphrases.jsonl"
    ]
    assert [one["content"] for one in line["messages"]] == ["can you find it", "lamp"]
    assert line["metadata"] == {"split": "train", "made_by": "rented", "paraphrase_of": "a"}


def test_calls_are_calls_in_traffic(tmp_path):
    tools = [{"type": "function", "function": {"name": "find"}}]
    sample = Sample(id="a", messages=(Message(role="user", content="find it"),), tools=tools)
    calls = '[{"id":"c1","type":"function","function":{"name":"find","arguments":"{}"}}]'
    asked = ask("k", sample, tools=tools, logprobs=True)
    (line,) = written(tmp_path, "unlabelled", [asked], {"k": ChatAnswer(output=calls)})["traffic.jsonl"]
    assert line["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == "find"
    assert line["tools"] == tools
    assert "logprobs" not in line


def test_nothing_answered_writes_nothing(tmp_path):
    lost = ChatAnswer(fault="infrastructure", error="http_500: no")
    sample = Sample(id="a", messages=(Message(role="user", content="find it"),))
    assert written(tmp_path, "unlabelled", [ask("k", sample)], {"k": lost}) == {}
    assert usable(ChatAnswer(output="half", fault="candidate", error="cut: at the limit"))
