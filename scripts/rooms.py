"""The rooms of the source as drawings: floors from pyproject's import contracts, arrows from the imports themselves.

An arrow is drawn where nothing else says it already: not beside a longer way along other arrows, and not down to the
ground that every room stands on. What a room's box says is the first words of its docstring.
"""

import ast
import textwrap
import tomllib
from html import escape
from itertools import combinations, pairwise
from math import fsum
from pathlib import Path
from typing import NamedTuple

import grimp

ROOT = Path(__file__).resolve().parents[1]
WIDTH, GAP, BETWEEN, LINE, PASSAGE = 1000, 14, 30, 15, 10
GROUND = "every room above may use the ground"
STYLE = """
  svg { --card: #fcfcfb; --box: #ffffff; --edge: #c4c2bb; --ink: #1c1b19; --soft: #62605a; --arrow: #7a8ba3;
        --ground: #f0eee9; font-family: system-ui, sans-serif }
  @media (prefers-color-scheme: dark) {
    svg { --card: #191a1c; --box: #242629; --edge: #474a4f; --ink: #ececea; --soft: #a9aaad; --arrow: #7f95b3;
          --ground: #2e3033 } }
  .card { fill: var(--card) } .box { fill: var(--box); stroke: var(--edge) }
  .ground { fill: var(--ground); stroke: var(--edge) }
  .name { font-size: 15px; font-weight: 600; fill: var(--ink) } .about { font-size: 12px; fill: var(--soft) }
  .arrow { fill: none; stroke: var(--arrow); stroke-width: 1.6; marker-end: url(#head) } .head { fill: var(--arrow) }
"""


class House(NamedTuple):
    """Rooms by floor, top first; which room uses which; and from which floor on all may be used by all above."""

    package: str
    floors: list[list[str]]
    uses: set[tuple[str, str]]
    ground: int

    def about(self, room: str) -> str:
        """What a room is, as its docstring begins."""
        place = ROOT / "src" / self.package.replace(".", "/") / room
        path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        text = " ".join((ast.get_docstring(ast.parse(path.read_text())) or "").replace("`", "").split())
        return min((text.partition(end)[0] for end in (":", ".", ";")), key=len)

    def floor_of(self, room: str) -> int:
        return next(number for number, rooms in enumerate(self.floors) if room in rooms)

    def arrows(self) -> list[tuple[str, str]]:
        """The arrows that are drawn, in the order of the floors."""
        below = {room: {b for a, b in self.uses if a == room} for rooms in self.floors for room in rooms}

        def reached(room: str) -> set[str]:
            return below[room] | {far for near in below[room] for far in reached(near)}

        return [
            (a, b)
            for rooms in self.floors
            for a in rooms
            for b in sorted(below[a])
            if self.floor_of(b) < self.ground and not any(b in reached(other) for other in below[a] - {b})
        ]


def house() -> House:
    """The rooms of freehold."""
    return _house("freehold", ground="types")


def workflows() -> House:
    """The rooms inside workflows."""
    return _house("freehold.workflows", ground="project_store")


def _house(package: str, ground: str) -> House:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(
        contract["layers"]
        for contract in contracts
        if contract["type"] == "layers" and contract.get("containers", ["freehold"]) == [package]
    )
    floors = [[room.strip().removeprefix(f"{package}.") for room in layer.split("|")] for layer in layers]
    rooms = {room for floor in floors for room in floor}
    graph = grimp.build_graph("freehold", cache_dir=None)

    def room_of(module: str) -> str:
        return module.removeprefix(f"{package}.").partition(".")[0]

    uses = {
        (room_of(module), room_of(used))
        for module in graph.modules
        if module.startswith(f"{package}.")
        for used in graph.find_modules_directly_imported_by(module)
        if used.startswith(f"{package}.")
    }
    ground_floor = next(number for number, floor in enumerate(floors) if ground in floor)
    return House(package, floors, {(a, b) for a, b in uses if a != b and {a, b} <= rooms}, ground_floor)


def text(house: House) -> str:
    """The floors as boxes of text."""
    width = 96
    lines: list[str] = []
    for number, rooms in enumerate(house.floors):
        each, more = divmod(width - 3 * len(rooms) + 1, len(rooms))
        sizes = [each + (index < more) for index in range(len(rooms))]
        if number == house.ground:
            lines.append(f" {GROUND} ".center(width, "·"))
        lines.append(" ".join(f"┌{'─' * size}┐" for size in sizes))
        lines.append(" ".join(f"│{room:^{size}}│" for room, size in zip(rooms, sizes, strict=True)))
        lines.append(" ".join(f"└{'─' * size}┘" for size in sizes))
    return "\n".join(lines)


def table(house: House) -> str:
    """Each room: what it is, and all rooms above the ground that it uses."""
    lines = ["| room | | uses |", "|---|---|---|"]
    for room in (room for rooms in house.floors for room in rooms):
        used = [b for floor in house.floors[: house.ground] for b in floor if (room, b) in house.uses]
        lines.append(f"| {room} | {house.about(room)} | {', '.join(used)} |")
    return "\n".join(lines)


class Spot(NamedTuple):
    """Where a box, or the passage of an arrow through a floor, lies on its floor."""

    left: float
    width: float

    @property
    def middle(self) -> float:
        return self.left + self.width / 2


