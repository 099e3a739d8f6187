"""`python -m modelctl.demo.model --version v1|v2 --listen HOST:PORT`: serves one demonstration model until it is told to end.

    POST /predict   {"clinic": "north", "features": {name: number, ...}}  ->  {"label": ..., "probability": ..., "model": ...}
    GET  /healthz   (also /health)  ->  {"status": "ok", "model": ...}

A body that is not JSON is a 400, one that does not describe a row a 422; each answers {"error": sentence}.
The process writes one line to stderr when it listens, and exits with 2 for wrong arguments, 1 when it cannot listen.
"""

import argparse
import contextlib
import socket
import sys

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from modelctl.demo.answers import VERSIONS, Model, Question, predict, train
from modelctl.demo.rows import read_dataset
from modelctl.errors import InvalidInput
from modelctl.settings import Address, parse_address

# Longer than a proxy in front keeps idle connections, so that the proxy is the one that closes them.
KEEP_ALIVE_SECONDS = 65

_read_question = msgspec.json.Decoder(Question).decode


def application(model: Model) -> Starlette:
    """The web application that answers for `model`."""

    async def answer(request: Request) -> Response:
        try:
            prediction = predict(model, _read_question(await request.body()))
        except msgspec.ValidationError as error:
            return _refused(422, f"the body does not describe a row: {error}")
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return _refused(400, f"the body is not JSON: {error}")
        except InvalidInput as error:
            return _refused(422, str(error))
        return Response(msgspec.json.encode(prediction), media_type="application/json")

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "ok", "model": model.version})

    routes = [
        Route("/predict", answer, methods=["POST"]),
        Route("/healthz", health, methods=["GET"]),
        Route("/health", health, methods=["GET"]),
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: _http_error})


async def _http_error(_: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)


def _refused(status: int, sentence: str) -> Response:
    return JSONResponse({"error": sentence}, status)


def listening_socket(address: Address) -> socket.socket:
    """A socket that listens at `address`. Raises OSError."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    return socket.create_server((address.host, address.port), family=family)


def serve(model: Model, listener: socket.socket) -> None:
    """Answers at `listener` until SIGTERM or SIGINT; answers that have begun are finished."""
    config = uvicorn.Config(
        application(model), log_level="warning", access_log=False, timeout_keep_alive=KEEP_ALIVE_SECONDS, lifespan="off"
    )
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listener])


def main(arguments: list[str] | None = None) -> int:
    """The process; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m modelctl.demo.model", description="Serve one demonstration model.")
    parser.add_argument("--version", choices=VERSIONS, required=True, help="which model")
    parser.add_argument("--listen", metavar="HOST:PORT", required=True, help="port 0 lets the system choose")
    options = parser.parse_args(arguments)
    try:
        address = parse_address(options.listen)
    except ValueError as error:
        parser.error(f"--listen: {error}")
    model = train(options.version, read_dataset())
    try:
        listener = listening_socket(address)
    except OSError as error:
        sys.stderr.write(f"cannot listen at {address}: {error.strerror}; choose another port with --listen\n")
        return 1
    host, port = listener.getsockname()[:2]
    sys.stderr.write(f"model {model.version} listens at http://{Address(host, port)}\n")
    sys.stderr.flush()
    serve(model, listener)
    return 0


if __name__ == "__main__":
    sys.exit(main())
