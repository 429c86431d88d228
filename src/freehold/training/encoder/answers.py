"""What training answers are: one label, a list of labels, JSON whose fields are each a closed set or copied. Pure.

An answer counts as from a closed set where the answers are short and come again and again. What is not a closed set is
looked for in the message (an order number); where it is not there either, an encoder cannot give it, and a method that
writes can.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from freehold.encoders.pieces import is_edge
from freehold.errors import UsageError
from freehold.types.encoder import AnswerKind, CopiedForm, FieldHead, NumberForm, as_copied
from freehold.types.record import Record

Scalar = str | int | float | bool | None
Value = Any
"""Of one field in one answer: a label, a tuple of labels, or a `Piece` of the message."""

LONGEST_LABEL = 80
"""Characters. Longer texts are not labels."""
MOST_LABELS = 2000
FEWEST_FOUND = 0.9
"""Share of the values of a copied field that must stand in the message."""
MOST_BROKEN = 0.02
"""Share of answers that may be of another form than the others; they are not learned."""
_FEWEST_DIGITS = 4
"""Of a number that is looked for: shorter ones are in any text."""
_TEXT_FORMS: tuple[CopiedForm, ...] = ("as_written", "upper", "lower", "digits")
_OTHER_METHOD = 'a model that writes its answers can: method = "lora"'


class TaughtForm(Record, frozen=True, kw_only=True):
    """What all answers have in common. Labels are sorted by how often they come; `fewest` are the samples per label,
    the mean over the labels of the field that has fewest. `warnings` are for people to read before they train on it."""

    answer: AnswerKind
    fields: tuple[FieldHead, ...]
    fewest: float = 0.0
    separators: tuple[str, str] = (", ", ": ")
    warnings: tuple[str, ...] = ()

    @property
    def copies(self) -> bool:
        """Whether a field is copied from the message."""
        return any(field.kind == "copied" for field in self.fields)

    @property
    def can_contrast(self) -> bool:
        """Whether there are groups of answers to tell apart."""
        return any(field.kind == "one" and len(field.labels) > 1 for field in self.fields)


def form_of(answers: Sequence[str], texts: Sequence[str], *, copies: bool = True) -> TaughtForm:
    """The form of training answers, each beside the text it was given for. Without `copies` a field is copied only
    where there is no other way.

    Raises `UsageError` where an encoder cannot give such answers, with the method that would.
    """
    if not answers:
        raise UsageError(
            "no training sample has an answer", hint="freehold dataset says where answers come from"
        )
    values = [_parsed(answer) for answer in answers]
    kind = _kind(values)
    like = {"label": object, "labels": list, "json": dict}[kind]
    kept = [at for at, value in enumerate(values) if isinstance(value, like)]
    values, texts = [values[at] for at in kept], [texts[at] for at in kept]
    broken, what = len(answers) - len(kept), "a JSON object" if kind == "json" else "a JSON list"
    warnings = (
        [f"{broken:,} of {len(answers):,} answers are not {what} and are not learned"] if broken else []
    )
    fields: list[FieldHead] = []
    fewest = []
    for name, column in _columns(kind, answers, values).items():
        field, said = _one(name, column) if kind == "label" else _field(name, column, texts, copies)
        fields.append(field)
        if field.labels:
            several = field.kind == "several"
            count = sum(len(_label_set(one or ())) if several else 1 for one in column)
            fewest.append(count / len(field.labels))
        missing = sum(name not in value for value in values) if kind == "json" else 0
        if missing:
            said.append(
                f"field {name} is missing in {missing:,} of {len(values):,} answers: it is taught as null there"
            )
        warnings.extend(said)
    if all(field.kind == "one" and len(field.labels) == 1 for field in fields):
        raise UsageError(
            f"all {len(values):,} training samples have the same answer: nothing can be told apart",
            hint="are labels missing? freehold dataset show",
        )
    return TaughtForm(
        answer=kind,
        fields=tuple(fields),
        fewest=min(fewest, default=0.0),
        separators=(", ", ": ") if kind == "label" else _separators([answers[at] for at in kept]),
        warnings=tuple(warnings),
    )


def _columns(kind: AnswerKind, answers: Sequence[str], values: Sequence[Any]) -> dict[str, list[Any]]:
    """The values of each field by its name, which is empty where answers are not objects."""
    if kind == "labels":
        return {"": list(values)}
    if kind == "json":
        names = list(dict.fromkeys(name for value in values for name in value))
        if not names:
            raise UsageError("all answers are empty JSON objects: there is nothing to learn")
        return {name: [value.get(name) for value in values] for name in names}
    labels: list[Scalar] = [answer.strip() for answer in answers]
    if not _is_closed(labels):
        raise UsageError(
            f"answers are no closed set: {len(set(labels)):,} different ones in {len(labels):,} training samples, "
            f"the longest of {max(len(str(label)) for label in labels):,} characters",
            hint=_OTHER_METHOD,
        )
    return {"": labels}


def targets_of(form: TaughtForm, answer: str) -> tuple[Value, ...] | None:
    """The value of each field in one answer; None where the answer is of another form. A label never taught is kept:
    it is in no field's `labels`."""
    if form.answer == "label":
        return (_canonical(form.fields[0], answer.strip()),)
    value = _parsed(answer)
    if form.answer == "labels":
        return (_label_set(value),) if isinstance(value, list) else None
    if not isinstance(value, dict):
        return None
    found: list[Value] = []
    for field in form.fields:
        one = value.get(field.name)
        if field.kind == "several":
            if one is not None and not isinstance(one, list):
                return None
            found.append(_label_set(one or []))
        else:
            found.append(_canonical(field, one) if field.kind == "one" else one)
    return tuple(found)


