"""The verb `serve`: an exported model behind HTTP."""

import logging
from pathlib import Path

from partlabel.cli.commands._shared import listen


def serve(
    model: Path,
    host: str = "127.0.0.1",
    port: int = 8000,
    max_batch: int = 4,
    max_wait: float = 4.0,
    max_waiting: int = 64,
    max_files: int = 16,
    max_megabytes: float = 32.0,
    max_megapixels: float = 64.0,
    max_seconds: float = 30.0,
    max_header_seconds: float = 10.0,
    max_decoding_seconds: float = 10.0,
    max_connections: int = 256,
    threads: int | None = None,
    decoders: int = 2,
    label_studio_files: Path | None = None,
    known_as: str | None = None,
    log: bool = False,
) -> None:
    """Answer over HTTP which classes are in a picture.

    Args:
        model: ONNX file that `partlabel export` wrote.
        host: Address to listen at; 0.0.0.0 for all of this machine's, which lets anybody in who reaches them.
        port: To listen at; 0 for any that is free.
        max_batch: Pictures that go through the model together at most; a GPU is given more.
        max_wait: Milliseconds that a picture waits for others to go with it.
        max_waiting: Pictures taken in and not answered yet; requests beyond that get status 503.
        max_files: In one request.
        max_megabytes: Of one request.
        max_megapixels: Of one picture; a pixel of more than 8 bits a value counts four times.
        max_seconds: That a request may take to arrive.
        max_header_seconds: That its headers may take, from the moment its connection is accepted.
        max_decoding_seconds: That one picture may take to be decoded.
        max_connections: Open at once; no more than half of the files that this process may have open.
        threads: That compute a batch; as many as there are cores if none.
        decoders: Processes that decode pictures; one request keeps all but one of them busy at most.
        label_studio_files: Folder with the images of Label Studio's tasks; with it, Label Studio finds its machine
            learning backend at http://HOST:PORT/label-studio.
        known_as: Another host name that the server goes by, as of a proxy before it or of a container; several with
            commas between. Requests under other names are refused.
        log: Write a line for each request.
    """
    try:
        import uvicorn

        from partlabel.deploy.serving.app import create
        from partlabel.deploy.serving.model import Model
        from partlabel.deploy.serving.running import config
        from partlabel.deploy.serving.service import Service
        from partlabel.deploy.serving.uploads import Limits
    except ImportError as error:
        raise ImportError(
            f"serving needs a few packages more ({error}): pip install 'partlabel[serve]'"
        ) from error

    for name, value in (("batch", max_batch), ("threads", threads or 1), ("decoders", decoders)):
        if value < 1:
            raise ValueError(f"--{'max-' * (name == 'batch')}{name} {value}: give 1 or more")
    if label_studio_files is not None and not label_studio_files.is_dir():
        raise NotADirectoryError(f"--label-studio-files {label_studio_files}: there is no such folder")
    limits = Limits(
        max_files, max_megabytes, max_megapixels, max_seconds, max_header_seconds, max_decoding_seconds,
        max_connections, max_waiting,
    )  # fmt: skip
    service = Service(Model.load(model, threads), limits, max_batch, max_wait / 1000, decoders)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    listening = listen(host, port)
    address = f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"
    if host not in ("127.0.0.1", "::1", "localhost"):
        logging.warning("there is no password: anybody who reaches %s may ask", address)
    print(
        f"{service.model.description.name}: {address}/predict, described in {address}/openapi.json",
        flush=True,
    )
    app = create(service, label_studio_files, log, host, known_as)
    with listening:
        uvicorn.Server(config(app, limits)).run(sockets=[listening])
