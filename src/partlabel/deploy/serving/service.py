"""The prediction service behind all routes: admission, decoding, batching and inference."""

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
    """An image of a request.

    Attributes:
        name: Name of the file as the client gave it.
        open: Opens the file; called in a thread.
    """

    name: str
    open: Callable[[], AbstractContextManager[BinaryIO]]


class Service:
    """A model, its decoding processes, and its batches.

    Args:
        model: Exported model.
        limits: Limits of requests; default: those of `Limits`.
        max_batch: Maximum number of images in a batch.
        max_wait: Maximum time in seconds that the first image of a batch waits for others.
        decoders: Processes that decode images; one request uses at most all but one of them.
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
        """Start after one full batch of gray images, so that memory use is at its maximum from the beginning."""
        side = self.model.description.image_size
        gray = np.full((self.batcher.most, side, side, 3), 128, np.uint8)
        await asyncio.to_thread(self.model.probability, gray)
        await asyncio.to_thread(self.decoders.start)
        self.batcher.start()

    async def stop(self) -> None:
        """Stop answering requests."""
        await self.batcher.stop()
        self.decoders.stop()
        self._threads.shutdown(cancel_futures=True)

    async def recognise(self, pictures: Sequence[UploadedPicture]) -> list[np.ndarray | Refused]:
        """Predict the probability of each class in each image, or return the reason why an image could not be read.

        Raises:
            Refused: 503, the queue has no room for all images; none of them was read.
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
            return Refused(500, "the model returned probabilities that are not finite")
        return found

    def _read(self, picture: UploadedPicture) -> np.ndarray:
        with picture.open() as file:
            content = file.read()
        return self.decoders.read(content)
