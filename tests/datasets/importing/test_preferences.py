"""Files of preferences."""

import pytest
from tests.datasets.importing.exports import ASKED, SAID, TOOL, answer, one


def test_preference_files(tmp_path):
    worse = {"role": "assistant", "content": "no idea"}
    openai = {
        "input": {"messages": ASKED, "tools": [TOOL]},
        "preferred_output": [SAID],
        "non_preferred_output": [worse],
    }
    for record in (
        openai,
        {"prompt": ASKED, "chosen": [SAID], "rejected": [worse]},
        {"chosen": [*ASKED, SAID], "rejected": [*ASKED, worse]},
        {"messages": [*ASKED, SAID], "rejected_message": worse},
    ):
        format, found = one(tmp_path, record)
        assert format == "preferences"
        assert found.request["messages"] == ASKED
        assert answer(found)["content"] == "on its way"
        assert found.rejected == (worse,)
    _, text = one(tmp_path, {"prompt": "lamp?", "chosen": "yes", "rejected": "no"})
    assert text.rejected[0]["content"] == "no" and text.request["messages"][0]["content"] == "lamp?"


@pytest.mark.parametrize("liked", [True, False])
def test_kto_labels(tmp_path, liked):
    format, found = one(tmp_path, {"prompt": "lamp?", "completion": "yes", "label": liked})
    assert (format, found.desirable, found.rejected) == ("preferences", liked, None)
