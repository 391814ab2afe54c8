"""The back ends: one generator a module, with its trainer, its weights and what it can measure."""

if __name__ != "steer.generators":
    raise ImportError("import steer.generators, not generators")
