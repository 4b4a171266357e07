"""What was tuned, ready to use: bundles are saved, read, asked and published here."""
