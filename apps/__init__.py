"""Where people touch the toolkit: the studio and the command line."""

if __name__ != "steer.apps":
    raise ImportError("import steer.apps, not apps")
