from freehold.types.config import UseProfile
from freehold.types.endpoint import ServePlan
from freehold.workflows.license.attributions import attributions


def plan(model):
    return ServePlan(model=model, engine="echo", context_tokens=512, parallel=1)


def test_a_prescribed_phrase_is_shown_and_an_unknown_model_has_none():
    use = UseProfile(mode="hosted_service", commercial=True)
    found = attributions([plan("meta-llama/Llama-3.2-1B-Instruct"), plan("someone/unheard-of")], use)
    assert list(found) == ["meta-llama/Llama-3.2-1B-Instruct"]
    assert "Built with Llama" in found["meta-llama/Llama-3.2-1B-Instruct"]
