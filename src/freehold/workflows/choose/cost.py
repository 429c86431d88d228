"""`freehold cost`: the incumbent's bill, what holding a model costs, where they meet, and a plain sentence."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from freehold import __version__
from freehold.catalog import accelerators
from freehold.catalog import models as model_catalog
from freehold.catalog.retirements import ending_of
from freehold.costs import decision, prices
from freehold.costs.decision import TARGET_UTILISATION, Owned, Rented, machine_month, self_host
from freehold.costs.prices import TokenPrice
from freehold.errors import FreeholdError, MissingExtraError, UsageError
from freehold.hardware.memory import Engine
from freehold.hardware.speed import estimate
from freehold.settings import Settings
from freehold.store import open_store
from freehold.types.cost import Advice, Bill, Cost, Range, SelfHost, Traffic
from freehold.types.machine import Machine, Speed, Workload
from freehold.types.record import content_id
from freehold.types.report import CandidateReport, Report
from freehold.types.trace import Usage
from freehold.workflows.choose.needs import needs_in
from freehold.workflows.choose.ranking import thinks_first
from freehold.workflows.choose.traffic import NOTHING_STATED, PricedTraffic, StatedTraffic, price_traffic
from freehold.workflows.fit.fit import fit_sized, served_by
from freehold.workflows.fit.learned import measured
from freehold.workflows.fit.machine import engine_build, find_machine
from freehold.workflows.fit.placing import form_of, served_as, sized_in
from freehold.workflows.fit.sizes import SizedModel
from freehold.workflows.project import Project, now

ANSWER_SECONDS = 30.0
"""How long a whole answer may take where nothing is stated: assumed, and said with every result."""


class Batch(NamedTuple):
    """Requests at once, the machine's speed with them, and why that many."""

    concurrency: int
    speed: Speed
    why: str


class MachineSpeeds:
    """The speeds of one model on one machine, by requests at once, for requests like those of `traffic`."""

    def __init__(
        self, sized: SizedModel, traffic: Traffic, machine: Machine, settings: Settings, engine: Engine
    ) -> None:
        self._sized, self._machine, self._traffic = sized, machine, traffic
        self._build = engine_build(settings)
        self.context_tokens = int(traffic.prompt_tokens + traffic.completion_tokens) + 1
        one = Workload(context_tokens=self.context_tokens, concurrency=1)
        self.most = (
            fit_sized(
                sized, workload=one, machine=machine, settings=settings, options=served_by(engine)
            ).largest_concurrency
            or 1
        )

    def at(self, concurrency: int) -> Speed:
        """The estimated speed. Raises `UsageError` where the machine's rates are not known."""
        work = Workload(context_tokens=self.context_tokens, concurrency=concurrency)
        speed = estimate(self._sized.shape, self._sized.bytes, work, self._machine, build=self._build)
        if speed is None:
            raise UsageError(
                f"how fast {self._machine.name} is, is not known",
                hint="give its bandwidth in a machine file, or measure: freehold fit MODEL --measure speed",
            )
        return speed

    def within(self, seconds: float) -> Batch:
        """The largest batch that fits in memory and whose answers take at most that long at the slow end of the range;
        the quickest one where all take longer.

        Raises `UsageError` for a time that is not above 0, and where the machine's rates are not known.
        """
        if not seconds > 0:
            raise UsageError(f"an answer within {seconds:g} seconds makes no sense, expected above 0")
        # The estimate's slow end is not monotone at its beginning: a device is not filled by a request or two.
        counts = [1 << power for power in range(self.most.bit_length())]
        in_time = [count for count in counts if self._seconds(count) <= seconds]
        if not in_time:
            quickest = min(counts, key=self._seconds)
            least = self._seconds(quickest)
            why = f"an answer takes {least:,.0f} s however few are asked, more than the {seconds:g} s wanted"
            return Batch(quickest, self.at(quickest), why)
        low, high = in_time[-1], min(self.most, 2 * in_time[-1] - 1)
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self._seconds(middle) <= seconds else (low, middle - 1)
        bound = "fit in its memory" if low == self.most else f"are answered within {seconds:g} s each"
        return Batch(low, self.at(low), f"the most that {bound}")

    def _seconds(self, concurrency: int) -> float:
        return answer_seconds(self._traffic, self.at(concurrency))


