"""Pictures are decoded in processes of their own: one that takes too long, or crashes its decoder, ends one process.

A thread cannot be stopped in the middle of libjpeg, a process can. Each takes one picture after the other over its
standard input (a length, the file's bytes) and gives over its standard output a status, a length, and pixels or a
reason.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from queue import SimpleQueue
from struct import Struct
from threading import Lock, Timer
from typing import IO

import numpy as np
from jaxtyping import UInt8

from partlabel.deploy.serving.uploads import Refused, Shape, read

_LENGTH, _ANSWER = Struct(">Q"), Struct(">HQ")
_READY = b"!"
# The package that this process has, wherever it is; and nothing else from there before Python's own.
_CODE = (
    "import sys; sys.path.insert(0, sys.argv[1]); import partlabel; del sys.path[0]; "
    "from partlabel.deploy.serving.decoding import work; work(sys.argv[2:])"
)


class Decoders:
    """Processes that decode pictures.

    Args:
        count: How many.
        shape: Of what comes out.
        megapixels: That a picture may have at most.
        seconds: That one picture may take.
    """

    def __init__(self, count: int, shape: Shape, megapixels: float, seconds: float) -> None:
        self.seconds = seconds
        words = [str(shape.side), shape.interpolation, str(megapixels)]
        self._all = [_Process(words) for _ in range(count)]
        self._free: SimpleQueue[_Process] = SimpleQueue()
        for each in self._all:
            self._free.put(each)
        self.shape = shape
        self.is_stopped = False

    def start(self) -> None:
        """Start the processes, and wait until they are ready."""
        for each in self._all:
            each.start()
        for each in self._all:
            each.wait()

    def read(self, content: bytes) -> UInt8[np.ndarray, "side side 3"]:
        """Return the pixels of a picture, as `uploads.read`. Call it in a thread.

        Raises:
            Refused: As `uploads.read`; 422 if decoding takes too long or crashes, 503 if this was stopped.
        """
        process = self._free.get()
        try:
            status, said = process.ask(content, self.seconds)
        except TimeoutError as error:
            late = f"takes more than {self.seconds:g} seconds to decode"
            raise Refused(422, late) from error
        except (OSError, EOFError) as error:
            if self.is_stopped:
                raise Refused(503, "the server is stopping") from error
            raise Refused(422, "cannot be decoded: it crashes the decoder") from error
        finally:
            self._free.put(process)
        if status != 200:
            raise Refused(status, said.decode())
        return np.frombuffer(said, np.uint8).reshape(self.shape.side, self.shape.side, 3)

    def stop(self) -> None:
        """End all processes, in the middle of what they do."""
        self.is_stopped = True
        for each in self._all:
            each.end()


class _Process:
    """A process that decodes, started when it is needed and started again when it has ended."""

    def __init__(self, words: list[str]) -> None:
        self.words = words
        self._process: subprocess.Popen[bytes] | None = None
        self._is_ready = self._is_ended = False
        self._lock = Lock()

    def wait(self) -> None:
        """Wait until the process can take a picture.

        Raises:
            EOFError: It has ended.
        """
        if not self._is_ready and self._process is not None and self._process.stdout is not None:
            _exactly(self._process.stdout, len(_READY))
            self._is_ready = True

    def start(self) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._is_ended:
                raise EOFError("it was ended")
            if self._process is None or self._process.poll() is not None:
                home = str(Path(__file__).resolve().parents[2])
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-c", _CODE, home, *self.words],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
                    start_new_session=True,  # Ctrl-C is for the server, which then ends this
                )
                self._is_ready = False
            return self._process

    def ask(self, content: bytes, seconds: float) -> tuple[int, bytes]:
        """The status and what is said of a picture.

        Raises:
            TimeoutError: It took too long; the process was ended.
            OSError: The process has ended, or ended over it.
            EOFError: Likewise.
        """
        process = self.start()
        assert process.stdin is not None and process.stdout is not None
        self.wait()
        with _killed_after(process, seconds) as late:
            process.stdin.write(_LENGTH.pack(len(content)) + content)
            process.stdin.flush()
            status, length = _ANSWER.unpack(_exactly(process.stdout, _ANSWER.size))
            said = _exactly(process.stdout, length)
        if late:
            raise TimeoutError
        return status, said

    def end(self) -> None:
        with self._lock:
            self._is_ended = True
            if self._process is not None:
                self._process.kill()
                self._process.wait()


@contextmanager
def _killed_after(process: subprocess.Popen[bytes], seconds: float) -> Iterator[list[bool]]:
    """Inside, a process has so many seconds; gives a list that is not empty once they were over."""
    late: list[bool] = []

    def kill() -> None:
        late.append(True)
        process.kill()

    timer = Timer(seconds, kill)
    timer.daemon = True
    timer.start()
    try:
        yield late
    except (OSError, EOFError):
        process.kill()
        process.wait()
        if late:
            raise TimeoutError from None
        raise
    finally:
        timer.cancel()


def _exactly(file: IO[bytes], length: int) -> bytes:
    said = file.read(length)
    if len(said) < length:
        raise EOFError("the process that decodes has ended")
    return said


def work(words: list[str]) -> None:
    """Decode what comes over the standard input until it ends; the code of a process."""
    side, interpolation, megapixels = words
    shape = Shape(int(side), interpolation)
    asked, answers = sys.stdin.buffer, sys.stdout.buffer
    answers.write(_READY)
    answers.flush()
    while head := asked.read(_LENGTH.size):
        content = asked.read(_LENGTH.unpack(head)[0])
        try:
            status, said = 200, read(BytesIO(content), shape, float(megapixels)).tobytes()
        except Refused as error:
            status, said = error.status, error.reason.encode("utf-8", "replace")
        except MemoryError:
            status, said = 413, b"takes more memory than there is"
        answers.write(_ANSWER.pack(status, len(said)) + said)
        answers.flush()
