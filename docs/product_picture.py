"""Draw `docs/img/product.png`: photos and a table with blanks in, the same table with probabilities out.

python docs/product_picture.py runs/demo      a folder that `partlabel demo` wrote; needs Chromium

Every cell is of the demo's own `labels.csv` and `filled.csv`; photos and columns are chosen for their variety.
"""

import base64
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
from pictures import FOLDER, take

PHOTOS, CLASSES = 4, 5
# ruff: noqa: E501 - CSS and HTML
STYLE = """
body { font: 15px/1.3 system-ui, sans-serif; margin: 18px; color: #1d2733; background: #fff }
main { display: flex; align-items: center; gap: 22px }
table { border-collapse: collapse } th { font-weight: 600; padding: 5px 9px; font-size: 14px }
td { border: 1px solid #d5dbe2; height: 74px; width: 66px; text-align: center; padding: 0 }
td.photo { border: 0; width: 98px } td img { width: 92px; height: 70px; object-fit: cover; display: block; border-radius: 4px }
.present { background: #cfe8d6 } .absent { background: #f0f2f4 } .blank { background: #fff; color: #b6bec8 }
.p { background: #fdf0cf; font-variant-numeric: tabular-nums } .p small { display: block; color: #8a6d1c; font-size: 11px }
.arrow { font-size: 34px; color: #4a6fa5; text-align: center; line-height: 1 } .arrow code { display: block; font-size: 13px; margin-top: 8px }
figcaption { margin: 8px 0 0 98px; font-size: 13px; color: #5a6675 } figure { margin: 0 }
"""


def chosen(given: np.ndarray, truth_like: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Choose rows and columns that show known presents, known absents and confident fills of both kinds.

    Args:
        given: Labels as read, 1, 0 or NaN, [image, class].
        truth_like: Probabilities after filling, NaN where the label was known, [image, class].
    """
    confident = np.nan_to_num(truth_like) > 0.9
    classes = np.sort(np.argsort(-(confident.sum(0) + (given == 1).sum(0)), kind="stable")[:CLASSES])
    part, sure = given[:, classes], confident[:, classes]
    known = (~np.isnan(part)).sum(1)
    score = np.minimum(sure.sum(1), 2) + np.minimum((part == 1).sum(1), 1) + ((known > 0) & (known < 4))
    return np.argsort(-score, kind="stable")[:PHOTOS], classes


def page(folder: Path) -> str:
    """Build the HTML of the picture from a demo's folder."""
    before, after = pl.read_csv(folder / "labels.csv"), pl.read_csv(folder / "filled.csv")
    before = before.filter(pl.col("split") == "train")
    after = before.select("image").join(after, on="image", how="left", maintain_order="left")
    names = [name for name in before.columns if name not in ("image", "split")]
    given = before.select(names).cast(pl.Float64).to_numpy()
    probability = after.select(f"{name}:p" for name in names).cast(pl.Float64).to_numpy()
    rows, columns = chosen(given, probability)
    head = "<tr><th></th>" + "".join(f"<th>{names[c]}</th>" for c in columns) + "</tr>"
    left, right = head, head
    for row in rows:
        path = next(folder.rglob(Path(before["image"][int(row)]).name))
        kind = "jpeg" if path.suffix in (".jpg", ".jpeg") else "png"
        photo = f'<td class="photo"><img src="data:image/{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"></td>'
        left += f"<tr>{photo}" + "".join(known(given[row, c]) for c in columns) + "</tr>"
        right += (
            f"<tr>{photo}"
            + "".join(
                known(given[row, c]) if np.isnan(probability[row, c]) else filled(probability[row, c])
                for c in columns
            )
            + "</tr>"
        )
    arrow = '<div class="arrow">&#8594;<code>partlabel train</code><code>partlabel fill</code></div>'
    return (
        f"<html><head><meta charset=utf-8><style>{STYLE}</style></head><body><main>"
        f"<figure><table>{left}</table><figcaption>labels.csv: 1, 0 and blanks</figcaption></figure>{arrow}"
        f"<figure><table>{right}</table><figcaption>filled.csv: known labels untouched, a probability and its source "
        "for every blank</figcaption></figure></main></body></html>"
    )


def known(value: float) -> str:
    """Draw a cell as people gave it."""
    if np.isnan(value):
        return '<td class="blank"></td>'
    return f'<td class="{"present" if value else "absent"}">{int(value)}</td>'


def filled(probability: float) -> str:
    """Draw a cell that the model filled in."""
    return f'<td class="p">{probability:.2f}<small>model</small></td>'


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home:
        path = Path(home, "product.html")
        path.write_text(page(Path(sys.argv[1])))
        take(path, ["main"], FOLDER / "product.png", width=1180)
