"""`json_fields`: the answer is a JSON object whose fields are right."""

from __future__ import annotations

from typing import Any, Literal

from freehold.errors import ConfigError
from freehold.evals.json_text import Accept, NotJson, parse_json, same
from freehold.evals.scorer import NO_REFERENCE, Options, Scorer, malformed, read_options
from freehold.late import jsonschema
from freehold.types.dataset import Sample
from freehold.types.evaluation import Score


class JsonFieldsOptions(Options, frozen=True, kw_only=True):
    """Which fields count and how each is compared. A field is a key, or a path with dots (``address.city``).

    `fields` empty: every top-level key of the reference. `ignore` fields are not compared. `sets` are lists
    whose order doesn't count, `labels` are text compared as labels (case, ``_`` and ``-`` ignored),
    `tolerance` a relative tolerance per numeric field.
    `overall` is ``all`` (1 when every field is right) or ``mean`` (share of fields right, by `weights`).
    `missing_is_null` takes an absent key for null. `extra_keys` of ``wrong`` counts an unknown key as a
    format failure. `schema` is a JSON schema the answer must meet; without it the request's own
    ``response_format`` is used where there is one.
    """

    fields: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    tolerance: dict[str, float] = {}
    weights: dict[str, float] = {}
    overall: Literal["all", "mean"] = "all"
    accept: Accept = "fenced"
    missing_is_null: bool = False
    extra_keys: Literal["ignore", "wrong"] = "ignore"
    schema: dict[str, Any] | None = None


_ABSENT = object()


class JsonFieldsScorer(Scorer):
    """A score per field (in `parts`) and one overall.

    Not a JSON object (``not_json``, ``not_an_object``) or against the schema (``against_schema``): a format
    failure, scored 0, fields included.
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
            expected = parse_json(reference)
        except NotJson:
            return Score(value=None, reason="reference_not_json: the reference answer is not valid JSON")
        if not isinstance(expected, dict):
            return Score(value=None, reason="reference_not_an_object")
        fields = [
            field for field in self.options.fields or tuple(expected) if field not in self.options.ignore
        ]
        none_right = dict.fromkeys(fields, 0.0)
        try:
            given = parse_json(answer, self.options.accept)
        except NotJson as error:
            return malformed(f"not_json: {error}", **none_right)
        if not isinstance(given, dict):
            return malformed("not_an_object", **none_right)
        broken = self._against_schema(sample, given)
        if broken is not None:
            return malformed(f"against_schema: {broken}", **none_right)
        known = {*expected, *(field.partition(".")[0] for field in (*fields, *self.options.ignore))}
        if self.options.extra_keys == "wrong" and (extra := [key for key in given if key not in known]):
            return malformed(f"extra_keys: {', '.join(extra)}", **none_right)
        parts = {field: 1.0 if self._field_right(field, given, expected) else 0.0 for field in fields}
        missed = [field for field, value in parts.items() if value == 0.0]
        reason = f"wrong_fields: {', '.join(missed)}" if missed else None
        return Score(value=self._overall(parts), reason=reason, parts=parts)

    def _overall(self, parts: dict[str, float]) -> float:
        if self.options.overall == "all":
            return 1.0 if all(value == 1.0 for value in parts.values()) else 0.0
        weights = {field: self.options.weights.get(field, 1.0) for field in parts}
        total = sum(weights.values())
        return sum(weights[field] * value for field, value in parts.items()) / total if total else 1.0

    def _field_right(self, field: str, given: dict[str, Any], expected: dict[str, Any]) -> bool:
        left, right = _at(given, field), _at(expected, field)
        if self.options.missing_is_null:
            left, right = (None if value is _ABSENT else value for value in (left, right))
        if left is _ABSENT or right is _ABSENT:
            return left is right
        return same(
            left,
            right,
            tolerance=self.options.tolerance.get(field, 0.0),
            normalize=field in self.options.labels,
            as_set=field in self.options.sets,
        )

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


def _at(value: Any, path: str) -> Any:
    if isinstance(value, dict) and path in value:
        return value[path]
    for key in path.split("."):
        if not isinstance(value, dict) or key not in value:
            return _ABSENT
        value = value[key]
    return value