def untaught(form: TaughtForm, answers: Iterable[str]) -> dict[str, int]:
    """Labels of other answers (validation, held-out) that no training sample has, with how often they come."""
    known = [{_key(label) for label in field.labels} for field in form.fields]
    missing: Counter[str] = Counter()
    for answer in answers:
        values = targets_of(form, answer)
        for field, taught, value in zip(form.fields, known, values or (), strict=False):
            if field.kind in ("copied", "found"):
                continue
            for label in value if field.kind == "several" else (value,):
                if _key(label) not in taught:
                    missing[f"{field.name}={label}" if field.name else str(label)] += 1
    return dict(missing.most_common())


def span_of(value: Scalar, form: CopiedForm, text: str) -> tuple[int, int] | None:
    """Where a copied value stands in a text: the first piece of whole words that becomes it. None where it does not."""
    if form in ("digits", "number"):
        pieces = [match for like in _NUMBERS for match in re.finditer(like, text)]
        return next((one.span() for one in pieces if as_copied(one.group(), form) == value), None)
    if not isinstance(value, str) or not value:
        return None
    within = text
    if form in ("upper", "lower"):
        within = str(as_copied(text, form))
        if len(within) != len(text):  # a letter that becomes two would shift every place after it
            return None
    at = within.find(value)
    while at >= 0 and not (is_edge(text, at) and is_edge(text, at + len(value))):
        at = within.find(value, at + 1)
    return (at, at + len(value)) if at >= 0 else None


_NUMBERS = (r"\d(?:[\d .,/-]*\d)?", r"\d+")


def _parsed(answer: str) -> Any:
    text = answer.strip()
    if not text.startswith(("{", "[")):
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None


def _kind(values: Sequence[Any]) -> AnswerKind:
    """By what nearly all are."""
    needed = len(values) * (1 - MOST_BROKEN)
    if sum(isinstance(value, dict) for value in values) >= needed:
        return "json"
    return "labels" if sum(isinstance(value, list) for value in values) >= needed else "label"


