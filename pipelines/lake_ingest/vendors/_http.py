"""One way to ask a vendor: within the budget, archived, its failures named and retried.

``Channel.get`` waits for a place in the shared budget, sends, archives the answer, lets the
vendor's own rule name a failure, and repeats what may pass by itself. A vendor that refuses the
key, the plan or the address, or that stays dead, is asked nothing more.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import count
from typing import Any, Final

import httpx

from lake_ingest.bronze import Answer, Archive, Params, printable, redact, request_id
from lake_ingest.budget import Budget
from lake_ingest.errors import (
    AuthError,
    BlockedError,
    PlanError,
    RateLimitedError,
    RequestError,
    UnavailableError,
    VendorError,
)
from lake_ingest.settings import TransportSettings
from pipeline_kit.calendar import now_utc

Classify = Callable[[Answer], VendorError | None]
Heed = Callable[[Mapping[str, str]], "Advice"]
RETRIED: Final = (RateLimitedError, UnavailableError)
FINAL: Final = (AuthError, PlanError, BlockedError)
LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True)
class Advice:
    """What a vendor's headers ask of us."""

    limit: int | None = None
    """Requests a minute; only ever lowers our own."""
    pause_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Protocol:
    """What differs between vendors at this level."""

    vendor: str
    classify: Classify
    heed: Heed = field(default=lambda _: Advice())
    secrets: tuple[str, ...] = ()
    """Key texts that must not be stored when a vendor echoes them."""
    patience_s: float = 45.0


