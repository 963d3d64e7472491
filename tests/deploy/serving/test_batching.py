"""Batching: many requests go through the model together, and each gets its own answer."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import loops
from exported import picture, served, upload, write
from partlabel.deploy.serving.batching import Batcher, Full
from partlabel.deploy.serving.model import Model
from partlabel.deploy.serving.service import Service


def value(number):
    """A picture with a number in it."""
    return np.full((1, 1, 3), number, np.uint8)


class Counting:
    """The number of each picture as its only class, noting the batches."""

    def __init__(self):
        self.batches = []

    def __call__(self, pixels):
        self.batches.append(pixels[:, 0, 0, 0].tolist())
        return pixels[:, 0, 0, :1].astype(np.float32)


async def answers(numbers, run, **options):
    batcher = Batcher(run, **options)
    batcher.start()
    try:
        return [float(each[0]) for each in await asyncio.gather(*(batcher.answer(value(n)) for n in numbers))]
    finally:
        await batcher.stop()


@settings(deadline=None, max_examples=25)
@given(numbers=st.permutations(range(12)), most=st.integers(1, 13))
def test_everyone_gets_their_own_answer_in_whatever_order_they_come(numbers, most):
    run = Counting()
    assert loops.run(answers(numbers, run, most=most)) == list(numbers)
    assert list(chain(*run.batches)) == list(numbers)
    assert max(map(len, run.batches)) <= most


def test_what_comes_at_once_goes_together():
    run = Counting()
    loops.run(answers(range(10), run, most=4, wait=0.3))
    assert run.batches[:2] == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_a_picture_alone_goes_when_it_has_waited():
    run = Counting()
    assert loops.run(answers([7], run, most=4, wait=0.001)) == [7]
    assert run.batches == [[7]]


def test_a_batch_that_fails_fails_for_those_in_it_alone():
    def run(pixels):
        if (pixels == 1).any():
            raise RuntimeError("one is too many")
        return pixels[:, 0, 0, :1].astype(np.float32)

    async def ask():
        batcher = Batcher(run, most=1)
        batcher.start()
        found = await asyncio.gather(*(batcher.answer(value(n)) for n in range(3)), return_exceptions=True)
        await batcher.stop()
        return found

    zero, one, two = loops.run(ask())
    assert (zero[0], two[0]) == (0, 2)
    assert isinstance(one, RuntimeError)


def test_who_went_away_is_not_computed():
    run = Counting()

    async def ask():
        batcher = Batcher(run, most=8, wait=0.05)
        batcher.start()
        gone, stays = (asyncio.create_task(batcher.answer(value(n))) for n in (1, 2))
        await asyncio.sleep(0)
        gone.cancel()
        assert (await stays)[0] == 2
        await batcher.stop()

    loops.run(ask())
    assert run.batches == [[2]]


def test_who_waits_when_it_stops_is_told():
    async def ask():
        batcher = Batcher(Counting(), most=8, wait=30.0)
        batcher.start()
        waits = asyncio.create_task(batcher.answer(value(1)))
        await asyncio.sleep(0.01)
        await batcher.stop()
        assert not batcher.is_working
        with pytest.raises(asyncio.CancelledError):
            await waits

    loops.run(ask())


def test_room_is_given_back_even_after_a_fault():
    batcher = Batcher(Counting(), room=3)
    with batcher.room_for(2):
        with pytest.raises(Full), batcher.room_for(2):
            pass
        with pytest.raises(ZeroDivisionError), batcher.room_for(1):
            1 / (batcher.taken - 3)
        assert batcher.taken == 2
    assert batcher.taken == 0


def test_clients_at_once_share_runs_and_get_what_the_session_gives_each_alone(tmp_path):
    model = Model.load(write(tmp_path / "m.onnx"), threads=1)
    colours = [(n * 10, 255 - n * 10, n * 5) for n in range(24)]
    contents = [picture(colour, (9 + n, 11)) for n, colour in enumerate(colours)]
    sizes = []
    service = Service(model, max_wait=0.05)
    plain = service.batcher.run

    def counted(pixels):
        sizes.append(len(pixels))
        return plain(pixels)

    service.batcher.run = counted
    with served(service) as client, ThreadPoolExecutor(12) as pool:
        found = list(
            pool.map(lambda content: client.post("/predict", files=upload(content)).json(), contents)
        )
    assert sum(sizes) == 24
    assert len(sizes) < 24 and max(sizes) > 1
    for colour, answer in zip(colours, found, strict=True):
        image = np.broadcast_to(np.array(colour, np.float32)[None, :, None, None] / 255, (1, 3, 8, 8))
        (alone,) = model.session.run(["probability"], {"image": np.ascontiguousarray(image)})
        by_name = {each["name"]: each["probability"] for each in answer["predictions"][0]["classes"]}
        assert [by_name[name] for name in model.description.classes] == pytest.approx(
            alone[0].tolist(), abs=1e-6
        )