def answer_seconds(traffic: Traffic, speed: Speed) -> float:
    """What one answer takes in a full batch at the slow end of the range: its uncached prompt is read, then each of its
    tokens is written in turn with those of the others."""
    prompt = float(traffic.prompt_tokens - traffic.cached_prompt_tokens)
    written = float(traffic.completion_tokens)
    each = speed.decode_all_tokens_per_second[0] / speed.concurrency
    return prompt / speed.prefill_tokens_per_second[0] + written / each


REASONING_TOKENS = Decimal(500)
"""Taken for what a model writes before each answer that cannot be told not to reason. A guess: it depends on the task
by a factor of ten, so the answer says so and takes another figure."""


def written_by(model_id: str, traffic: Traffic, reasoning: Decimal | None) -> Traffic:
    """The traffic as a held model answers it: without the incumbent's hidden reasoning, with `reasoning` tokens of its
    own (None: `REASONING_TOKENS` of one that always reasons)."""
    if reasoning is None:
        known = model_catalog.find(model_id)
        reasoning = REASONING_TOKENS if known is not None and thinks_first(known) else Decimal(0)
    answer = traffic.completion_tokens - traffic.reasoning_tokens
    return msgspec.structs.replace(traffic, completion_tokens=answer + reasoning, reasoning_tokens=reasoning)


class MachinePrice(NamedTuple):
    """What a machine costs; all None: rental prices of the catalog are looked up. One that was bought for 0 costs its
    power alone, and so does one with `watts` and no purchase."""

    usd_per_hour: Range | None = None
    purchase_usd: Decimal | None = None
    watts: float | None = None
    usd_per_kwh: Decimal = Decimal("0.25")
    life_years: Decimal = Decimal(4)


LOOKED_UP = MachinePrice()
_FREE = TokenPrice(Decimal(0), Decimal(0))
REST_OF_A_MACHINE = 1.5
"""What a machine draws for each watt of its accelerators: the rest of it and cooling, assumed."""


class Hosting(NamedTuple):
    """What would be held: a model (None: that of the last report, else the first candidate) on a machine (None: this
    one) at a price. It answers as many requests at once as fit in its memory and are answered within
    `ANSWER_SECONDS`."""

    model: str | None = None
    quantization: str | None = None
    machine: str | None = None
    price: MachinePrice = LOOKED_UP
    reasoning: Decimal | None = None
    """Tokens that it writes before each answer, where they are stated."""
    rest: float | None = None
    """Share of the requests that the incumbent goes on answering (None: of the last report's model as that has it)."""

    def of(self, lead: CandidateReport) -> Hosting:
        """The same for what a report is about."""
        held = self.quantization or (None if lead.weights is None else lead.weights.quantization)
        return self._replace(model=lead.model, quantization=held, rest=lead.rest)


class _HostedModel(NamedTuple):
    """A model on a machine whose speed and price are known. `speeds` is None where the speed was measured: then the
    batch is the one it was measured with."""

    model: str
    served_as: str
    machine: str
    speed: Speed
    price: PricedMachine
    why: str
    speeds: MachineSpeeds | None = None
    reasoning: Decimal | None = None

    def cost(self, traffic: Traffic, **changes: Any) -> SelfHost:
        traffic = written_by(self.model, traffic, self.reasoning)
        found = self_host(self.model, self.machine, traffic, self.speed, self.price.price, **changes)
        return msgspec.structs.replace(
            found,
            served_as=self.served_as,
            basis=f"{found.basis} ({self.why})",
            prices_of=None if self.price.newest is None else self.price.newest.isoformat(),
            notes=self.price.notes,
        )


class KnownCosts(NamedTuple):
    """What is known of leaving or staying by cost. Where `weighed` is None, `missing` says what it takes."""

    sentence: str | None = None
    """What the incumbent costs, when it ends and what its replacement costs, as far as each is known."""
    priced: PricedTraffic | None = None
    weighed: Cost | None = None
    missing: FreeholdError | None = None

    @property
    def why_not(self) -> str:
        """What is known, and then what is missing."""
        missing = "" if self.missing is None else self.missing.message
        return f"{self.sentence} Missing: {missing}" if self.sentence else missing


