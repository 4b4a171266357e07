"""From opened sources to question records: streams of rows, which of them are taken, and their ids."""
