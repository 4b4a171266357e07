"""Rows of local parquet, jsonl and csv files, a few at a time."""