def cost(project: Project, hosting: Hosting, **stated: Any) -> Cost:
    """Weigh the incumbent's bill against holding a model.

    Takes the parameters of `known_costs`. Raises `UsageError` for what is not known and may not be guessed: no traffic,
    no price of the incumbent, no price or speed of the machine; and `MissingExtraError` without the price list. Their
    message begins with what is known.
    """
    known = known_costs(project, hosting, **stated)
    if known.weighed is None:
        assert known.missing is not None
        known.missing.message, known.missing.args = known.why_not, (known.why_not,)
        raise known.missing
    return known.weighed


def known_costs(
    project: Project,
    hosting: Hosting | None = None,
    *,
    incumbent: str | None = None,
    stated: StatedTraffic = NOTHING_STATED,
    flat: TokenPrice | None = None,
    most: int | None = None,
) -> KnownCosts:
    """The incumbent's bill, and what holding costs beside it; None: it is not weighed.

    Traffic is taken from the project's traces unless it is stated, from about `most` of them.
    """
    try:
        priced = price_traffic(project, incumbent, stated, flat, most=most)
    except FreeholdError as error:
        known = _without_bill(project, hosting, incumbent, stated, flat, most)
        return KnownCosts(" ".join(known) or None, missing=error)
    try:
        weighed = None if hosting is None else weigh(project, priced, hosting)
    except FreeholdError as error:
        return KnownCosts(priced.sentence, priced, missing=error)
    return KnownCosts(priced.sentence, priced, weighed)


def _without_bill(
    project: Project,
    hosting: Hosting | None,
    incumbent: str | None,
    stated: StatedTraffic,
    flat: TokenPrice | None,
    most: int | None,
) -> Iterator[str]:
    """What is known where the month's traffic is not, or its price."""
    configured = project.config.incumbent
    name = incumbent or (None if configured is None else configured.model)
    ending = None if name is None else ending_of(name)
    if ending is not None:
        yield f"{ending.text(now().date())}."
    with suppress(FreeholdError):  # how many requests a month has is missing
        few = price_traffic(project, name, StatedTraffic(Decimal(1000)), flat, most=most)
        yield f"{name} costs {decision.money(few.bill.usd_per_month)} for 1,000 requests like these."
    with suppress(FreeholdError):  # its price is missing
        traffic = price_traffic(project, name, stated, _FREE, most=most).traffic
        if hosting is not None:
            held = _held(project, _meant(project, hosting), traffic).cost(traffic)
            yield f"Holding {decision.named(held)} costs {decision.money(held.usd_per_month)} a month for this traffic."


def weigh(project: Project, priced: PricedTraffic, hosting: Hosting) -> Cost:
    """The half of `cost` that needs a machine. Raises `UsageError` without a price or speed of it."""
    hosting = _meant(project, hosting)
    rest = Decimal(str(hosting.rest or 0))
    held = _held(project, hosting, priced.traffic)
    made = decision.decide(
        priced.traffic,
        priced.bill,
        held.cost(priced.traffic),
        after=priced.after,
        rest=rest,
        sensitivity=_sensitivity(priced, held, rest),
        hosted_open=_hosted(held.model, written_by(held.model, priced.traffic, hosting.reasoning)),
    )
    made = msgspec.structs.replace(made, made_from=priced.made_from, version=__version__)
    return msgspec.structs.replace(made, id=content_id(made))


def _held(project: Project, hosting: Hosting, traffic: Traffic) -> _HostedModel:
    """Size the model, check that it fits, and find out how fast it is there and what the machine costs."""
    here = hosting.machine is None
    machine = find_machine(hosting.machine, project.settings, measure=here)
    needs, name = needs_in(project), hosting.model or ""
    work = Workload(context_tokens=needs.context_tokens, concurrency=needs.concurrency)
    form = form_of(name, work, machine, project.settings, (None, hosting.quantization))
    known, sized = model_catalog.find(name), sized_in(name, form, project.settings)
    reads = known is not None and known.encoder
    served = served_as(sized.quantization, "encoder" if reads else form.engine)
    name = sized.name if known is None else known.id
    price = priced_machine(machine, hosting.price)
    traffic = written_by(name, traffic, hosting.reasoning)
    also = ""
    if not reads:
        also = f"; {traffic.reasoning_tokens:,.0f} tokens of reasoning before each answer"
        also += ", --reasoning-tokens states them" if hosting.reasoning is None else ""
    speed = measured(project, name, sized.quantization) if here else None
    if speed is not None:
        why = f"as it was measured{also}"
        return _HostedModel(name, served, machine.name, speed, price, why, reasoning=hosting.reasoning)
    if reads:  # it reads a longer message up to there
        most = Decimal(max(sized.shape.context_tokens - int(traffic.completion_tokens) - 1, 1))
        traffic = msgspec.structs.replace(
            traffic,
            prompt_tokens=min(traffic.prompt_tokens, most),
            cached_prompt_tokens=min(traffic.cached_prompt_tokens, most),
        )
    tokens = int(traffic.prompt_tokens + traffic.completion_tokens) + 1
    _require_fit(sized, Workload(context_tokens=tokens, concurrency=1), machine, project, form.engine)
    speeds = MachineSpeeds(sized, traffic, machine, project.settings, form.engine)
    _, speed, why = speeds.within(ANSWER_SECONDS)
    return _HostedModel(name, served, machine.name, speed, price, why + also, speeds, hosting.reasoning)


