"""SQL: rows in, core values out. It decides nothing."""
