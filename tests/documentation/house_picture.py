"""docs/pictures/house.svg: which folder of bq/ imports which, from the code.

`python -m tests.documentation.house_picture` draws it anew. Rows and columns are the folders in the order in which they
are read, so that nothing stands right of the diagonal.
"""

from functools import cache
from pathlib import Path

from tests.floors import FLOORS, imported

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs" / "pictures" / "house.svg"
CELL, LEFT, TOP = 22, 92, 86
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.page { fill: #ffffff; } .own { fill: #57606a; } .uses { fill: #1f5fa8; } .grid { stroke: #d0d7de; }
"""


@cache
def uses(folder: str) -> set[str]:
    """The other folders that the modules of a folder import from."""
    modules = (ROOT / "bq" / folder).rglob("*.py")
    names = {name for path in modules for name in imported(path) if name.startswith("bq.")}
    return {name.split(".")[1] for name in names} & set(FLOORS) - {folder}


def picture() -> str:
    """The drawing, as SVG."""
    size = CELL * len(FLOORS)
    width, height = LEFT + size + 24, TOP + size + 8
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        "<title>Which folder of bq/ imports from which: a row imports from the columns that are marked</title>",
        f"<style>{STYLE}</style>",
        f'<rect class="page" width="{width}" height="{height}" rx="4"/>',  # the same on a dark page
    ]
    for row, folder in enumerate(FLOORS):
        middle = CELL * row + CELL / 2
        lines += [
            f'<text x="{LEFT - 8}" y="{TOP + middle + 4:g}" text-anchor="end">{folder}</text>',
            f'<text transform="translate({LEFT + middle + 4:g} {TOP - 8}) rotate(-60)">{folder}</text>',
            f'<line class="grid" x1="{LEFT}" x2="{LEFT + size}" y1="{TOP + CELL * row}" y2="{TOP + CELL * row}"/>',
        ]
        lines.append(_square(row, row, "own", 6))
        lines += [_square(row, FLOORS.index(other), "uses", 14) for other in sorted(uses(folder), key=FLOORS.index)]
    return "\n".join([*lines, "</svg>"]) + "\n"


def _square(row: int, column: int, kind: str, side: int) -> str:
    x, y = LEFT + CELL * column + (CELL - side) / 2, TOP + CELL * row + (CELL - side) / 2
    return f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{side}" height="{side}" rx="2"/>'


if __name__ == "__main__":
    PICTURE.write_text(picture())
