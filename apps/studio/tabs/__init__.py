"""The tabs of the studio, one a module, in the order in which the page shows them."""

from collections.abc import Callable, Sequence

from steer.apps.studio.frame import Frame, Tab
from steer.apps.studio.tabs.discover import Discover
from steer.apps.studio.tabs.grid import Grid
from steer.apps.studio.tabs.lab import Lab
from steer.apps.studio.tabs.picture import Picture
from steer.apps.studio.tabs.turn import Turn
from steer.apps.studio.tabs.walk import Walk

TABS: Sequence[Callable[[Frame], Tab]] = (Turn, Discover, Picture, Grid, Walk, Lab)
