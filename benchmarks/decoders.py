r"""Time from a JPEG file to the 224 x 224 pixels of the network, by library.

    OMP_NUM_THREADS=1 python benchmarks/decoders.py --out benchmarks/results/decoders.csv
    python benchmarks/decoders.py --table benchmarks/results/decoders.csv

Every library decodes at a reduced size where it can, by the rule of the package (each side at least twice 224), and
the same resize follows. `ours by Pillow` and `ours by simplejpeg` are what the package does without and with
simplejpeg: it also refuses unsafe files, applies the EXIF orientation and converts all modes. The others do none of
that unless their function does it by itself, so that their figure is a lower bound. All take turns in one process with
one thread. Large photos are made of small ones (`images.py`); `noise` adds that of a sensor, which makes the files as
large as those of a camera. `off_mean` and `off_max` are differences from `ours by Pillow` after the resize, of 255;
`cmyk`, `progressive` and `rotated` are mean differences for one such file, or the error.
A library that is not installed is left out: simplejpeg, PyTurboJPEG (with the shared library TURBOJPEG),
pyvips, torchcodec, opencv-python-headless.
"""

import argparse
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from images import enlarge
from PIL import ExifTags, Image
from rows import read, stamp, write
from torch import Tensor
from torchvision.io import decode_jpeg, read_file
from torchvision.transforms import v2
from torchvision.transforms.v2.functional import pil_to_tensor

from partlabel import LabelTable
from partlabel.data.images import pixels as fast
from partlabel.data.images.dataset import BICUBIC
from partlabel.data.images.decode import decode

SIDE = 224
LEAST = 2 * SIDE
Way = Callable[[Path], Tensor]


@dataclass(frozen=True)
class Row:
    """One library on one set of photos."""

    photos: str
    decoder: str
    version: str
    cpu_ms: float
    wall_ms: float
    resize_ms: float
    megabytes: float
    off_mean: float
    off_max: int
    cmyk: str
    progressive: str
    rotated: str
    load: float
    commit: str
    versions: str


