"""Spans in a DuckDB file: written by rows, asked in SQL. The only room that imports duckdb."""
