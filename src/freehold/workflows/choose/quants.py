"""`freehold fit --quants`: the quantizations of a model, what each takes here, and which to take."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from freehold import __version__
from freehold.catalog import models as catalog
from freehold.catalog import weights as weights_catalog
from freehold.catalog.weights import published_files
from freehold.engines.weights.store import WeightsStore
from freehold.errors import UsageError
from freehold.hardware import fit as fitting
from freehold.hardware.memory import ServingLoad
from freehold.hardware.quantization import quantize, repacked_bytes, weights_bytes
from freehold.hardware.speed import Build, estimate
from freehold.hardware.tensors import parameter_count
from freehold.settings import Settings
from freehold.types.choosing import QuantLosses, QuantRow, Quants
from freehold.types.machine import Machine, MeasuredSpeed, Workload
from freehold.workflows.choose.catalog import synced_quantizations
from freehold.workflows.fit.learned import newest
from freehold.workflows.fit.machine import engine_build
from freehold.workflows.fit.sizes import SizedModel, size_model

LADDER = ("BF16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q4_0", "IQ4_XS", "Q3_K_M", "IQ3_XXS", "Q2_K")
"""Always shown; others when weights in them are known."""
LEAST_BITS = 4.0
"""Below it answers change enough that a measurement must come first."""
FAST_SHARE = 0.9
"""Within this share of the fastest measured speed, the larger one is taken."""


class KnownWeights(NamedTuple):
    """Weights in one quantization that exist somewhere."""

    quantization: str
    where: str
    bytes: int | None = None
    path: str | None = None


def quants(
    model_id: str,
    *,
    machine: Machine,
    workload: Workload,
    settings: Settings,
    speeds: tuple[MeasuredSpeed, ...] = (),
    losses: QuantLosses | None = None,
) -> Quants:
    """The quantizations of a model against a machine.

    Rows are those of `LADDER` and those known to exist: in the store, in the catalog, seen on a hub by
    `freehold catalog sync`. A GGUF file shows itself and what could be made from it. `speeds` are measured
    ones; a row without gets a roofline estimate. `losses` are what was measured on the project's task: the smallest
    that was shown to be no worse is then taken, if it fits.

    Raises what sizing a model raises: `UnknownModelError`, `InputError`.
    """
    sized = size_model(model_id, settings=settings)
    known = _known(sized, settings)
    rows = []
    serving = _Serving(machine, workload, engine_build(settings), speeds)
    shipped = catalog.find(sized.name)
    native = () if shipped is None or shipped.quantization is None else (shipped.quantization,)
    names = dict.fromkeys((*native, *LADDER, *(one.quantization for one in known)))
    for name in names:
        here = [one for one in known if one.quantization == name]
        try:
            computed = weights_bytes(sized.shape, name)
        except UsageError:  # a recipe of a repacker that is not known here: only its own bytes count
            if not any(one.bytes for one in here):
                continue
            computed = 0
        size = next((one.bytes for one in here if one.bytes), computed)
        rows.append(_row(sized, name, size, here, serving))
    rows.sort(key=lambda row: -row.weights_bytes)
    if sized.quantized:
        own = next(row for row in rows if row.quantization == sized.quantization)
        rows = [row for row in rows if row.weights_bytes <= own.weights_bytes or row.path is not None]
    elif native:  # what its makers publish is the widest there is
        own = next(row for row in rows if row.quantization == native[0])
        rows = [row for row in rows if row.weights_bytes <= own.weights_bytes or row.known]
    rows = [_with_loss(row, losses) for row in rows]
    take, reasons = choose(tuple(rows), losses)
    taken = next((row for row in rows if row.quantization == take), None)
    if taken is not None and not taken.known:
        files = ", ".join(row.quantization for row in rows if row.known) or "none"
        repos = () if shipped is None else shipped.gguf
        more = f"GGUF files of it: {', '.join(repos)}" if repos else "a hub may have more"
        reasons += (f"files known here: {files}; {more} (freehold catalog sync {sized.name})",)
    return Quants(
        model=sized.name,
        machine=machine.name,
        workload=workload,
        available_bytes=fitting.room(machine)[0],
        rows=tuple(rows),
        take=take,
        reasons=reasons,
        version=__version__,
    )


def _known(sized: SizedModel, settings: Settings) -> list[KnownWeights]:
    found = []
    bare = sized.name.lower().removesuffix(".gguf")
    names = {sized.name.lower(), bare, bare.rpartition("/")[2]}
    model = catalog.find(sized.name)
    if model is not None:
        names |= {one.lower() for one in (model.id, *model.aliases)}
    if sized.quantized:
        found.append(KnownWeights(sized.quantization, "this file", sized.bytes, sized.path))
    for stored in WeightsStore(settings.home).list():
        weights = stored.weights
        if weights.model_id.lower() in names and weights.path != sized.path:
            found.append(KnownWeights(weights.quantization, "here", weights.bytes, weights.path))
    for row in weights_catalog.rows():
        if row.model.lower() in names:
            found.append(KnownWeights(row.quantization, f"freehold models pull {row.model}", row.bytes))
    if model is not None:
        for published in published_files((model.id,)):
            # A card's rounded size is taken where rounding is below half a percent, else the computed one.
            rounded = published.off_by > 0.005 * published.bytes
            size = None if rounded else published.bytes
            found.append(KnownWeights(published.quantization, f"hf:{published.repo}", size))
    for seen in synced_quantizations(settings, tuple(names)):
        found.append(KnownWeights(seen.quantization, f"hf:{seen.repo}", seen.bytes))
    return found


class _Serving(NamedTuple):
    """How and where each quantization would be served."""

    machine: Machine
    workload: Workload
    build: Build
    speeds: tuple[MeasuredSpeed, ...]


def _row(sized: SizedModel, name: str, size: int, known: list[KnownWeights], serving: _Serving) -> QuantRow:
    machine, workload = serving.machine, serving.workload
    repacked = 0
    if not machine.accelerators:
        if sized.quantized and name == sized.quantization:
            typed = sized.tensors
        else:
            typed = tuple((one.tensor.name, one.tensor.dims, one.type) for one in quantize(sized.shape, name))
        repacked = repacked_bytes(typed, machine.isa)
    found = fitting.fit(
        sized.name,
        sized.shape,
        ServingLoad(
            quantization=name,
            weights_bytes=size,
            weights_basis="as known" if known else "computed",
            repacked_bytes=repacked,
        ),
        workload,
        machine=machine,
        version=__version__,
    )
    return QuantRow(
        quantization=name,
        bits_per_weight=8 * size / parameter_count(sized.shape),
        weights_bytes=size,
        total_bytes=found.total_bytes,
        fits=found.fits,
        largest_context_tokens=found.largest_context_tokens,
        known=tuple(dict.fromkeys(one.where for one in known)),
        path=next((one.path for one in known if one.path), None),
        speed=newest(serving.speeds, sized.name, name, machine.name)
        or estimate(sized.shape, size, workload, machine, build=serving.build),
    )


def _with_loss(row: QuantRow, losses: QuantLosses | None) -> QuantRow:
    found = [one for one in losses.rows if one.quantization == row.quantization] if losses else []
    return msgspec.structs.replace(row, score=found[0].mean, loss=found[0].outcome) if found else row


def choose(
    rows: tuple[QuantRow, ...], losses: QuantLosses | None = None
) -> tuple[str | None, tuple[str, ...]]:
    """Which row to take, and why. What was measured on the task decides. Without, the largest that fits and keeps four
    bits loses least; a smaller one is taken where it was measured to be clearly faster. `rows` are largest first."""
    fitting_rows = [row for row in rows if row.fits]
    if not fitting_rows:
        return None, ("none fits: a larger machine, less context, or a smaller model",)
    if losses is not None and any(row.quantization == losses.take for row in fitting_rows):
        return losses.take, losses.reasons
    wide = [row for row in fitting_rows if row.bits_per_weight >= LEAST_BITS]
    if not wide:
        best = fitting_rows[0]
        return best.quantization, (
            f"{best.quantization} is the largest that fits, below {LEAST_BITS:.0f} bits a weight: prove it on "
            "your task before it serves (freehold evaluate)",
        )
    timed = {
        row.quantization: row.speed for row in wide if row.speed is not None and row.speed.how == "measured"
    }
    if len(timed) > 1:
        fastest = max(speed.decode_tokens_per_second[0] for speed in timed.values())
        best = next(
            row
            for row in wide
            if row.quantization in timed
            and timed[row.quantization].decode_tokens_per_second[1] >= FAST_SHARE * fastest
        )
        return best.quantization, (
            f"{best.quantization} is the largest of {len(timed)} measured here that writes within "
            f"{1 - FAST_SHARE:.0%} of the fastest ({fastest:,.0f} tokens a second)",
            "whether its answers are as good on your task: freehold fit MODEL --measure answers",
        )
    # Eight bits are as good as unquantized wherever this was measured, with half the bytes to read per token.
    best = next((row for row in wide if row.bits_per_weight < 10), wide[-1])
    reasons = [f"{best.quantization} is the largest quantization that fits"]
    if best is not wide[0]:
        reasons.append(f"{wide[0].quantization} fits too, with more bytes to read for each token")
    reasons.append(
        "speeds are estimates: freehold fit MODEL --quant NAME --measure speed measures"
        if not timed
        else "only one is measured here: freehold fit MODEL --quant NAME --measure speed measures others"
    )
    return best.quantization, tuple(reasons)