def _meant(project: Project, hosting: Hosting) -> Hosting:
    """Where no model is named, or the one of the last report: as that has it; else the first that writes text here."""
    if hosting.rest is None:
        with open_store(project.reading_url) as store:
            report = store.latest(Report)
        lead = None if report is None else report.lead
        if lead is not None and lead.endpoint is None and hosting.model in (None, lead.model):
            return hosting.of(lead)
    config = project.config
    first = config.models[0] if config.writer is None else config.writer.model
    return hosting if hosting.model else hosting._replace(model=first)


def _require_fit(
    sized: SizedModel, workload: Workload, machine: Machine, project: Project, engine: Engine
) -> None:
    """Raise `UsageError` when the model cannot run on the machine, or not such requests: there is nothing to price."""
    if workload.context_tokens > sized.shape.context_tokens:
        raise UsageError(
            f"{sized.name} was made for {sized.shape.context_tokens:,} tokens of context, a request of this traffic "
            f"takes {workload.context_tokens:,}",
            hint="weigh a model with a longer context: freehold assess",
        )
    found = fit_sized(
        sized, workload=workload, machine=machine, settings=project.settings, options=served_by(engine)
    )
    if not found.fits:
        raise UsageError(
            f"{sized.name} {sized.quantization} does not fit on {machine.name} with {workload.concurrency} at once: "
            f"{found.reasons[0]}",
            hint="; ".join(found.ways_out[:2]) or "another machine, or a smaller model",
        )


class PricedMachine(NamedTuple):
    """What a machine costs, how that is known, and what the large clouds ask for it where that is known too."""

    price: Rented | Owned
    newest: datetime.date | None = None
    notes: tuple[str, ...] = ()
    hyperscalers: Range | None = None


def priced_machine(
    machine: Machine, stated: MachinePrice, today: datetime.date | None = None
) -> PricedMachine:
    """What a machine costs and how that is known. Raises `UsageError` when it is not."""
    if stated.usd_per_hour is not None:
        return PricedMachine(Rented(stated.usd_per_hour))
    if stated.purchase_usd is not None or stated.watts is not None:
        paid = stated.purchase_usd or Decimal(0)
        watts = _drawn(machine) if stated.watts is None else stated.watts
        return PricedMachine(Owned(Range(low=paid, high=paid), watts, stated.usd_per_kwh, stated.life_years))
    found = [accelerators.rental_price(device.name) for device in machine.accelerators]
    known = [one for one in found if one is not None]
    if not found or len(known) < len(found):
        raise UsageError(
            f"what {'this machine' if machine.name == platform.node() else machine.name} costs is not known",
            hint="state it: --usd-per-hour LOW-HIGH for a rented one, --purchase-usd N for one you would buy, "
            "--purchase-usd 0 for one you have",
        )
    newest = min(one.newest for one in known)
    large = [one.hyperscalers for one in known if one.hyperscalers is not None]
    today = today or datetime.datetime.now(datetime.UTC).date()
    notes = [f"rent of one accelerator: {known[0].basis()}"]
    if any(one.is_old(today) for one in known):
        notes.append(
            f"old prices: the newest rent known is of {newest}, more than {accelerators.FRESH_DAYS} days ago: "
            "state yours, --usd-per-hour LOW-HIGH"
        )
    return PricedMachine(
        Rented(_sum([one.usd_per_hour for one in known])),
        newest,
        tuple(notes),
        _sum(large) if len(large) == len(known) else None,
    )


