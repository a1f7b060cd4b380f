"""Warehouse to delivery: regime, dual-beta-neutral book, backtest and report."""
