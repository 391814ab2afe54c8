"""Draw birds: exact ray-ellipsoid intersection, deferred shading, a soft studio backdrop.

The camera is orthographic and looks 12 degrees down. A ray meets an ellipsoid where a quadratic polynomial in the
picture's coordinates is positive, and its root is the depth; the normal and the colour are worked out once, for the
ellipsoid in front. Drawing is not differentiable.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from steer.generators.aviary.anatomy import (
    FIXED,
    HIPS,
    PALETTES,
    PARTS,
    SPECIES_BODIES,
    Ellipsoid,
)
from steer.generators.aviary.factors import FACTORS, SPECIES

RENDERER_VERSION = 1
"""Raised whenever the look changes: cached pictures and trained weights belong to one version."""

ELEVATION = math.radians(12)
LIGHT_ELEVATION = math.radians(38)


@dataclass(frozen=True)
class Rendering:
    """Pictures and the truth about them.

    Attributes:
        picture: (batch, 3, size, size) sRGB in [0, 1].
        mask: (batch, 1, size, size), how much of each pixel the bird covers, in [0, 1].
        parts: (batch, 1, size, size) int64, indices into `anatomy.PARTS`.
    """

    picture: Tensor
    mask: Tensor
    parts: Tensor


def render(factors: Mapping[str, Tensor], size: int = 64, *, supersample: int = 2) -> Tensor:
    """Draw birds as (batch, 3, size, size) float32 in [0, 1]; a bird is bit-equal in any batch.

    Args:
        factors: Every factor of `factors.FACTORS`, (batch,) each; pictures are made on their device.
        size: Side of the picture in pixels.
        supersample: Rays per pixel and axis.
    """
    scene = _scene(factors)
    return torch.stack([_draw(scene, bird, size, supersample)[0] for bird in range(len(scene.boxes))])


def layout(factors: Mapping[str, Tensor], size: int = 64) -> Tensor:
    """Return the map of the birds' parts, (batch, 1, size, size) int64 indices into `anatomy.PARTS`."""
    scene = _scene(factors)
    return torch.stack([_map(scene, bird, scene.parts, size) for bird in range(len(scene.boxes))])


def sketch(factors: Mapping[str, Tensor], size: int = 64, *, supersample: int = 4) -> Tensor:
    """Draw outlines, (batch, 1, size, size) in [0, 1]: 1 is ink, 0 paper; lines part parts, eyes are filled."""
    scene = _scene(factors)
    fine = size * supersample
    reach = max(1, round(fine / 150))
    groups = torch.stack([_map(scene, bird, scene.groups, fine) for bird in range(len(scene.boxes))]).float()
    padded = F.pad(groups, (reach,) * 4)
    widest, narrowest = (sign * F.max_pool2d(sign * padded, 2 * reach + 1, 1) for sign in (1, -1))
    return F.avg_pool2d(((widest != narrowest) | (groups == _EYE)).float(), supersample)


def render_all(factors: Mapping[str, Tensor], size: int = 64, *, supersample: int = 2) -> Rendering:
    """Draw birds with their masks and maps of parts; see `render`."""
    scene = _scene(factors)
    birds = range(len(scene.boxes))
    pictures, masks = zip(*(_draw(scene, bird, size, supersample) for bird in birds), strict=True)
    parts = [_map(scene, bird, scene.parts, size) for bird in birds]
    return Rendering(torch.stack(pictures), torch.stack(masks), torch.stack(parts))


# --- from factors to ellipsoids in the picture -----------------------------------------------------------------------

_EYE = 100
_BLOCKERS = 6
_SPHERE, _EDGES, _ALBEDO, _GLOSS = slice(0, 12), slice(12, 20), slice(20, 29), 29
"""Where shading finds the map to the unit sphere, two paint edges, three albedos and the gloss of an ellipsoid."""


