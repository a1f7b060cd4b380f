"""The vendors: one thin typed client each, over one way to ask."""
