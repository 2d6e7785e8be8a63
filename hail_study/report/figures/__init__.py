"""Figures, one module each: a function from results or a table to a matplotlib figure."""