class Channel:
    """Everything that is asked of one vendor during a run; safe to share between threads.

    Parameters
    ----------
    http : httpx.Client
        Carries base URL, key header and timeouts; its transport is injected by tests.
    protocol : Protocol
        The vendor's rules.
    transport : TransportSettings
        Attempts, backoff and limits.
    archive : Archive
        Where every answer goes before anybody reads it.
    budget : Budget, optional
        None where requests do not count.
    replay : iterable of Answer, optional
        Answers of the interrupted run; these are not asked for again.
    sleep : callable, optional
        Waits some seconds; replaced in tests.
    """

    def __init__(
        self,
        http: httpx.Client,
        protocol: Protocol,
        transport: TransportSettings,
        archive: Archive,
        *,
        budget: Budget | None = None,
        replay: Iterable[Answer] = (),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._http = http
        self._protocol = protocol
        self._transport = transport
        self._archive = archive
        self._budget = budget
        self._sleep = sleep
        self._lock = threading.Lock()
        self._given_up: VendorError | None = None
        self._exhausted_in_a_row = 0
        self._successes = 0
        self.requests = 0
        """Requests sent so far."""
        self.is_synthetic: bool | None = None
        """Whether the sandbox answered; None before the first answer."""
        self._replay = {
            request_id(a.vendor, a.path, a.params): a
            for a in replay
            if a.vendor == protocol.vendor and _is_final(protocol.classify(a))
        }

    @property
    def vendor(self) -> str:
        """Return the vendor's name."""
        return self._protocol.vendor

    @property
    def given_up(self) -> VendorError | None:
        """Why this vendor is asked nothing more; None while it is."""
        return self._given_up

    def get(self, path: str, params: Params, *, also: Budget | None = None) -> Answer:
        """Return the answer to ``GET path``, retried within bounds.

        Parameters
        ----------
        path : str
            Path below the base URL.
        params : mapping
            Query, never a key.
        also : Budget, optional
            A second budget this endpoint obeys.

        Raises
        ------
        VendorError
            The narrowest class that fits; for a vendor already given up, its reason again.
        """
        known = self._replay.get(request_id(self._protocol.vendor, path, params))
        if known is not None:
            self._note_origin(known)
            return self._checked(known)
        spent_s = 0.0
        for attempt in count(1):
            self._wait_for_place(also)
            started, successes = time.monotonic(), self._successes
            answer = self._send(path, params)
            error = self._protocol.classify(answer)
            if error is None:
                self._record_success()
                return answer
            if not isinstance(error, RETRIED) or attempt >= self._transport.attempts:
                self._record_failure(error)
                raise error
            wait_s = self._retry_wait(error, attempt)
            spent_s += time.monotonic() - started
            if spent_s >= self._protocol.patience_s and successes == self._successes:
                self._give_up(error)
            self._sleep(wait_s)
            # A pause the vendor asked for is no sign of death.
            spent_s += 0.0 if isinstance(error, RateLimitedError) else wait_s
        raise AssertionError("unreachable: the loop returns or raises")

    def _checked(self, answer: Answer) -> Answer:
        error = self._protocol.classify(answer)
        if error is not None:
            raise error
        return answer

    def _wait_for_place(self, also: Budget | None) -> None:
        budgets = [b for b in (self._budget, also) if b is not None]
        while True:
            self._raise_if_given_up()
            waits = [budget.reserve() for budget in budgets]
            if max(waits, default=0.0) > 0:
                self._sleep(max(waits))
            if not any(budget.paused_for() for budget in budgets):
                break
        self._raise_if_given_up()

    def _send(self, path: str, params: Params) -> Answer:
        status, body, error = 0, b"", ""
        headers: dict[str, str] = {}
        try:
            status, headers, body = self._in_time(path, params)
        except httpx.RequestError as e:
            error = f"{type(e).__name__}: {e}".strip(": ")
        except _TooLongError as e:
            error = str(e)
        secrets = self._protocol.secrets
        answer = Answer(
            vendor=self._protocol.vendor,
            path=path,
            params=params,
            status=status,
            headers={k: redact(v.encode(), secrets).decode() for k, v in headers.items()},
            body=redact(body, secrets),
            fetched_at=now_utc(),
            error=redact(error.encode(), secrets).decode(),
        )
        self._archive.append(answer)
        with self._lock:
            self.requests += 1
        if status:
            self._note_origin(answer)
            self._follow(self._protocol.heed(answer.headers))
        return answer

    def _in_time(self, path: str, params: Params) -> _Exchanged:
        """Return the whole answer, or give it up when its time is over.

        A read's own timeout begins anew with every byte, also within the headers, so a vendor
        that trickles could hold us for ever. A thread that is given up ends with its connection.
        """
        exchanged: Future[_Exchanged] = Future()

        def work() -> None:
            try:
                exchanged.set_result(self._exchange(path, params))
            except BaseException as e:  # handed over to whoever waits
                exchanged.set_exception(e)

        threading.Thread(target=work, daemon=True).start()
        try:
            return exchanged.result(self._transport.answer_s)
        except TimeoutError as e:
            raise _TooLongError(f"no whole answer in {self._transport.answer_s:g} s") from e

    def _exchange(self, path: str, params: Params) -> _Exchanged:
        with self._http.stream("GET", path, params=dict(params)) as response:
            chunks, size = [], 0
            for chunk in response.iter_bytes():
                chunks.append(chunk)
                size += len(chunk)
                if size > self._transport.max_answer_bytes:
                    raise _TooLongError(f"answer above {self._transport.max_answer_bytes} bytes")
            return response.status_code, dict(response.headers), b"".join(chunks)

    def _note_origin(self, answer: Answer) -> None:
        if self.is_synthetic is None:
            self.is_synthetic = answer.is_synthetic

    def _follow(self, advice: Advice) -> None:
        if self._budget is None:
            return
        if advice.limit is not None:
            self._budget.lower(advice.limit)
        if advice.pause_s > 0:
            self._budget.pause(advice.pause_s)

    def _retry_wait(self, error: VendorError, attempt: int) -> float:
        backoff = min(
            self._transport.backoff_s * 2.0 ** (attempt - 1), self._transport.backoff_max_s
        )
        asked = error.retry_after_s if isinstance(error, RateLimitedError) else None
        if asked is None:
            return backoff
        if asked > self._transport.max_pause_s:
            self._give_up(error)
        if self._budget is not None:
            self._budget.pause(asked)
        return max(backoff, asked)

    def _record_success(self) -> None:
        with self._lock:
            self._successes += 1
            self._exhausted_in_a_row = 0

    def _record_failure(self, error: VendorError) -> None:
        with self._lock:
            if isinstance(error, RETRIED):
                self._exhausted_in_a_row += 1
            is_dead = self._exhausted_in_a_row >= self._transport.give_up_after_series
            if is_dead or isinstance(error, FINAL):
                self._given_up = self._given_up or error

    def _give_up(self, error: VendorError) -> None:
        with self._lock:
            self._given_up = self._given_up or error
        raise error

    def _raise_if_given_up(self) -> None:
        if self._given_up is not None:
            raise self._given_up


_Exchanged = tuple[int, dict[str, str], bytes]
"""Status, headers, body."""


class _TooLongError(Exception):
    """An answer took longer, or was larger, than we wait for."""


def open_http(
    base_url: str,
    transport: TransportSettings,
    headers: Mapping[str, str],
    mounted: httpx.BaseTransport | None = None,
) -> httpx.Client:
    """Return a client for one vendor; redirects are never followed, they would carry the key."""
    return httpx.Client(
        base_url=base_url,
        headers={"Accept": "application/json", **headers},
        timeout=httpx.Timeout(transport.answer_s, connect=transport.connect_s, pool=None),
        follow_redirects=False,
        transport=mounted,
        # A proxy of the environment cannot reach this machine's own loopback.
        trust_env=httpx.URL(base_url).host not in LOOPBACK,
    )


def describe(answer: Answer, words: str = "") -> str:
    """Return vendor, path and what was said, on one line."""
    said = words or answer.error or f"HTTP {answer.status}"
    subject = answer.params.get("symbol")
    where = f"{answer.path} {subject}" if subject else answer.path
    return f"{answer.vendor} GET {where}: {printable(said)}"


def read_json(answer: Answer) -> Any:
    """Return the body as JSON, or None when it is none."""
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError):
        return None


def is_count(text: str) -> bool:
    """Return whether a header's text is a number one can count to."""
    return text.isdecimal() and len(text) < 10


def retry_after_s(answer: Answer) -> float | None:
    """Return the seconds of ``Retry-After``, given as seconds or as a date; None without one."""
    text = answer.headers.get("retry-after", "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
        return max(0.0, seconds) if math.isfinite(seconds) else None
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return None


def classify_status(answer: Answer) -> VendorError | None:
    """Name what the HTTP status alone says; None for a status of 2xx."""
    status, text = answer.status, describe(answer)
    if status == 0 or status == 408 or status >= 500:
        return UnavailableError(text)
    if status == 429 or status == 418:
        return RateLimitedError(text, retry_after_s(answer))
    if status == 451 or status == 403:
        return BlockedError(text)
    if status == 401:
        return AuthError(text)
    if 300 <= status < 400:
        return RequestError(f"{text}, a redirect, which is never followed", str(status))
    if status >= 400:
        return RequestError(text, str(status))
    return None


def _is_final(error: VendorError | None) -> bool:
    return error is None or isinstance(error, RequestError)
