"""Image decoding in separate processes: an image that takes too long, or crashes its decoder, ends one process only.

A thread cannot be stopped inside libjpeg, a process can. Each process decodes one image after the other: it reads a
length and the file's bytes from its standard input, and writes a status, a length, and pixels or a reason to its
standard output.
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
# Import the same package as this process, and nothing else from its folder before Python's own modules.
_CODE = (
    "import sys; sys.path.insert(0, sys.argv[1]); import partlabel; del sys.path[0]; "
    "from partlabel.deploy.serving.decoding import work; work(sys.argv[2:])"
)


class Decoders:
    """A pool of processes that decode images.

    Args:
        count: Number of processes.
        shape: Size of the decoded images.
        megapixels: Maximum size of an image, in megapixels.
        seconds: Maximum time to decode one image.
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
        """Decode an image, as `uploads.read`. Call it in a thread.

        Raises:
            Refused: As `uploads.read`; 422 if decoding takes too long or crashes, 503 if the pool was stopped.
        """
        process = self._free.get()
        try:
            status, answer = process.ask(content, self.seconds)
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
            raise Refused(status, answer.decode())
        return np.frombuffer(answer, np.uint8).reshape(self.shape.side, self.shape.side, 3)

    def stop(self) -> None:
        """Kill all processes, even during their work."""
        self.is_stopped = True
        for each in self._all:
            each.end()


class _Process:
    """A decoding process, started when it is needed and restarted when it has ended."""

    def __init__(self, words: list[str]) -> None:
        self.words = words
        self._process: subprocess.Popen[bytes] | None = None
        self._is_ready = self._is_ended = False
        self._lock = Lock()

    def wait(self) -> None:
        """Wait until the process is ready to decode.

        Raises:
            EOFError: The process has ended.
        """
        if not self._is_ready and self._process is not None and self._process.stdout is not None:
            _exactly(self._process.stdout, len(_READY))
            self._is_ready = True

    def start(self) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._is_ended:
                raise EOFError("it was ended")
            if self._process is None or self._process.poll() is not None:
                home = str(Path(__file__).resolve().parents[3])
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-c", _CODE, home, *self.words],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
                    start_new_session=True,  # Ctrl-C reaches the server only, which then ends this process
                )
                self._is_ready = False
            return self._process

    def ask(self, content: bytes, seconds: float) -> tuple[int, bytes]:
        """Decode an image; return the status, and the pixels or the reason.

        Raises:
            TimeoutError: It took too long; the process was killed.
            OSError: The process ended before or during decoding.
            EOFError: Likewise.
        """
        process = self.start()
        assert process.stdin is not None and process.stdout is not None
        self.wait()
        with _killed_after(process, seconds) as late:
            process.stdin.write(_LENGTH.pack(len(content)) + content)
            process.stdin.flush()
            status, length = _ANSWER.unpack(_exactly(process.stdout, _ANSWER.size))
            answer = _exactly(process.stdout, length)
        if late:
            raise TimeoutError
        return status, answer

    def end(self) -> None:
        with self._lock:
            self._is_ended = True
            if self._process is not None:
                self._process.kill()
                self._process.wait()


@contextmanager
def _killed_after(process: subprocess.Popen[bytes], seconds: float) -> Iterator[list[bool]]:
    """Kill a process if the block takes longer than `seconds`; yields a list that is not empty once it was killed."""
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
    data = file.read(length)
    if len(data) < length:
        raise EOFError("the decoding process has ended")
    return data


def work(words: list[str]) -> None:
    """Decode images from the standard input until it ends; the main function of a process."""
    side, interpolation, megapixels = words
    shape = Shape(int(side), interpolation)
    asked, answers = sys.stdin.buffer, sys.stdout.buffer
    answers.write(_READY)
    answers.flush()
    while head := asked.read(_LENGTH.size):
        content = asked.read(_LENGTH.unpack(head)[0])
        try:
            status, answer = 200, read(BytesIO(content), shape, float(megapixels)).tobytes()
        except Refused as error:
            status, answer = error.status, error.reason.encode("utf-8", "replace")
        except MemoryError:
            status, answer = 413, b"needs more memory than is available"
        answers.write(_ANSWER.pack(status, len(answer)) + answer)
        answers.flush()