def svg(house: House) -> str:
    """The floors as boxes, with their arrows."""
    rows, segments = _ordered(house)
    spots = {item: spot for row in rows for item, spot in _spots(row)}
    abouts = {
        room: textwrap.wrap(house.about(room), max(8, int(spots[room].width / 6.6)))
        for rooms in house.floors
        for room in rooms
    }
    y, tops, heights = GAP, [], []
    for number, rooms in enumerate(house.floors):
        y += LINE if number == house.ground else 0
        tops.append(y)
        heights.append(34 + LINE * max(len(abouts[room]) for room in rooms))
        y += heights[-1] + (BETWEEN if number < house.ground - 1 else GAP / 2)
    height = y + GAP / 2
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" role="img">',
        f"<title>The rooms of {house.package} and which uses which</title>",
        f"<style>{STYLE}</style>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path class="head" d="M0 0 8 4 0 8z"/></marker></defs>',
        f'<rect class="card" width="{WIDTH}" height="{height:g}" rx="8"/>',
    ]
    parts.append(_line("about", WIDTH / 2, tops[house.ground] - 6, GROUND))
    for number, rooms in enumerate(house.floors):
        for room in rooms:
            spot, top = spots[room], tops[number]
            kind = "ground" if number >= house.ground else "box"
            parts.append(
                f'<rect class="{kind}" x="{spot.left:.1f}" y="{top:g}" width="{spot.width:.1f}" '
                f'height="{heights[number]:g}" rx="6"/>'
            )
            parts.append(_line("name", spot.middle, top + 21, room))
            parts += [
                _line("about", spot.middle, top + 38 + LINE * i, line) for i, line in enumerate(abouts[room])
            ]
    ends = _ends(segments, spots)
    for a, path in segments:
        points = []
        for number, (upper, lower) in enumerate(pairwise(path), house.floor_of(a)):
            x1, x2 = ends[upper, lower]
            y1, y2 = tops[number] + heights[number], tops[number + 1]
            points.append(f"{'L' if points else 'M'}{x1:.1f} {y1:g}")
            bend = (y2 - y1) / 2
            points.append(f"C{x1:.1f} {y1 + bend:g} {x2:.1f} {y2 - bend:g} {x2:.1f} {y2:g}")
        parts.append(f'<path class="arrow" d="{" ".join(points)}"/>')
    return "\n".join([*parts, "</svg>"])


def _line(kind: str, x: float, y: float, words: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:g}" text-anchor="middle">{escape(words)}</text>'


def _ordered(house: House) -> tuple[list[list[str]], list[tuple[str, list[str]]]]:
    """Rooms and passages of each floor from left to right, and each arrow as the items that it joins.

    From the order of the contract on, two items of a floor change places as long as that makes arrows straighter and
    crossings fewer.
    """
    rows = [list(rooms) for rooms in house.floors]
    arrows: list[tuple[str, list[str]]] = []
    for a, b in house.arrows():
        path = [a]
        for number in range(house.floor_of(a) + 1, house.floor_of(b)):
            path.append(f"{a}>{b}@{number}")
            rows[number].append(path[-1])
        arrows.append((a, [*path, b]))
    pieces = [piece for _, path in arrows for piece in pairwise(path)]
    swaps = [(row, i, j) for row in rows for i, j in combinations(range(len(row)), 2)]
    least, before = _disorder(rows, pieces), None
    while least != before:
        before = least
        for row, i, j in swaps:
            row[i], row[j] = row[j], row[i]
            if (now := _disorder(rows, pieces)) < least:
                least = now
            else:
                row[i], row[j] = row[j], row[i]
    return rows, arrows


def _disorder(rows: list[list[str]], pieces: list[tuple[str, str]]) -> float:
    """How far arrows run to the side, and a tenth of the width for each crossing."""
    spots = {item: spot for row in rows for item, spot in _spots(row)}
    floors = {item: number for number, row in enumerate(rows) for item in row}
    ends = []
    for upper, lower in pieces:
        narrow = min(spots[upper], spots[lower], key=lambda spot: spot.width).middle
        x = [min(max(narrow, spot.left), spot.left + spot.width) for spot in (spots[upper], spots[lower])]
        ends.append((floors[upper], *x))
    crossings = sum(
        one[0] == other[0] and (one[1] - other[1]) * (one[2] - other[2]) < 0
        for one, other in combinations(ends, 2)
    )
    return round(fsum(abs(top - bottom) for _, top, bottom in ends) + crossings * WIDTH / 10, 3)


def _spots(row: list[str]) -> list[tuple[str, Spot]]:
    passages = sum("@" in item for item in row)
    free = WIDTH - GAP * (len(row) + 1) - PASSAGE * passages
    left, found = float(GAP), []
    for item in row:
        width = PASSAGE if "@" in item else free / (len(row) - passages)
        found.append((item, Spot(left, width)))
        left += width + GAP
    return found


def _ends(
    segments: list[tuple[str, list[str]]], spots: dict[str, Spot]
) -> dict[tuple[str, str], tuple[float, float]]:
    """Where each piece of an arrow leaves the upper item and meets the lower one: as straight down as boxes allow."""
    pieces = [piece for _, path in segments for piece in pairwise(path)]

    def places(item: str, others: list[str]) -> dict[str, float]:
        spot, inside = spots[item], 16
        if "@" in item:
            return dict.fromkeys(others, spot.middle)
        others = sorted(others, key=lambda other: spots[other].middle)
        low, high = spot.left + inside, spot.left + spot.width - inside
        wished = [
            min(max(min(spot, spots[other], key=lambda spot: spot.width).middle, low), high)
            for other in others
        ]
        for i in range(1, len(wished)):
            wished[i] = max(wished[i], wished[i - 1] + inside)
        over = max(0.0, wished[-1] - high) if wished else 0.0
        return {other: x - over for other, x in zip(others, wished, strict=True)}

    leave = {upper: places(upper, [low for up, low in pieces if up == upper]) for upper, _ in pieces}
    meet = {lower: places(lower, [up for up, low in pieces if low == lower]) for _, lower in pieces}
    return {(upper, lower): (leave[upper][lower], meet[lower][upper]) for upper, lower in pieces}
