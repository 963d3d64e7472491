"""Work in threads: the next items of a sequence are made while one is in use.

Decoding an image releases Python's lock most of the time, so it overlaps with the network and with other decoding. Only
for items that draw no random numbers: threads share one generator.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

S = TypeVar("S")
T = TypeVar("T")


def ahead(things: Iterable[T], depth: int = 2) -> Iterator[T]:
    """Prefetch: make the next items in a thread while one is in use.

    Args:
        things: Items to iterate over.
        depth: Maximum number of items made in advance.
    """
    iterator, end = iter(things), object()
    pool = ThreadPoolExecutor(1)
    try:
        waiting = deque(pool.submit(next, iterator, end) for _ in range(depth))
        while (thing := waiting.popleft().result()) is not end:
            waiting.append(pool.submit(next, iterator, end))
            yield thing  # type: ignore[misc]
    finally:
        pool.shutdown(cancel_futures=True)


def in_threads(function: Callable[[S], T], items: Iterable[S], threads: int) -> Iterator[T]:
    """Apply a function to items in several threads; results come in the order of the items, at most two a thread ahead.

    Args:
        function: Function of an item; an error is raised in its place.
        items: Items.
        threads: Number of threads; with one the function is called in this thread.
    """
    if threads < 2:
        yield from map(function, items)
        return
    pool, waiting = ThreadPoolExecutor(threads, "decoder"), deque[Future[T]]()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
