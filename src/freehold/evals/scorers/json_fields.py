"""`json_fields`: the answer is JSON whose fields are right, and no others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from freehold.errors import ConfigError
from freehold.evals.scorer import NO_REFERENCE, Options, Scorer, malformed, read_options
from freehold.evals.text import Accept, NotJson, parse_json, same, without_nulls
from freehold.late import jsonschema
from freehold.types.dataset import Sample
from freehold.types.evaluation import EvalResult, Score

WHOLE = "answer"
"""The one field of an answer that is a list, such as of labels."""


class JsonFieldsOptions(Options, frozen=True, kw_only=True):
    """Which fields count and how each is compared. A field is a key, or a path with dots (``address.city``).

    `fields` empty: every top-level key of the reference. An absent key and one that is null are the same. `ignore`
    fields are not compared. Lists of text are sets but for the `ordered` fields; `labels` are text compared as labels
    (case, ``_`` and ``-`` ignored), `tolerance` a relative tolerance per numeric field.
    `overall` is ``all`` (1 when every field is right) or ``mean`` (share of fields right, by `weights`).
    A key that the reference does not have is wrong, unless `extra_keys` is ``ignore``, which the verdict says.
    `schema` is a JSON schema the answer must meet; without it the request's own ``response_format`` is used where
    there is one.
    """

    fields: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    ordered: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    tolerance: dict[str, float] = {}
    weights: dict[str, float] = {}
    overall: Literal["all", "mean"] = "all"
    accept: Accept = "fenced"
    extra_keys: Literal["wrong", "ignore"] = "wrong"
    schema: dict[str, Any] | None = None


class JsonFieldsScorer(Scorer):
    """A score per field (in `parts`) and one overall.

    Not JSON (``not_json``), neither an object nor the list that is wanted (``not_an_object``) or against the schema
    (``against_schema``): a format failure, scored 0, fields included.
    """

    name = "json_fields"
    needs_reference = True

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = read_options(self.name, options, JsonFieldsOptions)
        self.binary = self.options.overall == "all"
        if any(weight < 0 for weight in self.options.weights.values()):
            raise ConfigError("scorer json_fields: a weight is negative", hint="use 0 to leave a field out")
        self._validators: dict[str, Any] = {}

    async def score(self, sample: Sample, answer: str, reference: str | None) -> Score:
        if reference is None:
            return NO_REFERENCE
        try:
            wanted = parse_json(reference)
        except NotJson:
            return Score(value=None, reason="reference_not_json: the reference answer is not valid JSON")
        if not isinstance(wanted, dict | list):
            return Score(value=None, reason="reference_not_an_object")
        keys = self.options.fields or tuple(_object(wanted))
        fields = [field for field in keys if field not in self.options.ignore]
        none_right = dict.fromkeys(fields, 0.0)
        try:
            given = parse_json(answer, self.options.accept)
        except NotJson as error:
            return malformed(f"not_json: {error}", **none_right)
        if not isinstance(given, type(wanted)):
            return malformed("not_an_object", **none_right)
        broken = self._against_schema(sample, given)
        if broken is not None:
            return malformed(f"against_schema: {broken}", **none_right)
        given, expected = _object(without_nulls(given)), _object(without_nulls(wanted))
        parts = {field: 1.0 if self._field_right(field, given, expected) else 0.0 for field in fields}
        invented = self._invented(given, expected, fields)
        parts.update(dict.fromkeys(invented, 0.0))
        missed = [field for field, value in parts.items() if value == 0.0 and field not in invented]
        reasons = [f"wrong_fields: {', '.join(missed)}"] if missed else []
        reasons += [f"invented_fields: {', '.join(invented)}"] if invented else []
        value = self._overall(parts)
        reasons += ["weights_sum_to_nothing: no field that counts is in this answer"] if value is None else []
        return Score(value=value, reason="; ".join(reasons) or None, parts=parts)

    def _invented(self, given: dict[str, Any], expected: dict[str, Any], fields: Sequence[str]) -> list[str]:
        if self.options.extra_keys == "ignore":
            return []
        known = {*expected, *(field.partition(".")[0] for field in (*fields, *self.options.ignore)), *fields}
        return [key for key in given if key not in known]

    def _overall(self, parts: dict[str, float]) -> float | None:
        if self.options.overall == "all":
            return 1.0 if all(value == 1.0 for value in parts.values()) else 0.0
        weights = {field: self.options.weights.get(field, 1.0) for field in parts}
        total = sum(weights.values())
        if not total:
            return None if parts else 1.0
        return sum(weights[field] * value for field, value in parts.items()) / total

    def _field_right(self, field: str, given: dict[str, Any], expected: dict[str, Any]) -> bool:
        return same(
            _at(given, field),
            _at(expected, field),
            tolerance=self.options.tolerance.get(field, 0.0),
            normalize=field in self.options.labels,
            ordered=field in self.options.ordered,
        )

    @classmethod
    def own_notes(
        cls, options: dict[str, Any], incumbent: Sequence[EvalResult], candidate: Sequence[EvalResult]
    ) -> list[str]:
        if read_options(cls.name, options, JsonFieldsOptions).extra_keys == "wrong":
            return []
        return ['Fields that the right answer does not have were not counted (extra_keys = "ignore").']

    def _against_schema(self, sample: Sample, value: Any) -> str | None:
        schema = self.options.schema or _requested_schema(sample)
        if schema is None:
            return None
        key = str(schema)
        if key not in self._validators:
            kind = jsonschema.validators.validator_for(schema)
            try:
                kind.check_schema(schema)
            except jsonschema.SchemaError as error:
                raise ConfigError(f"scorer json_fields: not a valid JSON schema: {error.message}") from None
            self._validators[key] = kind(schema)
        broken = jsonschema.exceptions.best_match(self._validators[key].iter_errors(value))
        return None if broken is None else f"{broken.json_path}: {broken.message}"


def _requested_schema(sample: Sample) -> dict[str, Any] | None:
    wanted = (sample.response_format or {}).get("json_schema")
    schema = wanted.get("schema") if isinstance(wanted, dict) else None
    return schema if isinstance(schema, dict) else None


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {WHOLE: value}


def _at(value: Any, path: str) -> Any:
    if isinstance(value, dict) and path in value:
        return value[path]
    for key in path.split("."):
        if not isinstance(value, dict) or key not in value:
            return None
        value = value[key]
    return value
