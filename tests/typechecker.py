"""The type checker that the tests run the toolkit under: beartype, where an int is as good as a float."""

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
