"""A server of LitServe for a model that `partlabel export` wrote; `servers.py` starts it.

    python benchmarks/litserve_app.py model.onnx --port 8001 --max-batch 4 --workers 1 --threads 2

It decodes by the function of `partlabel serve`, runs the same file in onnxruntime, and answers in the same form, so
that only the servers differ. It lacks what `partlabel serve` refuses or limits (docs/serving.md).
"""

import argparse
from io import BytesIO
from pathlib import Path
from typing import Any

import litserve
import numpy as np
from fastapi import Request

from partlabel.deploy.serving.model import Model
from partlabel.deploy.serving.uploads import read

TOP = 5


class Recognise(litserve.LitAPI):
    """Recognise the photos of a form.

    Args:
        path: Model's file.
        threads: Threads that compute a batch.
        options: Batches, as LitServe names them.
    """

    def __init__(self, path: Path, threads: int, **options: Any) -> None:
        super().__init__(**options)
        self.path, self.threads = path, threads

    def setup(self, device: str) -> None:
        """Load the model, in the process of a worker."""
        self.model = Model.load(self.path, self.threads)

    def decode_request(self, request: Request) -> np.ndarray:
        """Decode the photos of a request."""
        files = request.getlist("files")  # type: ignore[attr-defined]
        return np.stack([read(BytesIO(each.file.read()), self.model.shape, 64) for each in files])

    def batch(self, inputs: list[np.ndarray]) -> list[np.ndarray]:
        """Keep requests apart: they have one or several photos."""
        return inputs

    def predict(self, photos: Any) -> Any:
        """Compute probabilities of the photos of one request, or of several."""
        if isinstance(photos, np.ndarray):
            return self.model.probability(photos)
        ends = np.cumsum([len(each) for each in photos])[:-1]
        return np.split(self.model.probability(np.concatenate(photos)), ends)

    def unbatch(self, output: list[np.ndarray]) -> list[np.ndarray]:
        """Return the probabilities of each request."""
        return output

    def encode_response(self, output: np.ndarray) -> dict[str, Any]:
        """Return the most probable classes of each photo."""
        return {"predictions": [{"classes": self._ranked(row)} for row in output]}

    def _ranked(self, row: np.ndarray) -> list[dict[str, Any]]:
        names = self.model.description.classes
        return [{"name": names[at], "probability": float(row[at])} for at in np.argsort(-row)[:TOP].tolist()]


def main() -> None:
    """Serve until the process is ended."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("model", type=Path)
    asked.add_argument("--port", type=int, default=8001)
    asked.add_argument("--max-batch", type=int, default=4)
    asked.add_argument("--max-wait", type=float, default=4, help="milliseconds")
    asked.add_argument("--workers", type=int, default=1)
    asked.add_argument("--threads", type=int, default=2)
    args = asked.parse_args()
    options = {"max_batch_size": args.max_batch, "batch_timeout": args.max_wait / 1000}
    app = Recognise(args.model, args.threads, **(options if args.max_batch > 1 else {}))
    server = litserve.LitServer(app, accelerator="cpu", workers_per_device=args.workers)
    server.run("127.0.0.1", args.port, generate_client_file=False, log_level="error")


if __name__ == "__main__":
    main()
