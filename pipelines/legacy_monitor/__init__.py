"""The previous API-based monitor, kept runnable for comparison."""
