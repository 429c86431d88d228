from freehold.settings import load
from freehold.types.machine import Workload
from freehold.workflows.fit.fit import ServingOptions, fit_model
from freehold.workflows.fit.machine import find_machine


def ways(model, machine, tmp_path):
    settings = load({"FREEHOLD_HOME": str(tmp_path)})
    found = fit_model(
        model,
        workload=Workload(context_tokens=16_384),
        machine=find_machine(machine, settings),
        settings=settings,
        options=ServingOptions(engine="vllm"),
    )
    assert not found.fits
    return found.ways_out


def test_sixteen_bits_are_made_smaller_first(tmp_path):
    first, *others = ways("meta-llama/Llama-3.1-70B-Instruct", "2x L40S", tmp_path)
    assert first.startswith("FP8 needs")
    assert first.endswith("--quant FP8")
    assert others[-1].startswith("4 × L40S 48GB hold it: --tensor-parallel-size 4")


def test_what_is_published_in_four_bits_is_not_quantized_again(tmp_path):
    assert ways("moonshotai/Kimi-K2.5", "4x H200", tmp_path) == (
        "8 × H200 SXM 141GB hold it: --tensor-parallel-size 8",
    )


def test_beyond_a_node_whole_nodes_are_named(tmp_path):
    *_, way = ways("moonshotai/Kimi-K2-Instruct", "8x H100", tmp_path)
    assert way == "16 × H100 SXM 80GB hold it: --tensor-parallel-size 8 --pipeline-parallel-size 2"
