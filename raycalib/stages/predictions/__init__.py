"""From what models say to predictions of every method, figures and the summary."""
