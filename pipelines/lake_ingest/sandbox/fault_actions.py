"""What can go wrong with an answer: one small function each, named as in the faults file.

An action receives the request and the vendor's way of answering it, and returns an answer or
drops the connection. Its keyword parameters are the keys of ``action`` in the file.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from lake_ingest.sandbox.contracts import DAY_MS, HOUR_MS
from lake_ingest.sandbox.messages import Answer, Request
from lake_ingest.sandbox.payload_rows import Rows, change_rows, checksum_of, time_field

Ask = Callable[[Request], Answer]
MAINTENANCE: Final = b"<!DOCTYPE html><html><body><h1>Maintenance</h1></body></html>"


class Dropped(Exception):
    """The connection is closed: reset at once, or after some bytes of the answer."""

    def __init__(self, sent: bytes = b"") -> None:
        super().__init__("connection dropped")
        self.sent = sent


# --- answers of their own ----------------------------------------------------------------


def status(_: Request, __: Ask, *, status: int, body: str = "", retry_after: int = -1) -> Answer:
    """Answer with an HTTP status and a body of text."""
    headers = {"Retry-After": str(retry_after)} if retry_after >= 0 else {}
    return Answer(raw=body.encode(), status=status, headers=headers, content_type="text/plain")


def code(_: Request, __: Ask, *, code: str, msg: str, status: int = 200) -> Answer:
    """Answer with an error code in the body."""
    return Answer({"code": code, "msg": msg}, status)


def rate_limit(request: Request, _: Ask, *, status: int = 429, retry_after: int = -1) -> Answer:
    """Say "too many requests" the vendor's way, with or without Retry-After."""
    headers = {"Retry-After": str(retry_after)} if retry_after >= 0 else {}
    body: dict[str, Any] = {"code": "429", "msg": "Too Many Requests"}
    if request.vendor == "coingecko":
        body = {"status": {"error_code": 429, "error_message": "You've exceeded the Rate Limit."}}
    if request.vendor == "binance":
        body = {"code": -1003, "msg": "Too many requests."}
    return Answer(body, status, headers)


def html(_: Request, __: Ask, *, status: int = 200) -> Answer:
    """Answer with a web page."""
    return Answer(raw=MAINTENANCE, status=status, content_type="text/html")


def redirect(_: Request, __: Ask, *, to: str, status: int = 302) -> Answer:
    """Send the caller elsewhere."""
    return Answer(raw=b"", status=status, headers={"Location": to}, content_type="text/plain")


def echo_key(request: Request, _: Ask) -> Answer:
    """Refuse the key and repeat it in the message."""
    keys = ("cg-api-key", "x-cg-demo-api-key", "x-cg-pro-api-key")
    sent = next((request.headers[name] for name in keys if name in request.headers), "")
    return Answer({"code": "400", "msg": f"Invalid API key provided: {sent}"})


# --- transport ---------------------------------------------------------------------------


def slow(request: Request, ask: Ask, *, seconds: float) -> Answer:
    """Answer late."""
    time.sleep(seconds)
    return ask(request)


def drip(request: Request, ask: Ask, *, seconds: float) -> Answer:
    """Send the body in twenty pieces over the seconds."""
    answer = ask(request)
    answer.drip_s = seconds
    return answer


def reset(_: Request, __: Ask) -> Answer:
    """Reset the connection without an answer."""
    raise Dropped


def cut(request: Request, ask: Ask, *, keep: float = 0.5) -> Answer:
    """Break off: the length is promised, a part of the body comes."""
    body = ask(request).body()
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    raise Dropped(head + body[: int(len(body) * keep)])


def truncate(request: Request, ask: Ask, *, keep: float = 0.5) -> Answer:
    """Send a whole answer whose body ends too soon."""
    answer = ask(request)
    body = answer.body()
    kept = body[: int(len(body) * keep)]
    return Answer(raw=kept, headers=answer.headers, content_type=answer.content_type)


def corrupt(request: Request, ask: Ask) -> Answer:
    """Flip the bytes in the middle of the body; a checksum stays that of the right file."""
    answer = ask(request)
    body = bytearray(answer.body())
    middle = len(body) // 2
    body[middle : middle + 8] = bytes(255 - one for one in body[middle : middle + 8])
    return Answer(raw=bytes(body), headers=answer.headers, content_type=answer.content_type)


def wrong_checksum(request: Request, ask: Ask) -> Answer:
    """Publish the checksum of another file."""
    if not request.path.endswith(".CHECKSUM"):
        return ask(request)
    name = request.path.rsplit("/", 1)[-1].removesuffix(".CHECKSUM")
    return Answer(raw=checksum_of(name, b"another file"), content_type="text/plain")


def ignore_window(request: Request, ask: Ask) -> Answer:
    """Answer as if the window had not been asked for: the newest page."""
    window = ("start_time", "end_time", "startTime", "endTime")
    params = {name: value for name, value in request.params.items() if name not in window}
    return ask(Request(request.vendor, request.path, params, request.headers))


# --- rows --------------------------------------------------------------------------------


def empty(_: Rows) -> Rows:
    """No rows."""
    return []


def duplicate_rows(rows: Rows, *, count: int = 3) -> Rows:
    """Send the newest rows twice."""
    return rows + [dict(row) for row in rows[-count:]]


def shuffle_rows(rows: Rows) -> Rows:
    """Send the second half first."""
    middle = len(rows) // 2
    return rows[middle:] + rows[:middle]