def _field(
    name: str, values: Sequence[Any], texts: Sequence[str], copies: bool
) -> tuple[FieldHead, list[str]]:
    if any(isinstance(value, list) for value in values):
        if not all(value is None or isinstance(value, list) for value in values):
            raise UsageError(f"field {name} is a list in some answers and none in others", hint=_OTHER_METHOD)
        return _several(name, [value or [] for value in values]), []
    if any(isinstance(value, dict) for value in values):
        raise UsageError(f"field {name} is an object: an encoder answers flat fields", hint=_OTHER_METHOD)
    present = [(value, text) for value, text in zip(values, texts, strict=True) if value is not None]
    copied_as, standing = _copied_as(present)
    seen = Counter(_key(value) for value, _ in present)
    # As many of later values are new to a set as were seen once (Good 1953): what a closed set can give at best.
    known = 1 - sum(count == 1 for count in seen.values()) / max(1, len(present))
    closed = _is_closed([value for value, _ in present])
    if closed and (not copies or standing < FEWEST_FOUND or known > standing + MOST_BROKEN):
        return _one(name, values)
    if standing >= FEWEST_FOUND:
        missing = round((1 - standing) * len(present))
        said = [f"field {name} is copied from the message; {missing:,} of {len(present):,} values do not stand there "
                "and are not learned"] if missing else []  # fmt: skip
        return FieldHead(name=name, kind="copied", copied_as=copied_as), said
    if (number := number_form(values, texts)) is not None:
        return FieldHead(name=name, kind="found", number=number), []
    if len(present) <= MOST_BROKEN * len(values):
        return _one(name, values)
    raise UsageError(
        f"field {name} has no closed set of values ({len(seen):,} different in {len(present):,} training samples that "
        f"have one), and only {standing:.0%} of them stand in the message",
        hint=_OTHER_METHOD,
    )


def _copied_as(present: Sequence[tuple[Scalar, str]]) -> tuple[CopiedForm, float]:
    """What makes most values of pieces of their texts, and of what share."""
    whole = all(isinstance(value, int) and not isinstance(value, bool) for value, _ in present)
    forms: tuple[CopiedForm, ...] = ("number",) if whole else _TEXT_FORMS
    shares = {
        form: sum(span_of(value, form, text) is not None for value, text in present) / max(1, len(present))
        for form in forms
    }
    best = max(shares, key=lambda form: shares[form])
    return best, shares[best]


def number_form(values: Sequence[Scalar], texts: Sequence[str]) -> NumberForm | None:
    """What values have in common that are numbers with the same letters around them; None where they have not, or where
    looking for such a number gives the right value less often than in `FEWEST_FOUND` of all samples."""
    present = [value for value in values if value is not None]
    matches = [re.fullmatch(r"(\D*)(\d+)(\D*)", one) if isinstance(one, str) else None for one in present]
    around = Counter((one[1], one[3]) for one in matches if one is not None)
    if not around:
        return None
    (before, after), count = around.most_common(1)[0]
    if count < len(present) * (1 - MOST_BROKEN):
        return None
    lengths = [len(one[2]) for one in matches if one is not None and (one[1], one[3]) == (before, after)]
    form = NumberForm(
        before=before,
        after=after,
        least_digits=min(lengths),
        most_digits=max(lengths),
        sure=0.0,
        sure_none=0.0,
    )
    if form.least_digits < _FEWEST_DIGITS:
        return None
    seen = [(form.find(text), value) for text, value in zip(texts, values, strict=True)]
    right = {
        some: [one == value for one, value in seen if (one is not None) is some] for some in (True, False)
    }
    if sum(map(sum, right.values())) < FEWEST_FOUND * len(seen):
        return None
    # One more of each kind, so that a few that are all right make nothing certain.
    shares = {some: (sum(those) + 1) / (len(those) + 2) for some, those in right.items()}
    return msgspec.structs.replace(form, sure=shares[True], sure_none=shares[False])


