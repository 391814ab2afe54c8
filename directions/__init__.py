"""The finders: one way to discover knobs a module, and the measures that judge what was found."""

if __name__ != "steer.directions":
    raise ImportError("import steer.directions, not directions")
