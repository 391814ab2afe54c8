"""Trainers: pure torch functions from a frozen configuration to a folder, one generator or measurer a module."""
