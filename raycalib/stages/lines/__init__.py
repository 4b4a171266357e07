"""What a run says of its progress, from the driver and from workers."""
