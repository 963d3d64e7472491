"""What a server does with pictures, whichever way they were asked about: let in, decode, batch, answer."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import BinaryIO, NamedTuple

import numpy as np

from partlabel.deploy.serving.batching import Batcher, Full
from partlabel.deploy.serving.decoding import Decoders
from partlabel.deploy.serving.gate import BUSY, Metrics
from partlabel.deploy.serving.model import Model
from partlabel.deploy.serving.uploads import Limits, Refused


class UploadedPicture(NamedTuple):
    """A picture that somebody asks about.

    Attributes:
        name: As they call it.
        open: Called in a thread.
    """

    name: str
    open: Callable[[], AbstractContextManager[BinaryIO]]


class Service:
    """A model, the processes that decode for it, and the batches that go through it.

    Args:
        model: Of an exported file.
        limits: Of what is let in.
        max_batch: Pictures in a batch.
        max_wait: Seconds that the first of a batch waits for others.
        decoders: Processes that decode pictures; one request keeps all but one of them busy at most.
    """

    def __init__(
        self,
        model: Model,
        limits: Limits | None = None,
        max_batch: int = 4,
        max_wait: float = 0.004,
        decoders: int = 2,
    ) -> None:
        self.model = model
        self.limits = limits or Limits()
        self.metrics = Metrics(lambda: self.batcher.taken)
        ran = self.metrics.batch.observe
        self.batcher = Batcher(model.probability, max_batch, max_wait, self.limits.waiting, ran)
        self.decoders = Decoders(decoders, model.shape, self.limits.megapixels, self.limits.decoding_seconds)
        self._turns = max(1, decoders - 1)
        self._threads = ThreadPoolExecutor(decoders, "decoder")

    async def start(self) -> None:
        """Begin to answer, after a full batch of gray pictures: memory is then as much as it will be."""
        side = self.model.description.image_size
        gray = np.full((self.batcher.most, side, side, 3), 128, np.uint8)
        await asyncio.to_thread(self.model.probability, gray)
        await asyncio.to_thread(self.decoders.start)
        self.batcher.start()

    async def stop(self) -> None:
        """Answer no more."""
        await self.batcher.stop()
        self.decoders.stop()
        self._threads.shutdown(cancel_futures=True)

    async def recognise(self, pictures: Sequence[UploadedPicture]) -> list[np.ndarray | Refused]:
        """Of each picture the probability of each class, or why there is none.

        Raises:
            Refused: 503, there is no room for so many; none of them was read.
        """
        if not self.batcher.is_working:
            raise Refused(503, "the server is stopping")
        try:
            with self.batcher.room_for(len(pictures)):
                turns = asyncio.Semaphore(self._turns)
                return await asyncio.gather(*(self._recognise(picture, turns) for picture in pictures))
        except Full as error:
            raise Refused(503, BUSY.format(self.limits.waiting)) from error

    async def _recognise(self, picture: UploadedPicture, turns: asyncio.Semaphore) -> np.ndarray | Refused:
        loop = asyncio.get_running_loop()
        try:
            async with turns:
                pixels = await loop.run_in_executor(self._threads, self._read, picture)
        except Refused as error:
            return error
        found = await self.batcher.answer(pixels)
        if not np.isfinite(found).all():
            return Refused(500, "the model gives probabilities that are no numbers")
        return found

    def _read(self, picture: UploadedPicture) -> np.ndarray:
        with picture.open() as file:
            content = file.read()
        return self.decoders.read(content)
