"""Source to lake: fetch what vendors publish, keep every byte, and seal typed versions."""
