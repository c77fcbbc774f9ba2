"""The form in which somebody who is signed in changes their own password; accounts and operators have the same."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from starlette.responses import Response

from cooee.model.errors import UNAUTHORISED, ApiError, ConfigError
from cooee.web.console.account_form import sentence
from cooee.web.console.visit import Visit

T = TypeVar("T")


class NotChanged(Exception):
    """The password stays as it was: what to tell the person, and the HTTP status."""

    def __init__(self, problem: str, status: int, retry_after: int | None = None) -> None:
        super().__init__(problem)
        self.problem, self.status = problem, status
        self._retry_after = retry_after

    def on(self, page: Response) -> Response:
        """The page that tells so, with how long to wait."""
        if self._retry_after is not None:
            page.headers["retry-after"] = str(self._retry_after)
        return page


async def change_password(
    visit: Visit, verify: Callable[[str], Awaitable[object]], change: Callable[[str], Awaitable[T]]
) -> T:
    """What `change` returns for the new password of the form, once `verify` has taken the current one.

    Both raise ApiError and ConfigError as the services do. Raises NotChanged.
    """
    new = visit.text("new")
    try:
        await verify(visit.text("current"))
        if new != visit.text("again"):
            raise NotChanged("The new password was not typed the same way twice.", 400)
        return await change(new)
    except ApiError as error:
        if error.code is UNAUTHORISED:
            raise NotChanged("That is not the current password.", 403) from None
        raise NotChanged(f"{error}: wait a minute.", error.code.http, error.retry_after) from None
    except ConfigError as error:
        raise NotChanged(sentence(error), 400) from None
