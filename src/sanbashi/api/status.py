"""Errors as HTTP: the one table from the classes of failure to statuses, and the body that carries them."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import msgspec

from .. import errors
from .messages import Response

log = logging.getLogger("sanbashi.api")

STATUS: dict[type[errors.SanbashiError], int] = {
    errors.NotModified: 304,
    errors.Invalid: 400,
    errors.Unauthorized: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Failed: 500,
    errors.NotSupported: 501,
    errors.Unavailable: 503,
}


def status_of(error: errors.SanbashiError) -> int:
    """The status of an error, by the nearest class that has one; 500 where none has."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)


def answer(error: Exception) -> Response:
    """The answer to a failure. One that we do not understand is logged with its traceback and answered with one sentence."""
    if isinstance(error, ExceptionGroup):
        return several(list(leaves(error)))
    if not isinstance(error, errors.SanbashiError):
        log.error("a request failed in a way that nobody foresaw", exc_info=error)
        return failure(500, errors.words(error))
    status = status_of(error)
    return Response(status) if status == 304 else failure(status, error.message, error.hint)


def several(found: list[Exception]) -> Response:
    """The answer to failures that came together: the first one's status, every sentence."""
    strange = next((e for e in found if not isinstance(e, errors.SanbashiError)), None)
    known = [e for e in found if isinstance(e, errors.SanbashiError)]
    if strange is not None or not known:
        return answer(strange or RuntimeError("an empty group of failures"))
    return failure(status_of(known[0]), "\n".join(dict.fromkeys(e.message for e in known)), next((e.hint for e in known if e.hint), ""))


def leaves(group: ExceptionGroup[Exception]) -> Iterator[Exception]:
    """The failures in a group, however deep."""
    for error in group.exceptions:
        yield from leaves(error) if isinstance(error, ExceptionGroup) else (error,)


def failure(status: int, message: str, hint: str = "") -> Response:
    """Docker's error body, with our hint beside it where there is one."""
    return Response(status, msgspec.json.encode({"message": message, "hint": hint} if hint else {"message": message}) + b"\n")
