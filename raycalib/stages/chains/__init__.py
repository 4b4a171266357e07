"""Several chains of steps at once, in threads of the driver."""
