from tests.hardware.facts import facts

from freehold.catalog import models
from freehold.hardware.tensors import active_parameter_count, parameter_count


def test_computed_parameters_agree_with_the_facts():
    compared = 0
    for row in facts("models.csv"):
        model = models.find(row["model"].split(" (")[0].replace("Command-R", "c4ai-command-r"))
        if model is None or not row["params_computed"] or row["vocab"] != str(model.shape.vocabulary):
            continue
        assert parameter_count(model.shape) == int(row["params_computed"]), row["model"]
        if "latent" not in model.shape.attention:
            assert active_parameter_count(model.shape) == int(row["active_params_computed"]), row["model"]
        compared += 1
    assert compared >= 55