def _one(name: str, values: Sequence[Scalar]) -> tuple[FieldHead, list[str]]:
    counts = Counter(_key(value) for value in values)
    labels = {_key(value): value for value in values}
    folded: dict[Any, list[tuple[str, Any]]] = {}
    for key, _ in counts.most_common():
        label = labels[key]
        folded.setdefault(label.casefold() if isinstance(label, str) else key, []).append(key)
    where = f" of field {name}" if name else ""
    said: list[str] = []
    for keys in folded.values():
        if len(keys) > 1:
            kept, *others = keys
            said.append(
                f"labels{where} differ by case only: {', '.join(str(labels[key]) for key in others)} "
                f"({sum(counts[key] for key in others):,}) taught as {labels[kept]} ({counts[kept]:,})"
            )
            for key in others:
                counts[kept] += counts.pop(key)
    single = [str(labels[key]) for key, count in counts.items() if count == 1]
    if single:
        said.append(
            f"{len(single):,} labels{where} have one training sample: "
            + ", ".join(single[:5])
            + (" …" if len(single) > 5 else "")
        )
    return FieldHead(
        name=name, kind="one", labels=tuple(labels[key] for key, _ in counts.most_common())
    ), said


def _several(name: str, lists: Sequence[Sequence[Any]]) -> FieldHead:
    where = f"field {name}" if name else "answers"
    counts: Counter[tuple[str, Any]] = Counter()
    labels: dict[tuple[str, Any], Scalar] = {}
    for one in lists:
        if any(isinstance(label, (dict, list)) for label in one):
            raise UsageError(f"{where}: lists hold more than labels", hint=_OTHER_METHOD)
        for label in {_key(label): label for label in one}.values():
            counts[_key(label)] += 1
            labels[_key(label)] = label
    flat = [label for one in lists for label in one]
    if not flat:
        raise UsageError(f"{where}: all lists are empty: there is nothing to learn")
    if not _is_closed(flat):
        raise UsageError(
            f"{where}: lists hold no closed set of labels: {len(labels):,} different ones in {len(flat):,}",
            hint=_OTHER_METHOD,
        )
    return FieldHead(name=name, kind="several", labels=tuple(labels[key] for key, _ in counts.most_common()))


def _is_closed(values: Sequence[Scalar]) -> bool:
    """Few, short values that come again and again."""
    different = {_key(value) for value in values}
    short = all(len(str(value)) <= LONGEST_LABEL and "\n" not in str(value) for value in values)
    return short and len(different) <= MOST_LABELS and len(different) <= max(2, len(values) / 2)


def _canonical(field: FieldHead, value: Scalar) -> Scalar:
    """A label in the spelling that is taught."""
    if value in field.labels or not isinstance(value, str):
        return value
    folded = value.casefold()
    return next((one for one in field.labels if isinstance(one, str) and one.casefold() == folded), value)


def _label_set(values: Sequence[Scalar]) -> tuple[Scalar, ...]:
    return tuple({_key(value): value for value in values}.values())


def _key(value: Any) -> tuple[str, Any]:
    """Tells true from 1 and 1 from 1.0, which Python holds for equal."""
    return type(value).__name__, value if not isinstance(value, (dict, list)) else json.dumps(value)


def _separators(answers: Sequence[str]) -> tuple[str, str]:
    """Of items and of keys, as most answers have them."""
    items: Counter[str] = Counter()
    keys: Counter[str] = Counter()
    for answer in answers[:200]:
        items[
            ", " if re.search(r'["\d\]el], +"', answer) else "," if re.search(r'["\d\]el],"', answer) else ""
        ] += 1
        keys[": " if re.search(r'": ', answer) else ":" if re.search(r'":\S', answer) else ""] += 1
    del items[""], keys[""]
    item = items.most_common(1)[0][0] if items else ", "
    return item, keys.most_common(1)[0][0] if keys else ": "


def label_text(label: Scalar) -> str:
    """A label as words: ``card_not_working`` and ``cardNotWorking`` become ``card not working``."""
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", str(label))
    return " ".join(re.sub(r"[_\-./]+", " ", text).lower().split())
