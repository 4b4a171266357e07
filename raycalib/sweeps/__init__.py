"""What a sweep varies, which cell it chooses, and its leaderboard; no Ray, no model."""
