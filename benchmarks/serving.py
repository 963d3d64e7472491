"""How many pictures a second `partlabel serve` answers to clients at once, how late, and in how much memory.

All on loopback. Each client is a thread that sends a photo, waits for the answer, and sends the next; a client that is
asked to come back does so after the second that the answer names. The clients run on the same cores as the server.
Memory is the server's, every second; its growth is that of the last fifth of a load over the second fifth. The model's
file is one that `partlabel export` wrote: what it says does not matter here.

python benchmarks/serving.py model.onnx $PARTLABEL_DATA/coco18/images --out benchmarks/results/serving.csv
"""

import argparse
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple

import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from partlabel.data.images.listing import walk

HEADERS = {"Content-Type": "multipart/form-data; boundary=x"}
COLUMNS = (
    "load,server options,clients,seconds,answered,per_second,p50_ms,p99_ms,told_to_come_back,errors,pictures_per_run,"
    "server_cpu_ms,rss_mb,rss_growth_mb,machine_load"
)


class Server(NamedTuple):
    """A server that runs: its process, and where."""

    process: int
    port: int

    def rss(self) -> float:
        """Megabytes of memory."""
        status = Path(f"/proc/{self.process}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024

    def cpu(self) -> float:
        """Seconds of the processor."""
        fields = Path(f"/proc/{self.process}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def runs(self) -> tuple[float, float]:
        """Count the runs of the model, and its pictures."""
        line = HTTPConnection("127.0.0.1", self.port)
        line.request("GET", "/metrics")
        families = text_string_to_metric_families(line.getresponse().read().decode())
        found = {sample.name: sample.value for family in families for sample in family.samples}
        return found["partlabel_batch_size_count"], found["partlabel_batch_size_sum"]


@contextmanager
def serving(model: Path, options: Sequence[str]) -> Iterator[Server]:
    """A server in a process of its own, on a port that is free."""
    words = [sys.executable, "-m", "partlabel", "serve", str(model), "--port", "0", *options]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        yield Server(process.pid, int(re.search(r":(\d+)/predict", process.stdout.readline())[1]))
    finally:
        process.terminate()
        process.wait()


class Client(threading.Thread):
    """Asks again and again until it is time to stop, and notes how long each answer took."""

    def __init__(self, port: int, bodies: Sequence[bytes], until: float) -> None:
        super().__init__()
        self.port, self.bodies, self.until = port, bodies, until
        self.seconds: list[float] = []
        self.told_to_come_back = self.errors = 0

    def run(self) -> None:
        """Ask."""
        line = HTTPConnection("127.0.0.1", self.port, timeout=60)
        for body in self.bodies:
            began = time.perf_counter()
            if began > self.until:
                break
            try:
                line.request("POST", "/predict?top=5", body, HEADERS)
                answer = line.getresponse()
                said = answer.read()
            except OSError:
                self.errors += 1
                line.close()
                continue
            if answer.status == 200 and len(json.loads(said)["predictions"][0]["classes"]) == 5:
                self.seconds.append(time.perf_counter() - began)
            elif answer.status == 503:
                self.told_to_come_back += 1
                time.sleep(int(answer.headers["Retry-After"]))
            else:
                self.errors += 1
        line.close()


def load(
    name: str, server: Server, bodies: Sequence[bytes], clients: int, seconds: float, options: str
) -> str:
    """A line of the results."""
    machine, runs, cpu, rss = os.getloadavg()[0], server.runs(), server.cpu(), []
    began = time.perf_counter()
    order = np.random.default_rng(0)
    asking = [
        Client(server.port, [bodies[at] for at in order.integers(len(bodies), size=20_000)], began + seconds)
        for _ in range(clients)
    ]
    for each in asking:
        each.start()
    while any(each.is_alive() for each in asking):
        time.sleep(1)
        rss.append(server.rss())
    took = time.perf_counter() - began
    ran, pictures = (after - before for after, before in zip(server.runs(), runs, strict=True))
    answered = np.concatenate([each.seconds for each in asking]) * 1000
    fifth = max(1, len(rss) // 5)
    growth = np.mean(rss[-fifth:]) - np.mean(rss[fifth : 2 * fifth] or rss)
    line = (
        f"{name},{options},{clients},{took:.1f},{len(answered)},{len(answered) / took:.1f},{np.median(answered):.0f},"
        f"{np.quantile(answered, 0.99):.0f},{sum(each.told_to_come_back for each in asking)},"
        f"{sum(each.errors for each in asking)},{pictures / max(ran, 1):.2f},"
        f"{1000 * (server.cpu() - cpu) / len(answered):.1f},{rss[-1]:.0f},{growth:+.1f},{machine:.1f}"
    )
    print(line, flush=True)
    return line


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--threads", default="1")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    bodies = [
        b'--x\r\nContent-Disposition: form-data; name="files"; filename="photo"\r\n\r\n%b\r\n--x--\r\n'
        % (asked.photos / photo).read_bytes()
        for photo in list(walk(asked.photos))[: asked.images]
    ]
    lines = [COLUMNS]
    for options in (["--max-batch", "1", "--max-wait", "0"], ["--max-batch", "16"], []):
        options = ["--threads", asked.threads, *options]
        said = " ".join(options)
        with serving(asked.model, options) as server:
            load("warming up", server, bodies, 8, 3, said)
            lines.append(load("one after the other", server, bodies, 1, asked.seconds / 3, said))
            lines.append(load("at once", server, bodies, 16, asked.seconds, said))
            if "--max-batch" not in options:
                lines.append(load("at once; twice as long", server, bodies, 16, 2 * asked.seconds, said))
                lines.append(load("more than may wait", server, bodies, 160, asked.seconds, said))
    if asked.out:
        asked.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
