"""Every vendor's answer as rows of named fields, and back: what faults on rows work on."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable
from typing import Any, Final

from lake_ingest.sandbox.archive import KLINE_HEADER, zip_of
from lake_ingest.sandbox.messages import Answer, Request

Rows = list[dict[str, Any]]
Change = Callable[[Rows], Rows]

TIME_FIELDS: Final = ("time", "fundingTime", "timestamp", "open_time", "calc_time", "create_time")
KLINE_FIELDS: Final = tuple(KLINE_HEADER.split(","))
NAMELESS: Final = "value"
"""The field of rows that are texts, as those of CoinGlass's supported-coins."""


def change_rows(request: Request, answer: Answer, change: Change) -> Answer:
    """Return the answer with its rows changed; one without rows comes back as it is.

    CoinGecko's three arrays are changed one after the other, each as rows of ``time`` and the
    array's name.

    Examples
    --------
    >>> asked, answer = Request("binance", "/fapi/v1/fundingRate"), Answer([{"fundingTime": 1}])
    >>> change_rows(asked, answer, lambda rows: rows + rows).payload
    [{'fundingTime': 1}, {'fundingTime': 1}]
    """
    if answer.status != 200:
        return answer
    if request.vendor == "archive":
        return _change_file(answer, change)
    payload: Any = answer.payload
    changed: Any
    if request.vendor == "coingecko" and isinstance(payload, dict) and "prices" in payload:
        changed = dict(_change_points(name, points, change) for name, points in payload.items())
    elif isinstance(payload, list):
        changed = _change_list(payload, change)
    elif isinstance(payload, dict):
        changed = {name: _change_part(part, change) for name, part in payload.items()}
    else:
        return answer
    return Answer(changed, answer.status, answer.headers)


def time_field(rows: Rows) -> str:
    """Return the name of the rows' time, empty without one."""
    return next((name for name in TIME_FIELDS if rows and name in rows[0]), "")


def checksum_of(name: str, body: bytes) -> bytes:
    """Return the checksum file of an archive file."""
    return f"{hashlib.sha256(body).hexdigest()}  {name}\n".encode()


def _change_part(part: Any, change: Change) -> Any:
    """Change the rows below a name: CoinGlass's data, its venues, Binance's symbols."""
    if isinstance(part, dict):
        return {name: _change_part(below, change) for name, below in part.items()}
    return _change_list(part, change) if isinstance(part, list) else part


def _change_list(payload: list[Any], change: Change) -> list[Any]:
    if not payload or isinstance(payload[0], dict):
        return change(payload)
    if not isinstance(payload[0], list):
        rows = change([{NAMELESS: cell} for cell in payload])
        return [row.get(NAMELESS) for row in rows]
    rows = [dict(zip(KLINE_FIELDS, row, strict=True)) for row in payload]
    return [list(row.values()) for row in change(rows)]


def _change_points(
    name: str, points: list[list[Any]], change: Change
) -> tuple[str, list[list[Any]]]:
    """Return the array under the name its field has now; nulls where it has none."""
    rows = change([{"time": stamp, name: value} for stamp, value in points])
    renamed = [] if not rows or name in rows[0] else [field for field in rows[0] if field != "time"]
    called = (renamed or [name])[0]
    return called, [[row.get("time"), row.get(called)] for row in rows]


def _change_file(answer: Answer, change: Change) -> Answer:
    if answer.raw is None or answer.content_type != "application/zip":
        return answer
    with zipfile.ZipFile(io.BytesIO(answer.raw)) as file:
        member = file.namelist()[0]
        lines = file.read(member).decode().splitlines()
    has_header = not lines[0][0].isdigit()
    names = lines[0].split(",") if has_header else list(KLINE_FIELDS)
    rows = [dict(zip(names, line.split(","), strict=True)) for line in lines[has_header:]]
    changed = change(rows)
    head = [",".join(changed[0])] if has_header and changed else lines[:has_header]
    printed = [
        ",".join("" if cell is None else str(cell) for cell in row.values()) for row in changed
    ]
    body = zip_of(member.removesuffix(".csv") + ".zip", [*head, *printed])
    return Answer(raw=body, content_type=answer.content_type)
