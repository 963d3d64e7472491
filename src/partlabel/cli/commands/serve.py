"""The command `serve`, which runs an exported model as an HTTP server."""

import logging
from pathlib import Path

from partlabel.cli.commands._command import command
from partlabel.cli.commands._listening import listen


@command("Use")
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
    """Serve predictions over HTTP: which classes are in an image.

    Args:
        model: ONNX file that `partlabel export` wrote.
        host: Address to listen at; 0.0.0.0 listens at all addresses of this machine, so that anyone who reaches them
            can send requests.
        port: Port to listen at; 0 for any free port.
        max_batch: Maximum number of images per model run; increase it on a GPU.
        max_wait: Maximum time in milliseconds that an image waits for its batch to fill.
        max_waiting: Maximum number of images accepted and not yet answered; further requests get status 503.
        max_files: Maximum number of files in one request.
        max_megabytes: Maximum size of one request in megabytes.
        max_megapixels: Maximum size of one image in megapixels; a pixel of more than 8 bits per channel counts four
            times.
        max_seconds: Maximum time in seconds for a request to arrive.
        max_header_seconds: Maximum time in seconds for the headers to arrive, from accepting the connection.
        max_decoding_seconds: Maximum time in seconds to decode one image.
        max_connections: Maximum number of open connections; at most half of the process's limit of open files.
        threads: Threads that compute one batch; default: one per core.
        decoders: Processes that decode images; one request uses at most all but one of them.
        label_studio_files: Folder with the images of Label Studio's tasks; enables the machine learning backend at
            http://HOST:PORT/label-studio.
        known_as: Further host names of the server (a proxy or a container), separated by commas. Requests under
            other names are refused.
        log: Write one log line per request.
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
            f"serving needs additional packages ({error}): pip install 'partlabel[serve]'"
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
        logging.warning("there is no password: anyone who reaches %s can send requests", address)
    print(
        f"{service.model.description.name}: {address}/predict; API description: {address}/openapi.json",
        flush=True,
    )
    app = create(service, label_studio_files, log, host, known_as)
    with listening:
        uvicorn.Server(config(app, limits)).run(sockets=[listening])
