"""Answers and labelled rows that exist already: your files, the paper's csv, its released sets."""
