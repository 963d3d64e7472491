"""Shared by `review` and `serve`: open the socket of a server."""

import socket


def listen(host: str, port: int) -> socket.socket:
    """Open a socket that listens at an address, so that early connections wait.

    Raises:
        OSError: The port is in use, or the address is not one of this machine; the message says which.
    """
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host.strip("[]"), port))
        bound.listen()
    except (OSError, OverflowError) as error:
        bound.close()
        reason = getattr(error, "strerror", None) or error
        raise OSError(
            f"cannot listen at {host}, port {port}: {reason}; give another --host or --port"
        ) from error
    return bound
