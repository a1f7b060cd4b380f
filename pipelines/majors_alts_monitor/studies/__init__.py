"""Comparisons that decide a default or judge a claim; one module each, run by hand."""