def reduction(size: tuple[int, int]) -> int:
    """Return the divisor at which a JPEG of this size is decoded."""
    return next((each for each in (8, 4, 2) if min(size) // each >= LEAST), 1)


def of_array(pixels: np.ndarray) -> Tensor:
    """View pixels, height x width x 3, as an image of torchvision."""
    return torch.from_numpy(pixels).permute(2, 0, 1)


def ours(path: Path) -> Tensor:
    return pil_to_tensor(decode(path, LEAST))


def bare_pillow(path: Path) -> Tensor:
    with Image.open(path, formats=("JPEG",)) as image:
        image.draft("RGB", (LEAST, LEAST))
        return pil_to_tensor(image.convert("RGB"))


def with_simplejpeg() -> Way:
    from simplejpeg import decode_jpeg as decoded
    from simplejpeg import decode_jpeg_header

    def run(path: Path) -> Tensor:
        content = path.read_bytes()
        height, width = decode_jpeg_header(content)[:2]
        times = reduction((width, height))
        return of_array(decoded(content, "RGB", min_height=-(-height // times), min_width=-(-width // times)))

    return run


def with_simplejpeg_in_ours() -> Way:
    if fast.simplejpeg_decoder() is None:
        raise ImportError("simplejpeg is not installed")
    return lambda path: of_array(fast.pixels(path, LEAST))


def with_turbojpeg() -> Way:
    from turbojpeg import TJPF_RGB, TurboJPEG

    library = TurboJPEG(os.environ.get("TURBOJPEG"))

    def run(path: Path) -> Tensor:
        content = path.read_bytes()
        times = reduction(library.decode_header(content)[:2])
        return of_array(library.decode(content, TJPF_RGB, (1, times) if times > 1 else None))

    return run


def with_pyvips() -> Way:
    import pyvips

    def run(path: Path) -> Tensor:
        opened = pyvips.Image.new_from_file(str(path))
        times = reduction((opened.width, opened.height))
        image = pyvips.Image.new_from_file(str(path), shrink=times, access="sequential", autorotate=True)
        return of_array(image.colourspace("srgb").numpy())

    return run


def with_torchvision() -> Way:
    return lambda path: decode_jpeg(read_file(str(path)), mode="RGB", apply_exif_orientation=True)  # type: ignore[arg-type]


def with_torchcodec() -> Way:
    from torchcodec.decoders import decode_jpeg as decoded

    return lambda path: decoded(path)


def with_opencv() -> Way:
    import cv2

    cv2.setNumThreads(torch.get_num_threads())
    flags = {
        1: cv2.IMREAD_COLOR_RGB, 2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4,
        8: cv2.IMREAD_REDUCED_COLOR_8,
    }  # fmt: skip

    def run(path: Path) -> Tensor:
        with Image.open(path) as opened:
            times = reduction(opened.size)
        pixels = cv2.imread(str(path), flags[times])
        return of_array(pixels if times == 1 else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))

    return run


LIBRARIES: dict[str, tuple[str, Callable[[], Way]]] = {
    "ours by Pillow": ("pillow", lambda: ours),
    "Pillow": ("pillow", lambda: bare_pillow),
    "simplejpeg": ("simplejpeg", with_simplejpeg),
    "ours by simplejpeg": ("simplejpeg", with_simplejpeg_in_ours),
    "PyTurboJPEG": ("PyTurboJPEG", with_turbojpeg),
    "pyvips": ("pyvips", with_pyvips),
    "OpenCV": ("opencv-python-headless", with_opencv),
    "torchvision": ("torchvision", with_torchvision),
    "torchcodec": ("torchcodec", with_torchcodec),
}


def installed() -> dict[str, Way]:
    """Return the libraries that can be used here; say which cannot."""
    found = {}
    for name, (_, make) in LIBRARIES.items():
        try:
            found[name] = make()
        except (ImportError, OSError, RuntimeError) as error:
            print(f"{name} is left out: {str(error).splitlines()[0]}")
    return found


def odd_files(photo: Path, folder: Path) -> dict[str, Path]:
    """Save a photo as CMYK, progressive, and rotated by EXIF."""
    image = decode(photo)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    image.convert("CMYK").save(folder / "cmyk.jpg", quality=90)
    image.save(folder / "progressive.jpg", quality=90, progressive=True)
    image.save(folder / "rotated.jpg", quality=90, exif=exif)
    return {name: folder / f"{name}.jpg" for name in ("cmyk", "progressive", "rotated")}


def apart(one: Tensor, other: Tensor) -> Tensor:
    return (one.int() - other.int()).abs()


def on_odd_file(way: Way, path: Path) -> str:
    """Return the mean difference from our pixels, or the type of the error."""
    expected = ours(path)
    try:
        found = way(path)
    except Exception as error:  # each library has its own
        return type(error).__name__
    if found.shape != expected.shape:
        return f"{'x'.join(map(str, found.shape))} and not {'x'.join(map(str, expected.shape))}"
    return f"{float(apart(found, expected).float().mean()):.2f}"


def middle(photos: Sequence[Path], folder: Path) -> list[Path]:
    """Enlarge photos to the size of COCO's."""
    made = [folder / f"middle-{path.name}" for path in photos]
    for path, to in zip(photos, made, strict=True):
        decode(path).resize((640, 480), Image.Resampling.BICUBIC).save(to, quality=90)
    return made


def noisy(photos: Sequence[Path], folder: Path) -> list[Path]:
    """Copy photos with the noise of a sensor."""
    random, made = np.random.default_rng(0), []
    for path in photos:
        pixels = np.asarray(decode(path)).astype(np.float32)
        noise = random.normal(0, 4, pixels.shape).astype(np.float32)
        made.append(folder / f"noisy-{path.name}")
        Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8)).save(made[-1], quality=90)
    return made


def measure(
    name: str, photos: Sequence[Path], ways: dict[str, Way], rounds: int, odd: dict[str, Path]
) -> list[Row]:
    """Time all libraries in turns; the first round is not counted."""
    squash = v2.Resize((SIDE, SIDE), BICUBIC)
    taken: dict[str, list[tuple[float, float, float]]] = {each: [] for each in ways}
    for number in range(rounds + 1):
        for each, way in ways.items():
            wall, busy, resizing = time.perf_counter(), time.process_time(), 0.0
            for path in photos:
                pixels = way(path)
                began = time.process_time()
                squash(pixels)
                resizing += time.process_time() - began
            if number:
                taken[each].append((time.process_time() - busy, time.perf_counter() - wall, resizing))
    rows, megabytes = [], float(np.mean([path.stat().st_size for path in photos])) / 1e6
    for each, way in ways.items():
        busy, wall, resizing = (
            round(1e3 * value / len(photos), 3) for value in np.median(taken[each], axis=0)
        )
        off = torch.stack([apart(squash(way(path)), squash(ours(path))) for path in photos])
        cmyk, progressive, rotated = (on_odd_file(way, path) for path in odd.values())
        rows.append(
            Row(
                name, each, metadata.version(LIBRARIES[each][0]), busy, wall, resizing, round(megabytes, 3),
                round(float(off.float().mean()), 3), int(off.max()), cmyk, progressive, rotated,
                round(os.getloadavg()[0], 1), *stamp(),
            )
        )  # fmt: skip
    return rows


def table(rows: list[Row]) -> str:
    """Format rows as Markdown, with the time relative to `ours by Pillow` on the same photos."""
    base = {row.photos: row.cpu_ms for row in rows if row.decoder == "ours by Pillow"}
    lines = [
        "| photos | library | ms | of ours | of it resize | mean and largest difference | CMYK | progressive | EXIF |"
    ]
    lines.append("|---" * 9 + "|")
    for row in rows:
        share = f"{row.cpu_ms / base[row.photos]:.2f} | {row.resize_ms:.2f}"
        odd = f"{row.cmyk} | {row.progressive} | {row.rotated}"
        off = f"{row.off_mean}, {row.off_max}"
        lines.append(
            f"| {row.photos} | {row.decoder} {row.version} | {row.cpu_ms:.2f} | {share} | {off} | {odd} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, or print the table of a file."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--images", type=int, default=64)
    asked.add_argument("--large", type=int, default=4, help="photos of 4000 x 3000")
    asked.add_argument("--rounds", type=int, default=5)
    asked.add_argument("--out", type=Path, default=Path("benchmarks/results/decoders.csv"))
    asked.add_argument("--table", type=Path, help="print the table of this file, and do nothing else")
    args = asked.parse_args()
    if args.table:
        print(table(read(args.table, Row)))
        return
    root = Path(os.environ["PARTLABEL_DATA"]) / "coco18"
    whole = LabelTable.read(root / "labels.csv", images=root)
    photos = [whole.path(row) for row in range(max(args.images, 36 * args.large))]
    ways, rows = installed(), []
    with TemporaryDirectory() as made:
        folder = Path(made)
        odd, large = odd_files(photos[0], folder), enlarge(photos, args.large, folder)
        sets = {
            "coco18": photos[: args.images], "640 x 480": middle(photos[: args.images // 2], folder),
            "4000 x 3000": large, "4000 x 3000, noise": noisy(large, folder),
        }  # fmt: skip
        for name, paths in sets.items():
            rows += measure(name, paths, ways, args.rounds, odd)
            write(args.out, rows)
    print(table(rows))


if __name__ == "__main__":
    main()
