"""Binance's public archive: zip files by computed name, each checked against its checksum.

Names are computed, never listed; a file that is not there is an answer (no data), not a failure.
"""

from __future__ import annotations

import hashlib
from datetime import date
from typing import Final

from lake_ingest.bronze import Answer
from lake_ingest.errors import ContractError, RequestError, VendorError
from lake_ingest.vendors._http import Channel, classify_status

VENDOR: Final = "archive"
ROOT: Final = "/data/futures/um"
ABSENT: Final = "404"


class ArchiveClient:
    """Read-only client of the file sets we use.

    Parameters
    ----------
    channel : Channel
        Carries the archive of answers; files do not count against a budget.
    """

    def __init__(self, channel: Channel) -> None:
        self.channel = channel

    def klines_month(self, symbol: str, month: date) -> Answer | None:
        """Return a month of daily bars; None when there is no such file."""
        name = f"{symbol}-1d-{month:%Y-%m}.zip"
        return self._file(f"{ROOT}/monthly/klines/{symbol}/1d/{name}")

    def klines_day(self, symbol: str, day: date) -> Answer | None:
        """Return the daily bar of one day; None when there is no such file."""
        return self._file(f"{ROOT}/daily/klines/{symbol}/1d/{symbol}-1d-{day}.zip")

    def funding_month(self, symbol: str, month: date) -> Answer | None:
        """Return a month of settlements; None when there is no such file."""
        name = f"{symbol}-fundingRate-{month:%Y-%m}.zip"
        return self._file(f"{ROOT}/monthly/fundingRate/{symbol}/{name}")

    def metrics_day(self, symbol: str, day: date) -> Answer | None:
        """Return a day's five-minute open interest; None when there is no such file."""
        return self._file(f"{ROOT}/daily/metrics/{symbol}/{symbol}-metrics-{day}.zip")

    def _file(self, path: str) -> Answer | None:
        """Return a file whose SHA-256 is the published one.

        Raises
        ------
        ContractError
            If it is not, also when asked for a second time.
        """
        try:
            for _ in range(2):
                # Files may be replaced while we read: both halves are asked for again.
                answer = self.channel.get(path, {})
                checksum = self.channel.get(f"{path}.CHECKSUM", {})
                expected = checksum.body.split()[:1]
                if expected == [hashlib.sha256(answer.body).hexdigest().encode()]:
                    return answer
        except RequestError as e:
            if e.code == ABSENT:
                return None
            raise
        raise ContractError(path, "SHA-256", "differs from the published checksum")


def classify(answer: Answer) -> VendorError | None:
    """Name a failure of the file server; None for a file."""
    return classify_status(answer)