@dataclass(frozen=True)
class _Scene:
    """Ellipsoids of a batch of birds, ready to be drawn; picture coordinates run from -0.5 to 0.5, y up.

    Attributes:
        depth: (batch, ellipsoids, 9) coefficients of the discriminant over (1, u, v, u², uv, v²), then of the depth
            of the ellipsoid's middle over (1, u, v).
        surface: (batch, 30, ellipsoids) what shading needs, laid out as _SPHERE, _EDGES, _ALBEDO and _GLOSS say.
        blocking: (batch, blockers) the large ellipsoids, which keep the sky from what is near them.
        blockers: (batch, 2, 3 * blockers, 4) their maps to the unit sphere, and to the direction away from them.
        parts: (batch, 1 + ellipsoids) part of each ellipsoid, background first.
        groups: (batch, 1 + ellipsoids) what a sketch draws apart.
        boxes: Left, right, bottom, top of every ellipsoid of every bird.
        backdrop: (batch, 11) what the backdrop needs.
        light: (batch, 3) direction to the light.
    """

    depth: Tensor
    surface: Tensor
    blocking: Tensor
    blockers: Tensor
    parts: Tensor
    groups: Tensor
    boxes: list[list[list[float]]]
    backdrop: Tensor
    light: Tensor


@dataclass(frozen=True)
class _Tables:
    """Every species' ellipsoids stacked, (species, ellipsoids, …), absent ones with radius 0."""

    centre: Tensor
    frame: Tensor
    radii: Tensor
    upright: Tensor
    parts: Tensor
    groups: Tensor
    gloss: Tensor
    tints: Tensor
    paint: Tensor
    fit: Tensor
    ground: Tensor


def _rotation(axis: int, degrees: Tensor) -> Tensor:
    """Return (…, 3, 3) rotations about a coordinate axis."""
    angle = torch.deg2rad(degrees)
    cos, sin, zero, one = angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
    rows = {
        0: (one, zero, zero, zero, cos, -sin, zero, sin, cos),
        1: (cos, zero, sin, zero, one, zero, -sin, zero, cos),
        2: (cos, -sin, zero, sin, cos, zero, zero, zero, one),
    }[axis]
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


@cache
def _tables() -> _Tables:
    """Stack the anatomy into tensors, and fit every species into a square of side one."""
    count = max(len(body) for body in SPECIES_BODIES.values())
    names = [[*PALETTES[species], *FIXED] for species in SPECIES]
    double = torch.float64
    shape = (len(SPECIES), count)
    centre, radii = torch.zeros(*shape, 3, dtype=double), torch.zeros(*shape, 3, dtype=double)
    angles = torch.zeros(3, *shape, dtype=double)
    upright, gloss = torch.zeros(shape, dtype=torch.bool), torch.zeros(shape, dtype=double)
    parts, groups = torch.zeros(shape, dtype=torch.int64), torch.zeros(shape, dtype=torch.int64)
    tints = torch.zeros(*shape, 3, dtype=torch.int64)
    paint = torch.zeros(*shape, 2, 5, dtype=double)
    paint[..., 3], paint[..., 4] = 9.0, 1.0
    for s, species in enumerate(SPECIES):
        for k, piece in enumerate(SPECIES_BODIES[species]):
            centre[s, k], radii[s, k] = torch.tensor(piece.centre), torch.tensor(piece.radii)
            angles[:, s, k] = torch.tensor([-piece.pitch, piece.yaw, piece.roll])
            upright[s, k], gloss[s, k] = piece.upright, piece.gloss
            parts[s, k] = PARTS.index(piece.part)
            groups[s, k] = _EYE if _is_eye(piece) else parts[s, k]
            tints[s, k] = names[s].index(piece.tint)
            for layer, coat in enumerate(piece.paints):
                tints[s, k, layer + 1] = names[s].index(coat.tint)
                paint[s, k, layer] = torch.tensor([*coat.towards, coat.edge, coat.softness])
    frame = _rotation(1, angles[1]) @ _rotation(0, angles[0]) @ _rotation(2, angles[2])
    fit = _fit(centre, frame, radii, upright)
    ground = torch.where(upright, centre[..., 1], torch.inf).amin(1)
    return _Tables(centre, frame, radii, upright, parts, groups, gloss, tints, paint, fit, ground)


def _is_eye(piece: Ellipsoid) -> bool:
    return any(paint.tint == "glint" for paint in piece.paints)


