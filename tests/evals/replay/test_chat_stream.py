import json

from tests.evals.replay.conftest import run


def test_tool_calls_are_put_together_from_pieces(serve, samples):
    calls = [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}},
        {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
    ]
    results, _ = run(serve, lambda body, attempt: calls, samples(1))
    assert json.loads(results[0].output) == calls