def _drawn(machine: Machine) -> float:
    drawn = [device.watts for device in machine.accelerators if device.watts is not None]
    if not drawn or len(drawn) < len(machine.accelerators):
        raise UsageError(f"how much power {machine.name} draws is not known", hint="state it: --watts N")
    return float(sum(drawn)) * REST_OF_A_MACHINE


def _sum(ranges: list[Range]) -> Range:
    low, high = (sum((getattr(one, end) for one in ranges), Decimal(0)) for end in ("low", "high"))
    return Range(low=low, high=high)


def _sensitivity(priced: PricedTraffic, held: _HostedModel, rest: Decimal) -> tuple[tuple[str, Advice], ...]:
    """What the advice would be with one assumption changed."""
    traffic, bill = priced.traffic, decision.part_of(priced.after.replacement or priced.bill, 1 - rest)
    rows: list[tuple[str, Advice]] = []
    for label, factor in (("half the traffic", Decimal("0.5")), ("twice the traffic", Decimal(2)),
                          ("ten times the traffic", Decimal(10))):  # fmt: skip
        changed = msgspec.structs.replace(traffic, requests_per_month=traffic.requests_per_month * factor)
        rows.append((label, decision.advice(_scaled(bill, factor), held.cost(changed))))
    for label, times in (("the machine half as fast", 0.5), ("the machine twice as fast", 2.0)):
        other = held._replace(speed=faster(held.speed, times))
        rows.append((label, decision.advice(bill, other.cost(traffic))))
    peak = msgspec.structs.replace(traffic, peak_factor=2 * traffic.peak_factor)
    rows.append(("a busiest hour twice as busy", decision.advice(bill, held.cost(peak))))
    rows.append(("API prices halved", decision.advice(_scaled(bill, Decimal("0.5")), held.cost(traffic))))
    two = held.cost(traffic, least_machines=2, utilisation=TARGET_UTILISATION)
    assert two.usd_per_machine_month == machine_month(held.price.price)
    rows.append(("a second machine for safety", decision.advice(bill, two)))
    if held.price.hyperscalers is not None:
        large = held._replace(price=held.price._replace(price=Rented(held.price.hyperscalers)))
        rows.append(("rent of the large clouds", decision.advice(bill, large.cost(traffic))))
    for label, speed in _other_batches(held):
        rows.append((label, decision.advice(bill, held._replace(speed=speed).cost(traffic))))
    return tuple(rows)


def _other_batches(held: _HostedModel) -> Iterator[tuple[str, Speed]]:
    """The machine with half and with twice the time an answer may take, which decides how many it answers at once."""
    if held.speeds is None:
        return
    for seconds in (ANSWER_SECONDS / 2, ANSWER_SECONDS * 2):
        batch = held.speeds.within(seconds)
        if batch.concurrency != held.speed.concurrency:
            yield f"answers within {seconds:g} s ({batch.concurrency:,} at once)", batch.speed


def _scaled(bill: Bill, factor: Decimal) -> Bill:
    month = Range(low=bill.usd_per_month.low * factor, high=bill.usd_per_month.high * factor)
    return msgspec.structs.replace(bill, usd_per_month=month)


def faster(speed: Speed, factor: float) -> Speed:
    """The speed multiplied by `factor`."""

    def times(pair: tuple[float, float]) -> tuple[float, float]:
        return pair[0] * factor, pair[1] * factor

    return msgspec.structs.replace(
        speed,
        prefill_tokens_per_second=times(speed.prefill_tokens_per_second),
        decode_tokens_per_second=times(speed.decode_tokens_per_second),
        decode_all_tokens_per_second=times(speed.decode_all_tokens_per_second),
    )


def _hosted(name: str, traffic: Traffic) -> tuple[tuple[str, Decimal], ...]:
    model = model_catalog.find(name)
    if model is None:
        return ()
    usage = Usage(
        prompt_tokens=int(traffic.prompt_tokens),
        completion_tokens=int(traffic.completion_tokens),
        cached_prompt_tokens=int(traffic.cached_prompt_tokens),
    )
    with suppress(MissingExtraError):  # what hosts ask is in the price list alone
        found = prices.hosted_prices((model.id, *model.aliases), usage)
        return tuple((who, price * traffic.requests_per_month) for who, price in found)
    return ()
