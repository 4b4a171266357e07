"""Small models trained from scratch on the embedded facts, standing in for the six names of the paper."""
