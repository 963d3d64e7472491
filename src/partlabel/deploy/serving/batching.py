"""Dynamic batching: images that arrive at about the same time pass the model together.

One thread runs the model. What arrives meanwhile waits and is the next batch, so batches grow with the load. The queue
is bounded; beyond that, requests are refused.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8


class Full(Exception):
    """The queue is full."""


class _Waiting(NamedTuple):
    pixels: UInt8[np.ndarray, "side side 3"]
    answer: "asyncio.Future[Float32[np.ndarray, ' class']]"


class Batcher:
    """Answers one image at a time and runs the model on batches.

    Args:
        run: Function from a batch of images to probabilities [image, class].
        most: Maximum number of images in a batch.
        wait: Seconds that the first image of a batch waits for others.
        room: Maximum number of accepted images without an answer.
        ran: Called with the size of each batch.
    """

    def __init__(
        self,
        run: Callable[[np.ndarray], np.ndarray],
        most: int = 4,
        wait: float = 0.004,
        room: int = 64,
        ran: Callable[[int], None] = lambda size: None,
    ) -> None:
        self.run = run
        self.most = most
        self.wait = wait
        self.room = room
        self.ran = ran
        self.taken = 0
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue()
        self._unanswered: set[asyncio.Future] = set()
        self._thread = ThreadPoolExecutor(1, "model")
        self._work: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start in the running event loop."""
        self._work = asyncio.get_running_loop().create_task(self._go_on())

    @property
    def is_working(self) -> bool:
        """Whether images are answered."""
        return self._work is not None and not self._work.done()

    async def stop(self) -> None:
        """Stop; images in the queue are not answered."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.wait([self._work])
        for each in tuple(self._unanswered):
            each.cancel()
        self._thread.shutdown()

    @contextmanager
    def room_for(self, pictures: int) -> Iterator[None]:
        """Reserve places for images, from before they are decoded until they are answered.

        Raises:
            Full: There are too few places.
        """
        if self.taken + pictures > self.room:
            raise Full
        self.taken += pictures
        try:
            yield
        finally:
            self.taken -= pictures

    async def answer(self, pixels: UInt8[np.ndarray, "side side 3"]) -> Float32[np.ndarray, " class"]:
        """Return the probability of each class for an image."""
        answer = asyncio.get_running_loop().create_future()
        self._unanswered.add(answer)
        self._queue.put_nowait(_Waiting(pixels, answer))
        try:
            return await answer
        finally:
            self._unanswered.discard(answer)

    async def _go_on(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            batch = [each for each in await self._gather() if not each.answer.done()]
            if not batch:
                continue
            try:
                stacked = np.stack([each.pixels for each in batch])
                found = await loop.run_in_executor(self._thread, self.run, stacked)
            except Exception as error:
                _tell(batch, error)
            else:
                self.ran(len(batch))
                for each, row in zip(batch, found, strict=True):
                    if not each.answer.done():
                        each.answer.set_result(row)

    async def _gather(self) -> list[_Waiting]:
        """Collect the next batch: full, or all images that arrived within the first one's waiting time."""
        batch = [await self._queue.get()]
        until = asyncio.get_running_loop().time() + self.wait
        while len(batch) < self.most:
            if not self._queue.empty():
                batch.append(self._queue.get_nowait())
                continue
            left = until - asyncio.get_running_loop().time()
            if left <= 0:
                break
            try:
                batch.append(await asyncio.wait_for(self._queue.get(), left))
            except TimeoutError:
                break
        return batch


def _tell(batch: Sequence[_Waiting], error: Exception) -> None:
    for each in batch:
        if not each.answer.done():
            each.answer.set_exception(error)
