"""What an answer says about the backend that gave it.

The first row that fits decides. What servers do is in the notes: none of them keeps to its own documents in every case.

    status 101                               switched        a tunnel, however it ended: it holds no prediction
    failure of the exchange
      timeout                                timeout
      client-gone                            cancelled       the client left: says nothing about the backend
      connect, reset, truncated, invalid     backend_error   also a stream that broke: MLServer, KServe, Ray, TorchServe
      overload                               backend_error   its limits of requests in flight and pending were reached
    status
      408, 504                               timeout         408 is Ray's, 504 BentoML's and LitServe's
      429                                    backend_error   it sheds load; the request was fine
      400 "…while evaluating the model"      backend_error   MLflow's answer to an exception inside the model
      other 4xx                              client_error
      5xx                                    backend_error   503 is TorchServe's answer to an exception inside the model
      304                                    ok
      other 3xx                              backend_error   the prediction is somewhere else, so there is none
      others below 200                       backend_error   no final response
    body of a 2xx
      a JSON object whose first member is
      "error", with something in it          backend_error   Triton's generate
      a stream with a `data: {"error": …}`   backend_error   Triton's generate_stream, LitServe's OpenAI form
      anything else                          ok

Bad JSON from a client is a 5xx on Triton, TorchServe, Ray and LitServe. That is a backend_error here, of every arm alike:
only a comparison of two answers to the same request can tell a bad client from a bad candidate.
A number under "error" is a prediction (a residual, say), and null, false or nothing under it is no error.
"""

import re
from collections.abc import Mapping
from enum import StrEnum

from modelctl import evidence
from modelctl.evidence import Answer
from modelctl.kinds.answer_body import beginning


class Outcome(StrEnum):
    """`backend_error` and `timeout` are failures of the backend. `cancelled` and `switched` count in no metric."""

    OK = "ok"
    CLIENT_ERROR = "client_error"
    BACKEND_ERROR = "backend_error"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    SWITCHED = "switched"


_FAILURES: Mapping[str, Outcome] = {evidence.TIMEOUT: Outcome.TIMEOUT, evidence.CLIENT_GONE: Outcome.CANCELLED}
_STATUSES: Mapping[int, Outcome] = {
    304: Outcome.OK,
    408: Outcome.TIMEOUT,
    429: Outcome.BACKEND_ERROR,
    504: Outcome.TIMEOUT,
}
_SWITCHING = 101
_BEGINNING = 4096
_MLFLOW_MODEL_EXCEPTION = b"unexpected error while evaluating the model"
_ERROR = rb'\{\s*"error"\s*:\s*(?:"[^"]|true\b|\{\s*[^\s}]|\[\s*[^\s\]])'
_NAME = b'"error"'
_ERROR_BODY = re.compile(rb"\s*" + _ERROR)
_ERROR_EVENT = re.compile(rb"^data:[ \t]*" + _ERROR, re.MULTILINE)
_STREAM = (b"data:", b"event:", b"id:", b":")


def judged(answer: Answer) -> Outcome:
    """The outcome of one answer by the table above: the same for every kind that answers with one JSON document."""
    if answer.status == _SWITCHING:
        return Outcome.SWITCHED
    if answer.failure:
        return _FAILURES.get(answer.failure, Outcome.BACKEND_ERROR)
    status = answer.status
    if 200 <= status < 300:
        return Outcome.BACKEND_ERROR if _tells_of_an_error(answer) else Outcome.OK
    known = _STATUSES.get(status)
    if known is not None:
        return known
    if not 400 <= status < 500:
        return Outcome.BACKEND_ERROR
    if status == 400 and _MLFLOW_MODEL_EXCEPTION in beginning(answer, _BEGINNING):
        return Outcome.BACKEND_ERROR
    return Outcome.CLIENT_ERROR


def _tells_of_an_error(answer: Answer) -> bool:
    start = beginning(answer, _BEGINNING)
    if start.startswith(_STREAM):
        return _ERROR_EVENT.search(answer.body) is not None
    return _NAME in start and _ERROR_BODY.match(start) is not None