def keep_oldest(rows: Rows, *, count: int) -> Rows:
    """Send the oldest rows only."""
    return rows[:count]


def keep_newest(rows: Rows, *, count: int) -> Rows:
    """Send the newest rows only."""
    return rows[-count:]


def stale(rows: Rows, *, days: float = 1) -> Rows:
    """Leave out the rows of the newest days, as a vendor does that has stopped updating."""
    stamps = [_stamp(row) for row in rows]
    newest = max((one for one in stamps if one is not None), default=0)
    last = newest - days * DAY_MS
    return [row for row, at in zip(rows, stamps, strict=True) if at is None or at <= last]


def drop_days(rows: Rows, *, first: str, last: str) -> Rows:
    """Leave a gap: no row stamped on these days."""
    start, end = _instant(first), _instant(last) + DAY_MS
    return [row for row in rows if not start <= (_stamp(row) or 0) < end]


def rename_field(rows: Rows, *, field: str, to: str) -> Rows:
    """Call a field by another name."""
    return [{(to if name == field else name): cell for name, cell in row.items()} for row in rows]


def drop_field(rows: Rows, *, field: str) -> Rows:
    """Leave a field out."""
    return [{name: cell for name, cell in row.items() if name != field} for row in rows]


def retype_field(rows: Rows, *, field: str, to: str) -> Rows:
    """Send a field as ``string``, ``number``, ``list`` or ``object``."""
    makers: dict[str, Callable[[Any], Any]] = {
        "string": str,
        "number": float,
        "list": lambda cell: [cell],
        "object": lambda cell: {"value": cell},
    }
    return [{**row, field: makers[to](row[field])} if field in row else row for row in rows]


def set_field(
    rows: Rows, *, field: str, value: Any, first: str = "1970-01-01", last: str = "2999-01-01"
) -> Rows:
    """Send a value of one's choice (null, "NaN", "", 0) on the days from first to last."""
    start, end = _instant(first), _instant(last) + DAY_MS
    return [
        {**row, field: value} if field in row and start <= (_stamp(row) or 0) < end else row
        for row in rows
    ]


def scale_field(
    rows: Rows, *, field: str, factor: float, first: str = "1970-01-01", last: str = "2999-01-01"
) -> Rows:
    """Multiply a field on the days from first to last: a unit that flips, a restatement.

    Text stays text. ``field: "*"`` is every field that is not a time.
    """
    start, end = _instant(first), _instant(last) + DAY_MS

    def scaled(row: dict[str, Any]) -> dict[str, Any]:
        if not start <= (_stamp(row) or 0) < end:
            return row
        times = time_field([row])
        names = [name for name in row if field in (name, "*") and name != times]
        return {**row, **{name: _times(row[name], factor) for name in names}}

    return [scaled(row) for row in rows]


def shift_time(rows: Rows, *, hours: float) -> Rows:
    """Stamp the rows some hours off."""
    name = time_field(rows)
    if not name or name == "create_time":
        return rows
    moved = int(hours * HOUR_MS)
    return [{**row, name: type(row[name])(int(row[name]) + moved)} for row in rows]


def future_row(rows: Rows, *, days: int = 1) -> Rows:
    """Add a copy of the newest row, stamped days ahead."""
    return rows + shift_time([dict(row) for row in rows[-1:]], hours=24 * days)


ACTIONS: Final = {
    one.__name__: one
    for one in (
        status,
        code,
        rate_limit,
        html,
        redirect,
        echo_key,
        slow,
        drip,
        reset,
        cut,
        truncate,
        corrupt,
        wrong_checksum,
        ignore_window,
    )
}
ROW_ACTIONS: Final = {
    one.__name__: one
    for one in (
        empty,
        duplicate_rows,
        shuffle_rows,
        keep_oldest,
        keep_newest,
        stale,
        drop_days,
        rename_field,
        drop_field,
        retype_field,
        set_field,
        scale_field,
        shift_time,
        future_row,
    )
}


def act(request: Request, ask: Ask, kind: str, parameters: dict[str, Any]) -> Answer:
    """Return the answer after one action."""
    if kind in ACTIONS:
        return ACTIONS[kind](request, ask, **parameters)
    change = ROW_ACTIONS[kind]

    def changed(asked: Request) -> Answer:
        return change_rows(asked, ask(asked), lambda rows: change(rows, **parameters))

    if not request.path.endswith(".CHECKSUM"):
        return changed(request)
    # The checksum of a file whose rows were changed is the changed file's.
    path = request.path.removesuffix(".CHECKSUM")
    file = changed(Request(request.vendor, path, request.params, request.headers))
    if file.status != 200:
        return file
    name = path.rsplit("/", 1)[-1]
    return Answer(raw=checksum_of(name, file.body()), content_type="text/plain")


def _instant(day: str) -> int:
    return round(datetime.fromisoformat(str(day)).replace(tzinfo=UTC).timestamp() * 1000)


def _stamp(row: dict[str, Any]) -> int | None:
    """Return the row's time in epoch milliseconds, None without one."""
    name = time_field([row])
    if not name:
        return None
    if name == "create_time":
        return _instant(row[name])
    return int(row[name])


def _times(cell: Any, factor: float) -> Any:
    if isinstance(cell, str):
        try:
            return repr(float(cell) * factor)
        except ValueError:
            return cell
    return cell * factor if isinstance(cell, int | float) else cell
