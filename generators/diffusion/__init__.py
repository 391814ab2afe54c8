"""Diffusion: noise schedules, the deterministic sampler on explicit noise levels, and its exact inverse."""
