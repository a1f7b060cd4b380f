"""A vendor server of our own: CoinGlass, CoinGecko, Binance and its archive over one market.

``python -m lake_ingest.sandbox`` runs it; ``serve`` runs it in a thread for tests, and
``truth`` returns the tables a perfect fetch from it would store. Its market is synthetic.
"""

from __future__ import annotations

from lake_ingest.sandbox.messages import Settings
from lake_ingest.sandbox.server import Sandbox, serve, start
from lake_ingest.sandbox.truth import truth

__all__ = ["Sandbox", "Settings", "serve", "start", "truth"]
