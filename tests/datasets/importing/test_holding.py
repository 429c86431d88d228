from freehold.datasets.importing.holding import holds, present
from freehold.datasets.importing.records import Imported, completion

MAPPING = {
    "asked": "messages",
    "answer": "messages (the last)",
    "right answer": "gold",
    "conversation": "conversation_id",
    "tools": "tools",
}


def record(**changes):
    request = {"messages": [{"role": "user", "content": "q"}]}
    return Imported(line=1, request=request | changes.pop("request", {}), response=None, **changes)


def test_only_what_is_there_is_shown():
    answered = record(conversation_id="c")
    assert present(MAPPING, list(holds(answered))) == {"asked": "messages", "conversation": "conversation_id"}
    said = Imported(
        line=1, request=answered.request, response=completion({"role": "assistant", "refusal": "No."})
    )
    assert list(holds(said)) == ["answer", "refusals"]
    assert present(MAPPING, ["answer"]) == {"asked": "messages", "answer": "messages (the last)"}
    assert present(MAPPING, ["tools"]) == {"asked": "messages", "tools": "tools"}


def test_an_answer_taken_for_right_says_where_it_is_from():
    assert present(MAPPING, ["right answer"]) == {"asked": "messages", "right answer": "messages (the last)"}
