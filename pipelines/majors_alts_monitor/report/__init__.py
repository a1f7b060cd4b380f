"""Page, mail, comparison and index: what people read of a run."""
