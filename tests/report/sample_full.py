"""A report with its standing, and words of strangers in every place that takes them."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import msgspec
from tests.report import sample_report as sample

from freehold.types.cost import Bill, Cost, Range, SelfHost, Traffic
from freehold.types.evaluated import Regressions
from freehold.types.journey import NextAction, Standing
from freehold.types.verdict import EvidenceAge, Reason

AT = datetime(2026, 11, 29, 12, tzinfo=UTC)
HOSTILE = (
    '<script>alert("x")</script><img src=x onerror=alert(1)>[click](javascript:alert(1)) `code` **bold**\n# Title\n'
    "| a | b |\x1b[2J\x1b]0;owned\x07\u202eevil\u2066" + "z" + "\u0301" * 100_000
)
SECRET = "Mrs Ohm of Mill Lane 7 asks about invoice 99-1234"
"""What a customer wrote; it must not be in what is shared."""


def cost():
    def money(low, high):
        return Range(low=Decimal(low), high=Decimal(high))

    traffic = Traffic(
        requests_per_month=Decimal(40_000), prompt_tokens=Decimal(300), cached_prompt_tokens=Decimal(0),
        completion_tokens=Decimal(8), peak_factor=4.0, how="stated",
    )  # fmt: skip
    bill = Bill(
        model="rented-1", usd_per_month=money(120, 120), usd_per_request=money(0, 1), basis="list price"
    )
    held = SelfHost(
        model=sample.MODEL, machine="2-core Xeon", machines=(1, 1), usd_per_month=money(18, 30),
        usd_per_machine_month=money(18, 30), requests_per_machine_month=(1.0, 2.0), basis="measured",
    )  # fmt: skip
    return Cost(
        id="5" * 32, traffic=traffic, bill=bill, self_host=held, break_even_requests_per_month=money(1, 2),
        advice="leave", sentence="Leave.", reasons=(),
    )  # fmt: skip


def standing(**changed):
    age = EvidenceAge(
        gate="quality", record_id="c" * 32, made_at=AT - timedelta(days=4), days=4, max_age_days=90, stale=(),
        renew="freehold migrate",
    )  # fmt: skip
    return Standing(
        **{
            "at": AT, "stage": "hold", "evidence": (age,), "retires": date(2027, 1, 14), "days_left": 46,
            "next": NextAction(
                sentence="Hold out about 1,154 more samples, then prove again",
                command="freehold import FILE --held-out", why="the interval reaches below minus the margin",
            ),
            "valid_until": date(2027, 1, 14), "valid_why": "rented-1 is shut down", "cost": cost(), **changed,
        }
    )  # fmt: skip


def candidate(**changed):
    one = sample.candidate()
    reasons = (
        Reason(code="interval_spans_margin", text="Not proven.", record_id="c" * 32, effect="hold"),
        Reason(code="license_allowed", text="The licence allows this use.", record_id="a" * 32),
    )
    found = Regressions(
        scored=246, lost=16, won=6, by_cause={"one field wrong": 12, "a wrong answer": 4},
        by_field={"order_id": (14, 3)}, confusions=((SECRET[:30], "other", 3),),
    )  # fmt: skip
    values = {
        "verdict": msgspec.structs.replace(one.verdict, reasons=reasons),
        "regressions": found,
        "evaluation_id": "6" * 32,
    }
    return msgspec.structs.replace(one, **{**values, **changed})


def full(**changed):
    values = {"standing": standing(), "data": ("1,200 traces of a log",)}
    return sample.report(candidate(), sample.candidate(model="second/model"), **{**values, **changed})


def hostile():
    """Words of strangers wherever a record takes words."""
    one = candidate()
    item = msgspec.structs.replace(
        one.disagreements[0], question=HOSTILE, reference=HOSTILE, incumbent_answer=HOSTILE,
        candidate_answer=HOSTILE, incumbent_reason=HOSTILE, candidate_reason=HOSTILE,
    )  # fmt: skip
    k = one.comparison
    slices = tuple(msgspec.structs.replace(part, name=f"language={HOSTILE}") for part in k.slices)
    found = msgspec.structs.replace(
        one.regressions,
        by_field={HOSTILE: (1, 2)},
        confusions=((HOSTILE, HOSTILE, 1),),
        by_cause={HOSTILE: 1},
    )
    made = msgspec.structs.replace(
        one, disagreements=(item,), regressions=found, name=HOSTILE, method="lora",
        comparison=msgspec.structs.replace(k, slices=slices, notes=(HOSTILE,)),
    )  # fmt: skip
    step = msgspec.structs.replace(standing().next, why=HOSTILE)
    return full(
        app=HOSTILE, incumbent=HOSTILE, candidates=(made,), notes=(HOSTILE,), data=(HOSTILE,),
        standing=standing(next=step),
    )  # fmt: skip


def private():
    """A report with what a customer wrote in every place that holds such words."""
    one = candidate()
    item = msgspec.structs.replace(
        one.disagreements[0], question=SECRET, reference=SECRET, incumbent_answer=SECRET, candidate_answer=SECRET,
        incumbent_reason=SECRET, candidate_reason=SECRET,
    )  # fmt: skip
    k = one.comparison
    slices = tuple(msgspec.structs.replace(part, name=f"user={SECRET}") for part in k.slices)
    reasons = (
        *one.verdict.reasons,
        Reason(code="slice_harm", text=f"Slice user={SECRET}: −19.00 points over 21 items (adjusted p = 0.01).",
               record_id="c" * 32, effect="hold"),
    )  # fmt: skip
    made = msgspec.structs.replace(
        one, disagreements=(item,),
        comparison=msgspec.structs.replace(
            k, slices=slices, notes=(f"conflict: '{SECRET}'",), unscored={f"could not read {SECRET}": 2}
        ),
        verdict=msgspec.structs.replace(one.verdict, reasons=reasons),
        settings={"rubric": SECRET},
        regressions=msgspec.structs.replace(
            one.regressions, by_field={SECRET: (14, 3)}, confusions=((SECRET, SECRET, 3),)
        ),
    )  # fmt: skip
    base = full()
    return full(
        candidates=(made,), task=msgspec.structs.replace(base.task, options={"labels": [SECRET]}),
        dataset=msgspec.structs.replace(base.dataset, recipe={"system": SECRET}, dropped={SECRET: 2}),
        standing=standing(next=msgspec.structs.replace(standing().next, why=SECRET)),
    )  # fmt: skip