def _fit(centre: Tensor, frame: Tensor, radii: Tensor, upright: Tensor) -> Tensor:
    """Find where each species turns and how large it is drawn, so that it stays in the unit square at every pose.

    Returns:
        (species, 3): z of the yaw axis that needs the least room, height of the middle, scale.
    """
    double = torch.float64
    tilts = torch.linspace(FACTORS["tilt"].low, FACTORS["tilt"].high, 9, dtype=double)
    axes = torch.linspace(-0.6, 0.9, 31, dtype=double)
    view = _camera() @ _rotation(1, torch.arange(0, 360, 5, dtype=double))  # (yaws, 3, 3)
    absent = radii[:, None, :, 0] == 0
    fits = torch.full((len(axes), len(centre), 3), -torch.inf, dtype=double)  # widest, highest, deepest
    for tilt in tilts:
        middle, turn = _pose(centre, upright, tilt.expand(len(centre)))
        place = torch.einsum("yij,skj->isyk", view, middle)
        extent = torch.einsum("yij,skjl->isykl", view, turn @ frame * radii[:, :, None]).norm(dim=-1)
        for index, axis in enumerate(axes):
            u, v = (place[i] - axis * view[:, i, 2, None] for i in range(2))
            sides = torch.stack([u.abs() + extent[0], v + extent[1], extent[1] - v], dim=-1)
            sides = sides.masked_fill(absent[..., None], -torch.inf)
            fits[index] = torch.maximum(fits[index], sides.amax((1, 2)))
    half = torch.maximum(fits[..., 0], (fits[..., 1] + fits[..., 2]) / 2)  # (axes, species)
    best = half.argmin(0)
    width, top, bottom = fits[best, torch.arange(len(centre))].unbind(-1)
    return torch.stack([axes[best], (top - bottom) / 2, 0.5 / torch.maximum(width, (top + bottom) / 2)], dim=-1)


def _camera() -> Tensor:
    """Return the rotation from the world to the camera, (3, 3)."""
    return _rotation(0, torch.tensor(math.degrees(ELEVATION), dtype=torch.float64))


def _pose(centre: Tensor, upright: Tensor, tilt: Tensor) -> tuple[Tensor, Tensor]:
    """Tilt bodies over their hips: (batch, ellipsoids, 3) middles and (batch, ellipsoids, 3, 3) turns."""
    hips = torch.tensor(HIPS, dtype=torch.float64)
    still = torch.eye(3, dtype=torch.float64)
    turn = torch.where(upright[..., None, None], still, _rotation(0, -tilt)[:, None])
    return hips + (turn @ (centre - hips)[..., None])[..., 0], turn


def _scene(factors: Mapping[str, Tensor]) -> _Scene:
    """Turn factors into ellipsoids in the picture; float64 on the CPU, so that a batch cannot change a bird."""
    tables = _tables()
    device = factors["hue"].device
    species = factors["species"].cpu().long()
    value = {name: factors[name].detach().cpu().double() for name in FACTORS if name != "species"}
    present = tables.radii[species][..., 0] > 0
    axis, middle_height, fit = tables.fit[species].unbind(-1)
    nothing = torch.zeros_like(axis)
    scale = (value["size"] * fit)[:, None]
    shift = torch.stack([value["x"], value["y"] - scale[:, 0] * middle_height, nothing], dim=-1)
    view = _camera() @ _rotation(1, value["heading"])  # (batch, 3, 3)
    # Every ellipsoid's middle, frame and half axes as the camera sees them.
    middle, turn = _pose(tables.centre[species], tables.upright[species], value["tilt"])
    middle = middle - torch.stack([nothing, nothing, axis], dim=-1)[:, None]
    place = (view[:, None] @ middle[..., None])[..., 0] * scale[..., None] + shift[:, None]  # (batch, ellipsoids, 3)
    frame = view[:, None] @ turn @ tables.frame[species]
    reach = torch.where(present[..., None], tables.radii[species], 1.0) * scale[..., None]
    # The map to the unit sphere: w = diag(1 / radii) · frameᵀ · (p − place).
    unit = frame.mT / reach[..., None]
    sphere = torch.cat([unit, -(unit @ place[..., None])], dim=-1)  # (batch, ellipsoids, 3, 4)
    blocking = tables.radii.prod(-1).topk(_BLOCKERS).indices[species]
    ball = sphere.gather(1, blocking[..., None, None].expand(-1, -1, 3, 4))
    away = ball[..., :3].mT @ ball  # the gradient of |w|² / 2
    extent = (frame * reach[..., None, :]).norm(dim=-1)[..., :2]
    boxes = torch.stack([place[..., :2] - extent, place[..., :2] + extent], dim=-1).flatten(-2).tolist()
    ground = torch.stack([nothing, tables.ground[species], -axis * 0.5], dim=-1)
    feet = (view @ ground[..., None])[..., 0] * scale + shift
    background = torch.zeros(len(species), 1, dtype=torch.int64)
    return _Scene(
        depth=_depth_terms(unit, place).float().to(device),
        surface=_surface_terms(species, value["hue"], sphere).mT.contiguous().float().to(device),
        blocking=blocking.to(device),
        blockers=torch.stack([ball, away], dim=1).transpose(2, 3).flatten(2, 3).float().to(device),
        parts=torch.cat([background, tables.parts[species]], dim=1).to(device),
        groups=torch.cat([background, tables.groups[species]], dim=1).to(device),
        boxes=[box[:count] for box, count in zip(boxes, present.sum(1).tolist(), strict=True)],
        backdrop=_backdrop_terms(value, feet, scale[:, 0]).float().to(device),
        light=_light(value["light"]).float().to(device),
    )


