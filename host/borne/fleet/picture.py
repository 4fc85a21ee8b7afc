"""The fleet as a map: one HTML file that needs nothing but itself, and asks no server for anything."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from borne.errors import ListError
from borne.fleet.registry.nodes import Standing

# Colours that people who see no red or no green tell apart (Okabe and Ito, 2008), by how far the node is.
COLOURS: Final = {
    "planned": "#999999",
    "flashed": "#e69f00",
    "provisioned": "#56b4e9",
    "joined": "#0072b2",
    "seen": "#009e73",
}
_OUTDATED: Final = "#d55e00"
_WIDTH: Final = 1000.0
_MOST_HEIGHT: Final = 1400.0
_MARGIN: Final = 0.05
_LEAST_DEGREES: Final = 0.002  # some 200 m: a single lamp stands in its street, and not in a void
_GRID: Final = (1, 2, 5)
# So many points lie over each other; rims would hide them.
_MANY: Final = 2000


def page(standings: Iterable[Standing], background: Path | None = None) -> str:
    """The map as HTML with inline SVG; `background`: a GeoJSON of streets or outlines. Raises ListError."""
    placed = [(one, *_place(one)) for one in standings if one.asset.latitude is not None]
    if not placed:
        raise ListError("map: no asset has a latitude and longitude")
    frame = _Frame([(latitude, longitude) for _, latitude, longitude in placed])
    lines = _background(background, frame) if background else ""
    points = "".join(_point(one, *frame.at(latitude, longitude)) for one, latitude, longitude in placed)
    return _PAGE.format(
        width=round(_WIDTH),
        height=round(frame.height),
        many="many" if len(placed) > _MANY else "",
        grid=frame.grid(),
        lines=lines,
        points=points,
        legend="".join(_legend(placed)),
        style=_STYLE,
        script=_SCRIPT,
    )


def _place(one: Standing) -> tuple[float, float]:
    assert one.asset.latitude is not None and one.asset.longitude is not None
    return one.asset.latitude, one.asset.longitude


class _Frame:
    """From degrees to the picture: equirectangular about the middle, true in a town."""

    def __init__(self, places: list[tuple[float, float]]) -> None:
        south, north = _span([place[0] for place in places])
        west, east = _span([place[1] for place in places])
        self._narrowing = max(math.cos(math.radians((south + north) / 2)), 0.01)
        self._west, self._north = west, north
        self._scale = min(_WIDTH / ((east - west) * self._narrowing), _MOST_HEIGHT / max(north - south, 1e-9))
        self.height = (north - south) * self._scale
        self._shift = (_WIDTH - (east - west) * self._narrowing * self._scale) / 2

    def at(self, latitude: float, longitude: float) -> tuple[float, float]:
        x = (longitude - self._west) * self._narrowing * self._scale + self._shift
        return round(x, 1), round((self._north - latitude) * self._scale, 1)

    def grid(self) -> str:
        """Lines at round metres, and the bar that says how many."""
        metres = 111_195 * _WIDTH / self._scale / 8
        power = 10 ** math.floor(math.log10(metres))
        step = max(one * power for one in (*_GRID, 10) if one * power <= metres)
        size = step / 111_195 * self._scale
        # Beyond the picture too, for windows that are wider or higher than it.
        across = "".join(
            f'<path d="M{n * size:.1f} {-self.height:.1f}V{2 * self.height:.1f}"/>'
            for n in range(-math.ceil(_WIDTH / size), math.ceil(2 * _WIDTH / size))
        )
        down = "".join(
            f'<path d="M{-_WIDTH:.0f} {n * size:.1f}H{2 * _WIDTH:.0f}"/>'
            for n in range(-math.ceil(self.height / size), math.ceil(2 * self.height / size))
        )
        label = f"{step / 1000:g} km" if step >= 1000 else f"{step:g} m"
        bar = f'<path class="bar" d="M20 {self.height - 20:.1f}h{size:.1f}"/>'
        return (
            f'<g class="grid">{across}{down}</g>{bar}<text x="20" y="{self.height - 28:.1f}">{label}</text>'
        )


def _span(values: list[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    more = max((high - low) * _MARGIN, (_LEAST_DEGREES - (high - low)) / 2)
    return low - more, high + more


def _point(one: Standing, x: float, y: float) -> str:
    says = [one.asset.asset, one.asset.kind, one.state + (", to be told anew" if one.is_outdated else "")]
    says += [text for text in (one.asset.street, one.asset.site, one.dev_eui and one.dev_eui.upper()) if text]
    colour = _OUTDATED if one.is_outdated else COLOURS.get(one.state, COLOURS["planned"])
    title = html.escape("\n".join(says))
    return f'<circle cx="{x}" cy="{y}" r="5" fill="{colour}"><title>{title}</title></circle>\n'


def _legend(placed: list[tuple[Standing, float, float]]) -> Iterator[str]:
    for state, colour in COLOURS.items():
        count = sum(one.state == state and not one.is_outdated for one, _, _ in placed)
        if count:
            yield f'<li><i style="background:{colour}"></i>{state} <b>{count}</b></li>'
    outdated = sum(one.is_outdated for one, _, _ in placed)
    if outdated:
        yield f'<li><i style="background:{_OUTDATED}"></i>to be told anew <b>{outdated}</b></li>'


def _background(path: Path, frame: _Frame) -> str:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ListError(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise ListError(f"{path}: is no GeoJSON") from None
    try:
        paths = "".join(_path(line, frame) for line in _lines(content))
    except (TypeError, ValueError, KeyError, IndexError):
        raise ListError(f"{path}: is no GeoJSON of lines and polygons in degrees") from None
    if not paths:
        raise ListError(f"{path}: holds no lines or polygons")
    return f'<g class="streets">{paths}</g>'


def _lines(content: Any) -> Iterator[list[list[float]]]:
    """The lines and rings of any GeoJSON object (RFC 7946, 3.1)."""
    kind = content["type"]
    if kind == "FeatureCollection":
        for feature in content["features"]:
            yield from _lines(feature)
    elif kind == "Feature":
        if content["geometry"] is not None:
            yield from _lines(content["geometry"])
    elif kind == "GeometryCollection":
        for geometry in content["geometries"]:
            yield from _lines(geometry)
    elif kind == "LineString":
        yield content["coordinates"]
    elif kind in ("MultiLineString", "Polygon"):
        yield from content["coordinates"]
    elif kind == "MultiPolygon":
        for polygon in content["coordinates"]:
            yield from polygon


def _path(line: list[list[float]], frame: _Frame) -> str:
    points = [frame.at(float(place[1]), float(place[0])) for place in line]
    return '<path d="M' + "L".join(f"{x} {y}" for x, y in points) + '"/>\n'


_STYLE: Final = """\
body{margin:0;font:14px system-ui,sans-serif;background:#f4f4f0;color:#222}
svg{--r:5;display:block;width:100%;height:100vh;cursor:grab;touch-action:none}
.grid path{stroke:#dcdcd4;stroke-width:1;vector-effect:non-scaling-stroke}
.bar{stroke:#222;stroke-width:3}.streets path{fill:none;stroke:#b9b9ae;stroke-width:2;vector-effect:non-scaling-stroke}
circle{r:calc(var(--r)*1px);stroke:#fff;stroke-width:1;vector-effect:non-scaling-stroke}
.many circle{stroke:none}text{font-size:14px}
ul{position:fixed;top:8px;left:8px;margin:0;padding:8px 12px;background:#fffd;list-style:none;border-radius:4px}
i{display:inline-block;width:10px;height:10px;border-radius:5px;margin-right:6px}
@media print{svg{height:auto}}
"""
# Wheel zooms about the pointer, dragging moves; without it the map stands still and is whole.
_SCRIPT: Final = """\
const s=document.querySelector('svg');let v=s.getAttribute('viewBox').split(' ').map(Number),from=null;
const size=s.classList.contains('many')?3:6,show=()=>{s.setAttribute('viewBox',v.join(' '));
s.style.setProperty('--r',size/s.getScreenCTM().a)};
addEventListener('resize',show);show();
const at=e=>{const p=new DOMPoint(e.clientX,e.clientY).matrixTransform(s.getScreenCTM().inverse());return p};
s.addEventListener('wheel',e=>{e.preventDefault();const p=at(e),k=e.deltaY>0?1.2:1/1.2;
v=[p.x-(p.x-v[0])*k,p.y-(p.y-v[1])*k,v[2]*k,v[3]*k];show()},{passive:false});
s.addEventListener('pointerdown',e=>{from=at(e);s.setPointerCapture(e.pointerId)});
s.addEventListener('pointermove',e=>{if(from){const p=at(e);v[0]+=from.x-p.x;v[1]+=from.y-p.y;show()}});
s.addEventListener('pointerup',()=>{from=null});
"""
_PAGE: Final = """\
<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>borne fleet</title>
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none';style-src 'unsafe-inline';script-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width"><style>{style}</style></head>
<body><svg class="{many}" viewBox="0 0 {width} {height}" role="img" aria-label="Map of the fleet">
{grid}{lines}{points}</svg><ul>{legend}</ul><script>{script}</script></body></html>
"""
