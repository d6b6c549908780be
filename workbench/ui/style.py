"""How the panel looks: colours that everybody can tell apart, dash patterns, light and dark."""

from __future__ import annotations

BLUE, VERMILION, GREEN = "#0072B2", "#D55E00", "#009E73"  # of Okabe and Ito
LINES = ((BLUE, ""), (VERMILION, "7 3"), (GREEN, "2 3"))  # colour and dash pattern
MARK = "#CC79A7"

BRIGHT = {BLUE: "#56B4E9", VERMILION: "#E69F00", GREEN: "#2BC99A", MARK: MARK}  # on dark


def _rgb(colour: str) -> str:
    """A colour as browsers write it into a style."""
    return f"rgb({', '.join(str(int(colour[at : at + 2], 16)) for at in (1, 3, 5))})"


# bqplot gives all lines of a mark one dash pattern; here each has its own, found by its colour.
DASHES = "".join(
    f".wb-chart path.line[style*='{_rgb(colour)}']{{stroke-dasharray:{dash} !important}}"
    for colour, dash in LINES
    if dash
)
DARK = "".join(
    f"body[data-jp-theme-light='false'] .wb-chart path.line[style*='{_rgb(colour)}'],"
    f"body[data-jp-theme-light='false'] .wb-chart line[stroke='{colour}']"
    f"{{stroke:{bright} !important}}"
    for colour, bright in BRIGHT.items()
)

CSS = f"""<style>
.wb-panel {{color:var(--jp-ui-font-color1,#222);border:1px solid var(--jp-border-color2,#ccc);
 border-radius:4px;padding:8px 12px}}
.wb-panel a {{color:var(--jp-content-link-color,#0072B2);text-decoration:underline}}
.wb-panel a:focus-visible,.wb-panel button:focus-visible,.wb-panel input:focus-visible,
.wb-panel select:focus-visible,.wb-panel textarea:focus-visible,
.wb-panel .noUi-handle:focus-visible {{outline:3px solid {BLUE};outline-offset:2px}}
.wb-panel .widget-html,.wb-panel .widget-html-content {{line-height:1.45;height:auto}}
.wb-panel .widget-label {{color:var(--jp-ui-font-color1,#222)}}
.wb-card {{border:1px solid var(--jp-border-color2,#ccc);border-radius:4px;padding:6px 10px;
 margin:0 0 8px 0}}
.wb-step .widget-label {{position:absolute;width:1px;height:1px;overflow:hidden;
 clip-path:inset(50%)}}
.wb-muted {{color:var(--jp-ui-font-color2,#555)}}
.wb-bad {{color:var(--jp-error-color1,#b00)}}
.wb-said {{font-size:12px;overflow-wrap:anywhere;white-space:pre-wrap}}
.wb-pre {{margin:0;white-space:pre-wrap;overflow-wrap:anywhere;font-size:12px;line-height:1.4;
 font-family:var(--jp-code-font-family,monospace);color:var(--jp-content-font-color1,#222);
 background:var(--jp-layout-color2,#eee);padding:6px;max-height:260px;overflow:auto}}
.wb-bar {{display:inline-block;width:140px;height:10px;vertical-align:middle;margin:0 6px;
 border:1px solid var(--jp-border-color1,#888);background:var(--jp-layout-color1,#fff)}}
.wb-bar>i {{display:block;height:100%;background:{BLUE}}}
.wb-bar.wb-used>i {{background:repeating-linear-gradient(45deg,{VERMILION} 0 4px,#E69F00 4px 8px)}}
.wb-panel table.wb-now {{border-collapse:collapse;font-size:12px;margin:0 0 4px 0;
 font-variant-numeric:tabular-nums}}
.wb-panel table.wb-now td,.wb-panel table.wb-now th {{text-align:right;padding:1px 8px}}
.wb-panel table.wb-now th:first-child {{text-align:left}}
.wb-legend {{font-size:12px}}
.wb-chart .bqplot text,.wb-chart text {{fill:var(--jp-ui-font-color1,#222) !important;
 font-size:11px !important}}
.wb-chart .axis path,.wb-chart .axis line {{stroke:var(--jp-border-color1,#888) !important}}
.wb-chart .grid .tick line,.wb-chart .axis .tick line.grid {{stroke:var(--jp-border-color2,#ccc)}}
{DASHES}
{DARK}
</style>"""