def _depth_terms(unit: Tensor, place: Tensor) -> Tensor:
    """Solve |w|² = 1 for the depth: middle + √discriminant, both polynomials in u and v; (batch, ellipsoids, 9)."""
    form = unit.mT @ unit  # |w|² = (p − place)ᵀ form (p − place)
    stiff = form[..., 2:, 2:]
    flat = (form[..., :2, :2] - form[..., :2, 2:] * form[..., 2:, :2] / stiff) / stiff
    xx, xy, yy = flat[..., 0, 0], flat[..., 0, 1], flat[..., 1, 1]
    slope_x, slope_y = (-form[..., :2, 2] / stiff[..., 0]).unbind(-1)
    u, v, z = place.unbind(-1)
    discriminant = (
        1 / stiff[..., 0, 0] - xx * u * u - 2 * xy * u * v - yy * v * v,
        2 * (xx * u + xy * v),
        2 * (xy * u + yy * v),
        -xx,
        -2 * xy,
        -yy,
    )
    return torch.stack([*discriminant, z - slope_x * u - slope_y * v, slope_x, slope_y], dim=-1)


def _surface_terms(species: Tensor, hue: Tensor, sphere: Tensor) -> Tensor:
    """Gather what shading needs of every ellipsoid, (batch, ellipsoids, 30)."""
    tables = _tables()
    # Paint edges are linear in the picture as well: 2.5 (towards · w − edge) / softness, for a sigmoid.
    paint = tables.paint[species]
    edges = 2.5 * paint[..., :3] / paint[..., 4:] @ sphere
    edges[..., 3] -= 2.5 * paint[..., 3] / paint[..., 4]
    tints = tables.tints[species].flatten(1)[..., None]
    albedo = _albedo(species, hue).gather(1, tints.expand(-1, -1, 3)).unflatten(1, (-1, 3))
    return torch.cat(
        [sphere.flatten(-2), edges.flatten(-2), albedo.flatten(-2), tables.gloss[species][..., None]], dim=-1
    )


def _light(azimuth: Tensor) -> Tensor:
    """Return the direction to the light, (batch, 3)."""
    angle = torch.deg2rad(azimuth)
    height = torch.full_like(angle, math.sin(LIGHT_ELEVATION))
    return torch.stack(
        [angle.sin() * math.cos(LIGHT_ELEVATION), height, angle.cos() * math.cos(LIGHT_ELEVATION)], dim=-1
    )


# --- colour ----------------------------------------------------------------------------------------------------------

# Saturation and value of the plumage every 30 degrees of hue: pure hues differ too much in brightness, these do not.
_SATURATION = (0.76, 0.80, 0.80, 0.68, 0.62, 0.70, 0.76, 0.74, 0.64, 0.60, 0.58, 0.68)
_VALUE = (0.88, 0.94, 0.95, 0.80, 0.72, 0.72, 0.76, 0.86, 0.88, 0.84, 0.82, 0.90)


