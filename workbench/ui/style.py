"""How the panel looks: colours that everybody can tell apart, dash patterns, light and dark."""

from __future__ import annotations

BLUE, VERMILION, GREEN = "#0072B2", "#D55E00", "#009E73"  # of Okabe and Ito
LINES = ((BLUE, ""), (VERMILION, "7 3"), (GREEN, "2 3"))  # colour and dash pattern
MARK = "#CC79A7"

BRIGHT = ("#56B4E9", "#E69F00", "#2BC99A")  # of the same lines on dark

STROKES = "".join(
    f".wb-l{i}{{stroke:{colour};stroke-dasharray:{dash or 'none'}}}"
    f"body[data-jp-theme-light='false'] .wb-l{i}{{stroke:{bright}}}"
    for i, ((colour, dash), bright) in enumerate(zip(LINES, BRIGHT, strict=True))
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
.wb-tail {{display:flex;flex-direction:column-reverse;max-height:300px;overflow:auto}}
.wb-tail .wb-pre {{max-height:none;overflow:visible}}
.wb-bar {{display:inline-block;width:140px;height:10px;vertical-align:middle;margin:0 6px;
 border:1px solid var(--jp-border-color1,#888);background:var(--jp-layout-color1,#fff)}}
.wb-bar>i {{display:block;height:100%;background:{BLUE}}}
.wb-bar.wb-used>i {{background:repeating-linear-gradient(45deg,{VERMILION} 0 4px,#E69F00 4px 8px)}}
.wb-panel table.wb-now {{border-collapse:collapse;font-size:12px;margin:0 0 4px 0;
 font-variant-numeric:tabular-nums}}
.wb-panel table.wb-now td,.wb-panel table.wb-now th {{text-align:right;padding:1px 8px}}
.wb-panel table.wb-now th:first-child {{text-align:left}}
.wb-legend {{font-size:12px}}
.wb-plot,.wb-x,.wb-x-name {{position:relative;margin:0 28px 0 46px}}
.wb-plot {{height:88px;margin-top:4px;margin-bottom:6px}}
.wb-plot svg {{width:100%;height:100%;overflow:visible;display:block}}
.wb-legend svg {{vertical-align:middle}}
.wb-plot path,.wb-legend line {{fill:none;stroke-width:2;vector-effect:non-scaling-stroke;
 stroke-linecap:round;stroke-linejoin:round}}
.wb-plot path.wb-grid {{stroke:var(--jp-border-color2,#ccc);stroke-width:1}}
.wb-plot path.wb-mark {{stroke:{MARK};stroke-width:1.5}}
.wb-plot i {{position:absolute;margin-left:3px;font:bold 11px/12px sans-serif;
 color:var(--jp-ui-font-color1,#222);background:var(--jp-layout-color1,#fff)}}
.wb-y {{position:absolute;right:100%;top:-7px;bottom:-7px;margin-right:5px;text-align:right;
 display:flex;flex-direction:column;justify-content:space-between;font-size:11px;line-height:14px}}
.wb-x {{display:flex;justify-content:space-between;font-size:11px;line-height:14px}}
.wb-x span {{width:0;display:flex;justify-content:center}}
.wb-x-name {{text-align:center;font-size:11px}}
{STROKES}
</style>"""
