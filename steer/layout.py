"""How the pictures of a batch lie on one sheet."""

from typing import Literal

from PIL import Image
from pydantic import BaseModel, ConfigDict, model_validator

from steer.errors import BadInput
from steer.pictures import sheet, to_images
from steer.shapes import Pictures


class Layout(BaseModel):
    """A contact sheet: columns, labels and scale.

    Attributes:
        columns: pictures in a row; None for a sheet about three wide to two high.
        scale: whole factor by which pictures are enlarged; None for what suits their size.
        enlarge: "smooth" for looking, "crisp" to see every pixel as a square.
        bare: a single picture at its own size and without a border, as other programs want it.
        column_labels: one above each column.
        row_labels: one before each row.
        captions: one under each picture.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    columns: int | None = None
    scale: int | None = None
    enlarge: Literal["smooth", "crisp"] = "smooth"
    bare: bool = False
    column_labels: tuple[str, ...] = ()
    row_labels: tuple[str, ...] = ()
    captions: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> "Layout":
        if (self.columns is not None and self.columns < 1) or (self.scale is not None and self.scale < 1):
            raise BadInput(f"columns and scale are whole numbers of at least 1, not {self.columns} and {self.scale}")
        return self

    def sheet(self, pictures: Pictures) -> Image.Image:
        """Lay pictures (batch, 3, height, width) in [0, 1] out.

        Raises:
            BadInput: labels or columns do not fit the number of pictures.
        """
        if self.bare and len(pictures) == 1:
            return to_images(pictures)[0]
        return sheet(
            pictures,
            self.columns,
            self.captions or None,
            self.scale,
            column_labels=self.column_labels or None,
            row_labels=self.row_labels or None,
            enlarge=self.enlarge,
        )
