"""A world of small three-dimensional birds whose every factor is known exactly."""
