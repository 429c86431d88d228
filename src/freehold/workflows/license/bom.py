"""A bill of materials of a model as CycloneDX 1.6 (ML-BOM): lineage, licences, hashes, data, services."""

from __future__ import annotations

from typing import Any, NamedTuple

from freehold import __version__
from freehold.catalog.ancestry import resolve
from freehold.catalog.licenses import licenses
from freehold.errors import FreeholdError, MissingExtraError
from freehold.licensing.comply import license_link
from freehold.types.license import OWN_MARK, Lineage, Ruling
from freehold.types.use import UseProfile


class _Sources(NamedTuple):
    """What a model is made from, as CycloneDX has it; `ancestors` are among the components."""

    components: list[Any]
    services: list[Any]
    ancestors: list[Any]


def bill_of_materials(
    ruling: Ruling, lineage: Lineage, use: UseProfile, *, hashes: dict[str, str] | None = None
) -> str:
    """The bill as JSON text, checked against the CycloneDX 1.6 schema.

    `hashes` maps the file names of the artefact to their sha256. Raises `MissingExtraError` without the
    extra ``bom``, and `FreeholdError` if the result does not fit the schema.
    """
    try:
        from cyclonedx.model import HashAlgorithm, HashType, Property
        from cyclonedx.model.bom import Bom
        from cyclonedx.model.component import Component, ComponentType, Pedigree
        from cyclonedx.output.json import JsonV1Dot6
        from cyclonedx.schema import SchemaVersion
        from cyclonedx.validation.json import JsonStrictValidator
    except ImportError:
        raise MissingExtraError("a bill of materials", "bom") from None

    sources = _sources(lineage, use)
    files = [
        Component(
            name=name,
            type=ComponentType.FILE,
            bom_ref=f"file-{name}",
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)],
        )
        for name, digest in sorted((hashes or {}).items())
    ]
    root = Component(
        name=lineage.model,
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref="model",
        pedigree=Pedigree(ancestors=sources.ancestors) if sources.ancestors else None,
        properties=[
            Property(name="freehold:ruling", value=ruling.outcome),
            Property(name="freehold:ruling_id", value=ruling.id),
            Property(name="freehold:version", value=__version__),
        ],
    )
    bom = Bom(components=[*sources.components, *files], services=sources.services)
    bom.metadata.component = root
    bom.register_dependency(root, [*sources.components, *files, *sources.services])
    text = str(JsonV1Dot6(bom).output_as_string(indent=2))
    problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if problem is not None:
        raise FreeholdError(
            f"the bill of materials does not fit CycloneDX 1.6: {str(problem).splitlines()[0]}"
        )
    return text


def _sources(lineage: Lineage, use: UseProfile) -> _Sources:
    from cyclonedx.model import Property
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.model.service import Service

    found = _Sources([], [], [])
    for number, source in enumerate(resolve(lineage, use)):
        ids = [license.id for license in source.licenses]
        properties = [Property(name="freehold:relation", value=source.edge.kind)]
        reference = f"{number}-{source.edge.model}"
        if any(license.scope == "service" for license in source.licenses):
            found.services.append(
                Service(
                    name=source.edge.model,
                    bom_ref=reference,
                    licenses=_licenses(ids[:1]),
                    properties=properties,
                )
            )
            continue
        is_data = source.edge.kind == "trained_on"
        component = Component(
            name=source.edge.model.removeprefix(OWN_MARK).strip() or lineage.model,
            type=ComponentType.DATA if is_data else ComponentType.MACHINE_LEARNING_MODEL,
            bom_ref=reference,
            licenses=_licenses(ids),
            properties=properties,
        )
        found.components.append(component)
        if source.edge.kind in ("base", "merge"):
            found.ancestors.append(component)
    return found


def _licenses(ids: list[str]) -> list[Any]:
    """Licences by their SPDX id where they have one, else by name, each with where its text can be read."""
    from cyclonedx.model import XsUri
    from cyclonedx.model.license import DisjunctiveLicense
    from cyclonedx.spdx import is_supported_id

    known = licenses()
    found = []
    for one in ids:
        link = license_link(known[one]) if one in known else None
        url = XsUri(link) if link else None
        if is_supported_id(one):
            found.append(DisjunctiveLicense(id=one, url=url))
        else:
            name = f"{known[one].name} ({one})" if one in known else one
            found.append(DisjunctiveLicense(name=name, url=url))
    return found
