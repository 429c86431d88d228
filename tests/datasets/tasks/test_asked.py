from freehold.datasets.tasks.asked import HEAD_CHARACTERS, TAIL_CHARACTERS, asked_task, collapsed


def asks(**more):
    turns = [{"role": "system", "content": "Sort  it.\n\n Now."}, {"role": "user", "content": "hello"}]
    return asked_task({"model": "m", "messages": turns, **more})


def test_texts_are_collapsed_and_instructions_told_from_turns():
    asked = asks()
    assert (asked.system, asked.user) == ("Sort it.\nNow.", "hello")
    assert asked.shape.instructed and asked.shape.model == "m" and asked.shape.form == "text"


def test_tools_count_by_name_in_any_order():
    def offered(*names):
        return asks(tools=[{"type": "function", "function": {"name": name}} for name in names])

    assert offered("b", "a").shape == offered("a", "b").shape != offered("a").shape


def test_schemas_differ_by_name_else_by_content():
    def form(schema):
        return asks(response_format={"type": "json_schema", "json_schema": schema}).shape.form

    assert form({"name": "ticket", "schema": {}}) == "ticket"
    assert form({"schema": {"a": 1}}) != form({"schema": {"a": 2}})
    assert asks(response_format={"type": "json_object"}).shape.form == "json_object"


def test_a_picture_is_a_short_mark_and_a_long_text_keeps_its_ends():
    picture = "data:image/png;base64," + "QUJD" * 5000
    parts = [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": picture}}]
    assert len(asked_task({"messages": [{"role": "user", "content": parts}]}).user) < 100
    long = collapsed("begin " + "middle " * 1_000_000 + "end")
    assert len(long) == HEAD_CHARACTERS + 1 + TAIL_CHARACTERS
    assert long.startswith("begin") and long.endswith("end")


def test_completions_and_embeddings_are_asked_by_their_text():
    assert asked_task({"prompt": "Once upon"}, kind="completions").user == "Once upon"
    assert asked_task({"input": ["a text", "another"]}, kind="embeddings").user == "a text"
    assert asked_task({"input": [[1, 2]]}, kind="embeddings").user == ""


def test_calls_in_the_history_are_named():
    turns = [
        {"role": "user", "content": "go"},
        {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "find", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "1", "content": "found"},
    ]
    assert asked_task({"messages": turns}).called == {"find"}
