# SPDX-License-Identifier: MPL-2.0
"""Our own backend, as the bot speaks to it: REST, each call signed with Hawk, no database.

Every write is idempotent by its content or its uid, so that each may be repeated.
"""

from __future__ import annotations

from typing import Any, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec

from shipit.clients.hawk import signature
from shipit.clients.http import Answer, CallCounter, Door, checked_url, url_part
from shipit.errors import Missing, NotAllowed, NotAuthenticated, Refused, ShipitError, Unavailable
from shipit.uplift.evidence import Evidence
from shipit.uplift.plans import PlansReport
from shipit.uplift.report import (
    BugsReport,
    BugsTaken,
    DetailReport,
    Known,
    Lease,
    LeaseRequest,
    ListsReport,
    MailReport,
    RoundReport,
    SearchesReport,
    TrainsReport,
    TrialsReport,
    Wish,
)

_T = TypeVar("_T")
_JSON = "application/json"
_ERRORS: dict[int, type[ShipitError]] = {
    401: NotAuthenticated,
    403: NotAllowed,
    404: Missing,
    409: Refused,
    412: Refused,
}


class _Claimed(msgspec.Struct, frozen=True):
    claimed: bool


class Backend:
    """The web service at `url`; credentials are Taskcluster's {clientId, accessToken, certificate?}.

    Raises NotAuthenticated, NotAllowed, Missing, Refused with the backend's own sentence, else Unavailable.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        *,
        credentials: dict[str, str],
        calls: CallCounter | None = None,
        timeout: float = 60.0,
    ) -> None:
        self.url = checked_url("backend.url", url)
        self._credentials = credentials
        self._door = Door(session, "Ship It", calls=calls, timeout=timeout)

    async def known(self) -> Known:
        """Everything the backend holds open."""
        return await self._ask("GET", "/api/known", Known)

    async def put_trains(self, report: TrainsReport) -> None:
        """Tell which trains exist and whether their requests could be read."""
        await self._ask("PUT", "/api/trains", None, report)

    async def put_bugs(self, report: BugsReport) -> BugsTaken:
        """Tell about some bugs; each is taken or refused by itself."""
        return await self._ask("PUT", "/api/bugs", BugsTaken, report)

    async def put_trials(self, report: TrialsReport) -> None:
        """Tell the results of trials made again."""
        await self._ask("PUT", "/api/trials", None, report)

    async def put_lists(self, report: ListsReport) -> None:
        """Tell what the searches for the board's lists found."""
        await self._ask("PUT", "/api/board/lists", None, report)

    async def put_advice(self, report: SearchesReport) -> None:
        """Tell what searches for prerequisites found."""
        await self._ask("PUT", "/api/advice", None, report)

    async def put_plans(self, train: str, report: PlansReport) -> None:
        """Tell the landing plans of a train that were made anew."""
        await self._ask("PUT", f"/api/plans/{url_part(train)}", None, report)

    async def plan(self, train: str, scope: str) -> dict[str, Any]:
        """The landing plan of a train as people see it. Raises Missing for an unknown train."""
        path = f"/api/plans/{url_part(train)}?scope={quote(scope, safe='')}"
        return await self._ask("GET", path, dict[str, Any])

    async def put_round(self, report: RoundReport) -> None:
        """Tell that a round began, goes on, or ended."""
        await self._ask("PUT", f"/api/rounds/{url_part(report.uid)}", None, report)

    async def take_lease(self, name: str, holder: str, seconds: int) -> Lease:
        """Take or renew a lease; `is_ours` says whether we have it."""
        return await self._ask(
            "PUT", f"/api/leases/{url_part(name)}", Lease, LeaseRequest(holder=holder, seconds=seconds)
        )

    async def drop_lease(self, name: str, holder: str) -> None:
        """Give a lease back; nothing happens when it is not ours."""
        await self._ask("DELETE", f"/api/leases/{url_part(name)}?holder={quote(holder, safe='')}", None)

    async def bug(self, number: int) -> dict[str, Any]:
        """A bug as people see it: facts, requests with their standing. Raises Missing for an unknown one."""
        return await self._ask("GET", f"/api/bugs/{number}", dict[str, Any])

    async def trains(self) -> list[Any]:
        """The trains as people see them, with counts."""
        answer = await self._ask("GET", "/api/trains", dict[str, Any])
        return list(answer["trains"])

    async def put_detail(self, detail: DetailReport) -> None:
        """Bring what a page asked for; bringing it again changes nothing."""
        await self._ask("PUT", f"/api/requests/{url_part(detail.request)}/details", None, detail)

    async def evidence(self, uid: str) -> Evidence:
        """What to look at before deciding about a request. Raises Missing for an unknown one."""
        return await self._ask("GET", f"/api/requests/{url_part(uid)}/evidence", Evidence)

    async def wishes(self) -> tuple[Wish, ...]:
        """What pages ask of a worker with the clone, oldest first."""
        return await self._ask("GET", "/api/wishes", tuple[Wish, ...])

    async def wish_done(self, uid: str, result: dict[str, object]) -> None:
        """Tell that a wish was fulfilled, with what came of it."""
        await self._ask("PUT", f"/api/wishes/{url_part(uid)}", None, {"result": result})

    async def claim_mail(self, key: str, mail: MailReport) -> bool:
        """Claim the sending of a mail; False when somebody already did."""
        return (await self._ask("PUT", f"/api/mails/{url_part(key)}", _Claimed, mail)).claimed

    async def _ask(self, method: str, path: str, kind: type[_T] | None, body: object = None) -> _T:
        url = self.url + path
        content = b"" if body is None else msgspec.json.encode(body)
        headers = {"Accept": _JSON}
        if body is not None:
            headers["Content-Type"] = _JSON
        if self._credentials:
            headers["Authorization"] = signature(
                self._credentials, method, url, content, _JSON if content else ""
            )
        answer = await self._door.ask(method, url, headers=headers, body=content or None, is_idempotent=True)
        if answer.status >= 400:
            raise _refusal(answer)
        if kind is None:
            return None  # type: ignore[return-value]
        try:
            return msgspec.json.decode(answer.body, type=kind)
        except msgspec.DecodeError as error:
            raise Unavailable(
                "Ship It", f"{method} {path.split('?')[0]} answered unreadably: {error}"
            ) from error


def _refusal(answer: Answer) -> ShipitError:
    detail = f"answered {answer.status}"
    if "json" in answer.content_type:
        problem = answer.json()
        if isinstance(problem, dict):
            detail = str(problem.get("detail") or problem.get("title") or detail)[:500]
    error = _ERRORS.get(answer.status)
    return error(f"Ship It: {detail}") if error else Unavailable("Ship It", f"{detail} ({answer.status})")