def _wheel(table: tuple[float, ...], hue: Tensor) -> Tensor:
    """Interpolate a table of twelve values around the colour wheel."""
    values = torch.tensor(table, dtype=hue.dtype)
    position = torch.remainder(hue, 360) / 30
    low = position.floor()
    fraction = position - low
    first = low.long() % 12
    return values[first] * (1 - fraction) + values[(first + 1) % 12] * fraction


def _rgb(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """Turn hue in degrees, saturation and value into sRGB in [0, 1], stacked last."""
    channels = []
    for n in (5, 3, 1):
        k = torch.remainder(n + hue / 60, 6)
        channels.append(value * (1 - saturation * torch.minimum(k, 4 - k).clamp(0, 1)))
    return torch.stack(channels, dim=-1)


def _linear(colour: Tensor) -> Tensor:
    """Undo the display's gamma (2.2, the usual stand-in for sRGB's curve)."""
    return colour.clamp(0, 1) ** 2.2


def _albedo(species: Tensor, hue: Tensor) -> Tensor:
    """Return every tint of each bird in linear light, (batch, tints, 3), its palette first, then FIXED."""
    palettes = _palettes()
    tint = palettes.derived[species]  # (batch, tints, 4)
    turned = hue[:, None] + tint[..., 0]
    saturation = (_wheel(_SATURATION, turned) * tint[..., 1]).clamp(0, 1)
    value = (_wheel(_VALUE, turned) * tint[..., 2]).clamp(0, 1)
    cream = torch.tensor(FIXED["cream"], dtype=hue.dtype)
    derived = torch.lerp(_rgb(turned, saturation, value), cream.expand(*turned.shape, 3), tint[..., 3:])
    fixed = palettes.fixed[species]
    return _linear(torch.where(fixed.isnan(), derived, fixed))


@dataclass(frozen=True)
class _Palettes:
    """Every species' colours, (species, tints, …): derived ones by (shift, saturation, value, pale), fixed sRGB."""

    derived: Tensor
    fixed: Tensor


@cache
def _palettes() -> _Palettes:
    """Stack the palettes into tensors, NaN where a colour is not a fixed one."""
    count = max(len(palette) for palette in PALETTES.values()) + len(FIXED)
    derived = torch.ones(len(SPECIES), count, 4, dtype=torch.float64)
    fixed = torch.full((len(SPECIES), count, 3), torch.nan, dtype=torch.float64)
    for s, species in enumerate(SPECIES):
        tints = list(PALETTES[species].values())
        for t, tint in enumerate(tints):
            derived[s, t] = torch.tensor([tint.shift, tint.saturation, tint.value, tint.pale])
        fixed[s, len(tints) : len(tints) + len(FIXED)] = torch.tensor(list(FIXED.values()))
    return _Palettes(derived, fixed)


# --- the backdrop ----------------------------------------------------------------------------------------------------


def _backdrop_terms(value: Mapping[str, Tensor], feet: Tensor, scale: Tensor) -> Tensor:
    """Gather what `_backdrop` needs: wall and floor colours, glow, shadow; (batch, 11)."""
    hue, brightness = value["background_hue"], value["background_brightness"]
    even = torch.ones_like(hue)
    wall = _rgb(hue, 0.56 * even - 0.16 * brightness, brightness * 0.97)
    floor = _rgb(hue + 12, 0.46 * even - 0.18 * brightness, (brightness * 1.04).clamp(max=1))
    light = torch.deg2rad(value["light"])
    away = -0.42 * scale  # the shadow falls away from the light
    return torch.cat(
        [
            wall,
            floor,
            torch.stack(
                [
                    0.34 * light.sin(),
                    feet[:, 0] + away * light.sin(),
                    feet[:, 1] - away * light.cos() * math.sin(ELEVATION),
                    1 / (1.05 * scale),
                    1 / (0.30 * scale),
                ],
                dim=-1,
            ),
        ],
        dim=-1,
    )


def _backdrop(terms: Tensor, size: int) -> Tensor:
    """Draw one seamless studio backdrop, (3, size, size): wall over floor, a glow on the light's side, a shadow."""
    line = (torch.arange(size, device=terms.device) + 0.5) / size - 0.5
    u, v = line[None, :], -line[:, None]
    wall, floor = terms[:3, None, None], terms[3:6, None, None]
    glow_x, shadow_x, shadow_y, wide, narrow = terms[6:11]
    mix = torch.sigmoid((v + 0.22) * 11)
    colour = floor + (wall - floor) * mix
    glow = torch.exp(-((u - glow_x) ** 2 + (v - 0.10) ** 2) * 5.0)
    colour = colour * (0.86 + 0.24 * glow)
    shadow = torch.exp(-(((u - shadow_x) * wide) ** 2 + ((v - shadow_y) * narrow) ** 2))
    return (colour * (1 - 0.34 * shadow)).clamp(0, 1)


# --- drawing ---------------------------------------------------------------------------------------------------------


def _hit(scene: _Scene, bird: int, fine: int, multiple: int) -> tuple[int, int, Tensor, Tensor]:
    """Find the ellipsoid in front at every ray of the bird's window.

    Returns:
        The window's top row and left column among ``fine`` rays a side, and (rows, columns) each: the index of the
        ellipsoid in front (-1 where there is none) and its depth.
    """
    boxes = scene.boxes[bird]
    left, right, bottom, top = zip(*boxes, strict=True)
    columns = _window(min(left), max(right), fine, multiple)
    rows = _window(-max(top), -min(bottom), fine, multiple)
    terms = scene.depth[bird][:, :, None]
    u = (torch.arange(columns.start, columns.stop, device=terms.device) + 0.5) / fine - 0.5
    v = 0.5 - (torch.arange(rows.start, rows.stop, device=terms.device) + 0.5) / fine
    along = terms[:, 0] + u * (terms[:, 1] + u * terms[:, 3])  # (ellipsoids, columns)
    down = (v * (terms[:, 2] + v * terms[:, 5]))[..., None]  # (ellipsoids, rows, 1)
    twist = (v * terms[:, 4])[..., None]
    middle_along = terms[:, 6] + u * terms[:, 7]
    middle_down = (v * terms[:, 8])[..., None]
    depth = u.new_full((len(v), len(u)), -torch.inf)
    front = torch.full((len(v), len(u)), -1, device=u.device)
    for k, box in enumerate(boxes):
        across, up = _window(box[0], box[1], fine, 1), _window(-box[3], -box[2], fine, 1)
        x = slice(across.start - columns.start, across.stop - columns.start)
        y = slice(up.start - rows.start, up.stop - rows.start)
        # Beside the ellipsoid the root is NaN, which loses every comparison.
        surface = (along[k, x] + down[k, y]).addcmul_(twist[k, y], u[x]).sqrt_()
        surface += middle_along[k, x]
        surface += middle_down[k, y]
        front[y, x].masked_fill_(surface > depth[y, x], k)
        torch.fmax(depth[y, x], surface, out=depth[y, x])
    return rows.start, columns.start, front, depth


def _window(low: float, high: float, fine: int, multiple: int) -> range:
    """Return the rays between two picture coordinates, widened to whole pixels of ``multiple`` rays."""
    first = math.floor((low + 0.5) * fine / multiple) * multiple
    last = math.ceil((high + 0.5) * fine / multiple) * multiple
    return range(min(max(first, 0), fine), max(min(last, fine), 0))


def _shade(scene: _Scene, bird: int, front: Tensor, points: Tensor) -> Tensor:
    """Colour the visible points, (3, points) in display values, from (3, points) picture coordinates."""
    surface = scene.surface[bird].index_select(1, front)
    unit = surface[_SPHERE].unflatten(0, (3, 4))
    ball = unit[:, 0] * points[0] + unit[:, 1] * points[1] + unit[:, 2] * points[2] + unit[:, 3]
    steep = unit[0, :3] * ball[0] + unit[1, :3] * ball[1] + unit[2, :3] * ball[2]
    normal = steep * torch.rsqrt((steep * steep).sum(0))
    albedo = surface[_ALBEDO].unflatten(0, (3, 3))
    edges = surface[_EDGES].unflatten(0, (2, 4))
    covers = torch.sigmoid(edges[:, 0] * points[0] + edges[:, 1] * points[1] + edges[:, 2] * points[2] + edges[:, 3])
    colour = torch.lerp(albedo[0], albedo[1], covers[0])
    colour = torch.lerp(colour, albedo[2], covers[1])
    open_sky = 1 - _occlusion(scene, bird, front, points, normal)
    light = scene.light[bird][:, None]
    diffuse = (((normal * light).sum(0) + 0.18) / 1.18).clamp_min(0) * (0.35 + 0.65 * open_sky)
    halfway = F.normalize(light + light.new_tensor([[0.0], [0.0], [1.0]]), dim=0)
    shine = (normal * halfway).sum(0).clamp_min(0) ** 36 * surface[_GLOSS]
    rim = (1 - normal[2].clamp(0, 1)) ** 3 * (0.25 + 0.75 * diffuse) * open_sky
    sky = (0.30 + 0.17 * normal[1]) * open_sky
    warm, cool = colour.new_tensor([[1.06], [1.0], [0.92]]), colour.new_tensor([[0.94], [0.98], [1.08]])
    lit = colour * (0.92 * diffuse * warm + sky * cool) + shine * warm + 0.15 * rim * (0.35 + colour)
    return (1 - torch.exp(-1.65 * lit)) ** (1 / 2.2)  # a soft shoulder, so that nothing burns out


def _occlusion(scene: _Scene, bird: int, front: Tensor, points: Tensor, normal: Tensor) -> Tensor:
    """Return how much of the sky the bird's own large pieces hide from each point, (points,) in [0, 1)."""
    ball_map, away_map = scene.blockers[bird]  # (pieces * 3, 4) each, x of all pieces first
    x, y, z = _affine(ball_map, points)
    distance = (x * x + y * y + z * z).sqrt()  # (pieces, points), 1 on the piece's surface
    x, y, z = _affine(away_map, points)
    facing = (x * normal[0] + y * normal[1] + z * normal[2]) * torch.rsqrt(x * x + y * y + z * z + 1e-6)
    near = ((1.55 - distance) / 0.55).clamp(0, 1)
    other = scene.blocking[bird][:, None] != front
    return 0.38 * (near * near * (1 - facing) * other).amax(0)


def _affine(terms: Tensor, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Apply (pieces * 3, 4) affine maps to (3, points); returns x, y and z, (pieces, points) each."""
    x, y, z = torch.addmm(terms[:, 3:], terms[:, :3], points).unflatten(0, (3, -1))
    return x, y, z


def _draw(scene: _Scene, bird: int, size: int, supersample: int) -> tuple[Tensor, Tensor]:
    """Draw one bird: (3, size, size) picture and (1, size, size) mask."""
    fine = size * supersample
    picture = _backdrop(scene.backdrop[bird], size)
    mask = picture.new_zeros(1, size, size)
    top, left, front, depth = _hit(scene, bird, fine, supersample)
    if not front.numel():
        return picture, mask
    height, width = front.shape
    seen = (front.flatten() >= 0).nonzero()[:, 0]
    row, column = seen // width, seen % width
    points = torch.stack(
        [(column + (left + 0.5)) / fine - 0.5, 0.5 - (row + (top + 0.5)) / fine, depth.flatten()[seen]]
    )
    layers = picture.new_zeros(4, height * width)
    layers[:, seen] = torch.cat([_shade(scene, bird, front.flatten()[seen], points), torch.ones_like(points[:1])])
    small = F.avg_pool2d(layers.unflatten(1, (height, width))[None], supersample)[0]
    rows = slice(top // supersample, (top + height) // supersample)
    columns = slice(left // supersample, (left + width) // supersample)
    picture[:, rows, columns] = picture[:, rows, columns] * (1 - small[3:]) + small[:3]
    mask[:, rows, columns] = small[3:]
    return picture.clamp(0, 1), mask


def _map(scene: _Scene, bird: int, table: Tensor, fine: int) -> Tensor:
    """Look up what is in front at every ray, (1, fine, fine); 0 where there is no bird."""
    page = torch.zeros(1, fine, fine, dtype=torch.int64, device=scene.depth.device)
    top, left, front, _ = _hit(scene, bird, fine, 1)
    if front.numel():
        page[0, top : top + front.shape[0], left : left + front.shape[1]] = table[bird][front + 1]
    return page
