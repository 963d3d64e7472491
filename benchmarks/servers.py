r"""Photos a second and their delay, of `partlabel serve` and of LitServe on the same model.

    python benchmarks/servers.py model.onnx $PARTLABEL_DATA/coco18/images --out benchmarks/results/servers.csv
    python benchmarks/servers.py --table benchmarks/results/servers.csv

Needs `pip install litserve`. The clients are those of `serving.py`: each sends a request, waits for the answer, and
sends the next, on the same cores as the server. The servers take turns, one at a time, `--rounds` times; a row is the
median of the rounds. `cpu_ms` are milliseconds of the processor per photo and `memory_mb` the resident memory, both of
all processes of the server. LitServe has its own number of workers, each with a model of its own; it decodes in them.
"""

import argparse
import os
import re
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
from rows import read, stamp, write
from serving import Client

from partlabel.data.images.listing import walk

LITSERVE = [sys.executable, str(Path(__file__).with_name("litserve_app.py"))]
OURS = [sys.executable, "-m", "partlabel", "serve"]
SERVERS = {
    "partlabel serve": [*OURS, "--threads", "2"],
    "partlabel serve, no batches": [*OURS, "--threads", "2", "--max-batch", "1", "--max-wait", "0"],
    "LitServe, 1 worker": [*LITSERVE, "--threads", "2"],
    "LitServe, 1 worker, no batches": [*LITSERVE, "--threads", "2", "--max-batch", "1"],
    "LitServe, 2 workers": [*LITSERVE, "--threads", "1", "--workers", "2"],
}
LOADS = ((1, 1), (16, 1), (4, 8))
"""Clients, and photos in each of their requests."""


@dataclass(frozen=True)
class Row:
    """One server under one load."""

    server: str
    clients: int
    photos_per_request: int
    photos_per_s: float
    requests_per_s: float
    p50_ms: float
    p95_ms: float
    refused: int
    errors: int
    cpu_ms: float
    memory_mb: float
    load: float
    commit: str
    versions: str


def family(process: int) -> list[int]:
    """List a process and all that it started."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
    found = [process]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return found


def used(process: int) -> tuple[float, float]:
    """Seconds of the processor and megabytes of a process and all that it started."""
    seconds = megabytes = 0.0
    for each in family(process):
        try:
            fields = Path(f"/proc/{each}/stat").read_text().rsplit(")", 1)[1].split()
            status = Path(f"/proc/{each}/status").read_text()
        except OSError:
            continue
        seconds += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        resident = re.search(r"VmRSS:\s+(\d+)", status)
        megabytes += int(resident[1]) / 1024 if resident else 0
    return seconds, megabytes


@contextmanager
def serving(command: Sequence[str], model: Path) -> Iterator[tuple[int, int]]:
    """Run a server; yields its process and its port once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    at = command.index("--threads")
    words = [*command[:at], str(model), "--port", str(port), *command[at:]]
    process = subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        until = time.monotonic() + 60
        while not answers(port):
            if time.monotonic() > until or process.poll() is not None:
                raise SystemExit(f"{' '.join(words)} does not answer")
            time.sleep(0.2)
        yield process.pid, port
    finally:
        for each in reversed(family(process.pid)):
            subprocess.run(["kill", str(each)], stderr=subprocess.DEVNULL)
        process.wait()


def answers(port: int) -> bool:
    """Return whether a server is ready."""
    try:
        line = HTTPConnection("127.0.0.1", port, timeout=5)
        line.request("GET", "/health")
        return line.getresponse().status == 200
    except OSError:
        return False


def body(photos: Sequence[Path]) -> bytes:
    """Write the form of a request."""
    head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="photo"\r\n\r\n'
    return b"".join(head + photo.read_bytes() + b"\r\n" for photo in photos) + b"--x--\r\n"


def load(
    process: int, port: int, bodies: Sequence[bytes], clients: int, photos: int, seconds: float
) -> list[float]:
    """Ask for some seconds; return the figures of a row."""
    before, began = used(process)[0], time.perf_counter()
    order = np.random.default_rng(0)
    asking = [
        Client(port, [bodies[at] for at in order.integers(len(bodies), size=5_000)], began + seconds)
        for _ in range(clients)
    ]
    for each in asking:
        each.start()
    for each in asking:
        each.join()
    took = time.perf_counter() - began
    busy, memory = used(process)
    late = np.concatenate([each.seconds for each in asking]) * 1000
    refused, errors = sum(each.told_to_come_back for each in asking), sum(each.errors for each in asking)
    rate = len(late) / took
    cpu = 1000 * (busy - before) / max(1, len(late) * photos)
    return [
        rate * photos,
        rate,
        float(np.median(late)),
        float(np.quantile(late, 0.95)),
        refused,
        errors,
        cpu,
        memory,
    ]


def measure(model: Path, photos: Sequence[Path], seconds: float, rounds: int) -> list[Row]:
    """Measure all servers in turns."""
    found: dict[tuple[str, int, int], list[list[float]]] = {}
    for _ in range(rounds):
        for name, command in SERVERS.items():
            with serving(command, model) as (process, port):
                load(process, port, [body(photos[:1])], 4, 1, 2)
                for clients, many in LOADS:
                    bodies = [body(photos[at : at + many]) for at in range(0, len(photos) - many + 1, many)]
                    figures = load(process, port, bodies, clients, many, seconds)
                    found.setdefault((name, clients, many), []).append(figures)
                    print(name, clients, many, [round(each, 1) for each in figures], flush=True)
    rows = []
    for key, runs in found.items():
        rate, requests, p50, p95, refused, errors, cpu, memory = map(
            statistics.median, zip(*runs, strict=True)
        )
        rates = round(rate, 1), round(requests, 1), round(p50, 1), round(p95, 1)
        counts = int(refused), int(errors), round(cpu, 1), round(memory)
        rows.append(Row(*key, *rates, *counts, round(os.getloadavg()[0], 1), *stamp()))
    return rows


def table(rows: list[Row]) -> str:
    """Format rows as Markdown."""
    lines = [
        "| clients x photos | server | photos/s | requests/s | p50, ms | p95, ms | ms of the processor | MB |"
    ]
    lines.append("|---" * 8 + "|")
    for row in sorted(rows, key=lambda row: LOADS.index((row.clients, row.photos_per_request))):
        _, clients, photos, *figures = astuple(row)[:7]
        numbers = " | ".join(str(each) for each in (*figures, row.cpu_ms, row.memory_mb))
        lines.append(f"| {clients} x {photos} | {row.server} | {numbers} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, or print the table of a file."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("model", type=Path, nargs="?")
    asked.add_argument("photos", type=Path, nargs="?")
    asked.add_argument("--images", type=int, default=200)
    asked.add_argument("--seconds", type=float, default=8)
    asked.add_argument("--rounds", type=int, default=3)
    asked.add_argument("--out", type=Path, default=Path("benchmarks/results/servers.csv"))
    asked.add_argument("--table", type=Path, help="print the table of this file, and do nothing else")
    args = asked.parse_args()
    if args.table:
        print(table(read(args.table, Row)))
        return
    photos = [args.photos / photo for photo in list(walk(args.photos))[: args.images]]
    rows = measure(args.model, photos, args.seconds, args.rounds)
    write(args.out, rows)
    print(table(rows))


if __name__ == "__main__":
    main()
