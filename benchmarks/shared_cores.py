r"""Time of a step of SST's head on cores that other programs use too: ours against the algebra as published.

    python benchmarks/shared_cores.py --threads 2
    GOMP_SPINCOUNT=0 python benchmarks/shared_cores.py --threads 2

Both take turns until the time is over; medians by the clock and by the processor, which includes waiting in a loop.
Start other programs beside it: on a quiet machine `head.py` measures more.
"""

import argparse
import os
import statistics
import time

import torch
from head import build


def main() -> None:
    """Measure and print."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--threads", type=int, default=2)
    asked.add_argument("--classes", type=int, default=20)
    asked.add_argument("--seconds", type=float, default=25)
    args = asked.parse_args()
    torch.set_num_threads(args.threads)
    case = build(args.classes, 8)
    arms = {"ours": case.ours, "as published": case.published}
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in arms}
    until, number = time.monotonic() + args.seconds, 0
    while time.monotonic() < until or number < 2:
        for name, terms in arms.items():
            clock, processor = time.perf_counter(), time.process_time()
            sum(terms().values(), torch.zeros(())).backward()
            if number:
                taken[name].append((time.perf_counter() - clock, time.process_time() - processor))
        number += 1
    for name, each in taken.items():
        clock, processor = (statistics.median(column) for column in zip(*each, strict=True))
        print(f"{name}: {clock:.2f} s by the clock, {processor:.2f} s of the processor")
    print(f"load {os.getloadavg()[0]:.0f}, GOMP_SPINCOUNT={os.environ.get('GOMP_SPINCOUNT', 'not set')}")


if __name__ == "__main__":
    main()
