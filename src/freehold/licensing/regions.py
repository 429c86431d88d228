"""Regions as licences name them."""

from __future__ import annotations

EU = frozenset(
    code
    for line in (
        "AT BE BG HR CY CZ DK EE FI FR DE GR HU IE",
        "IT LV LT LU MT NL PL PT RO SK SI ES SE",
    )
    for code in line.split()
)
_WORDS = {
    "germany": "DE", "france": "FR", "ireland": "IE", "italy": "IT", "spain": "ES", "netherlands": "NL",
    "austria": "AT", "belgium": "BE", "poland": "PL", "sweden": "SE", "denmark": "DK", "finland": "FI",
    "portugal": "PT", "greece": "GR", "czechia": "CZ", "romania": "RO", "hungary": "HU", "luxembourg": "LU",
    "el": "GR", "uk": "GB", "united kingdom": "GB", "great britain": "GB", "england": "GB", "scotland": "GB",
    "korea": "KR", "south korea": "KR", "republic of korea": "KR", "rok": "KR", "european union": "EU",
    "united states": "US", "usa": "US", "japan": "JP", "china": "CN", "switzerland": "CH", "eu-27": "EU",
}  # fmt: skip
_WIDE = {
    "global": frozenset({"EU", "GB", "KR"}),
    "worldwide": frozenset({"EU", "GB", "KR"}),
    "world": frozenset({"EU", "GB", "KR"}),
    "everywhere": frozenset({"EU", "GB", "KR"}),
    "europe": frozenset({"EU", "GB"}),
    "eea": frozenset({"EU"}),
    "emea": frozenset({"EU", "GB"}),
    "apac": frozenset({"KR"}),
    "asia": frozenset({"KR"}),
}


def inside(place: str, regions: tuple[str, ...]) -> bool:
    """Whether a place (ISO code, common name, or a wide word such as ``global``) touches the regions.

    A subdivision counts as its country (``DE-BY``). A wide word touches everything it may contain.
    """
    word = place.strip().lower()
    wanted = set(regions)
    if word in _WIDE:
        return bool(_WIDE[word] & wanted)
    code = _WORDS.get(word, place.strip().upper())
    if code not in wanted and "-" in code:
        code = code.partition("-")[0]
        code = {"UK": "GB"}.get(code, code)
    return code in wanted or (code in EU and "EU" in wanted) or (code == "EU" and bool(EU & wanted))
