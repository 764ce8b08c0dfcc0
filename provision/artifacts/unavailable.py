"""The error for what a site does not give: the one after which another way can be tried."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from provision.artifacts.web.client import is_missing
from provision.artifacts.web.errors import FetchFailed
from provision.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Unavailable(LabError):
    """A file or an image could not be had from its site; one that came and is wrong is another error.

    `what` is its URL or reference, `missing` whether the site says that it has none, `of_cni` whether
    only the pod network needs it.
    """

    def __init__(self, what: str, message: str, *, hint: str = "", missing: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.what = what
        self.missing = missing
        self.of_cni = False


def asking(url: str, ask: Callable[[], T]) -> T:
    """Return what `ask` returns; raises Unavailable where the server of `url` refuses or is not reached."""
    try:
        return ask()
    except FetchFailed as error:
        missing = is_missing(error)
        raise Unavailable(url, error.message, hint=error.hint, missing=missing) from error
