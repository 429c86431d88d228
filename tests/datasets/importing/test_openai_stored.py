from tests.datasets.importing.exports import ASKED, COMPLETION, TOOL, one, read

from freehold.datasets.importing import RejectedRecord


def test_stored_completions_with_their_messages(tmp_path):
    stored = {**COMPLETION, "metadata": {"session_id": "s1"}, "tools": [TOOL]}
    sent = [{**message, "id": f"m{n}", "content_parts": None} for n, message in enumerate(ASKED)]
    for record in (
        {"completion": stored, "messages": {"object": "list", "data": sent}},
        {**stored, "input": sent},
    ):
        format, found = one(tmp_path, record)
        assert format == "stored_completions"
        assert found.request["messages"] == ASKED
        assert (found.conversation_id, found.usage.prompt_tokens) == ("s1", 9)
        assert found.at.year == 2025
    _, (alone,) = read(tmp_path, COMPLETION)
    assert isinstance(alone, RejectedRecord) and "without the messages" in alone.reason
