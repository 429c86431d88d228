"""Which candidate is expected to be the cheapest, before anything is measured."""

from freehold.types.config import parse
from freehold.workflows.journey.methods import candidates
from freehold.workflows.journey.selection import cheapest_first

SMALL, LARGE, HOUSE = "HuggingFaceTB/SmolLM2-135M-Instruct", "Qwen/Qwen3-8B", "org/served"


def order(tables):
    config = parse(
        '[app]\nname = "x"\n[[endpoints]]\nname = "house"\nbase_url = "http://127.0.0.1:9"\n'
        "price = { prompt = 2, completion = 2 }\n" + "".join(f"[[candidates]]\n{one}\n" for one in tables)
    )
    return [(one.model, one.method) for one in cheapest_first(candidates(config), config)]


def test_small_models_come_first_and_what_is_paid_for_by_its_price():
    tables = [
        f'model = "{HOUSE}"\nendpoint = "house"',
        f'model = "{LARGE}"',
        'model = "org/encoder"\nmethod = "encoder"',
        f'model = "{SMALL}"',
    ]
    assert [model for model, _ in order(tables)] == ["org/encoder", SMALL, LARGE, HOUSE]


def test_of_one_model_what_is_untrained_comes_first_and_longer_requests_last():
    tables = [
        f'model = "{SMALL}"\nmethod = "{method}"' + ('\nreminder = "x"' if method == "prompt" else "")
        for method in ("examples", "lora", "prompt", "as_is", "full")
    ]
    assert [method for _, method in order(tables)] == ["as_is", "lora", "full", "prompt", "examples"]
