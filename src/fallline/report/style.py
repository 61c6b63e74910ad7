"""How a report looks: one column, one family of type, light and dark, on a screen, a phone and on paper."""

from fallline.report.svg import FONT, picture_style

_LIGHT = (
    "--page:#f1f4f6;--paper:#fff;--panel:#f4f7f9;--ink:#18202a;--muted:#576370;--hair:#dbe1e6;--line:#c3ccd4;"
    "--accent:#0069a6;--warm:#c0440a;--cell:0,105,166;--wrong:192,68,10;--soft:#e6f0f7;--warn:#fdf1e7"
)
_DARK = (
    "--page:#0b0e12;--paper:#12161b;--panel:#1b2128;--ink:#eaeff4;--muted:#9dabb8;--hair:#28313a;--line:#44505c;"
    "--accent:#5cb8ee;--warm:#ff9457;--cell:92,184,238;--wrong:255,148,87;--soft:#14283a;--warn:#2b1c12"
)
_MONO = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"

_SCREEN = f"""
:root{{color-scheme:light dark;{_LIGHT}}}
@media screen and (prefers-color-scheme:dark){{:root{{{_DARK}}}}}
*{{box-sizing:border-box}}
html{{-webkit-text-size-adjust:100%}}
body{{margin:0;background:var(--page);color:var(--ink);font:16px/1.55 {FONT};overflow-wrap:anywhere}}
main{{max-width:1060px;margin:0 auto;padding:0 24px 72px}}
a{{color:var(--accent)}}
:focus-visible{{outline:2px solid var(--accent);outline-offset:3px;border-radius:3px}}
.skip{{position:absolute;left:-999px}}.skip:focus{{left:16px;top:12px;background:var(--paper);padding:8px 14px;z-index:2}}
header{{padding:44px 0 0}}
.over{{margin:0 0 6px;color:var(--muted);font-size:13px;letter-spacing:.09em;text-transform:uppercase;font-weight:600}}
h1{{font-size:clamp(28px,5vw,42px);line-height:1.12;letter-spacing:-.022em;margin:0;font-weight:700}}
.from{{margin:8px 0 0;color:var(--muted);font-size:17px}}
nav{{position:sticky;top:0;z-index:1;margin:26px -24px 0;padding:0 24px;background:var(--page);
border-bottom:1px solid var(--hair)}}
nav ul{{list-style:none;display:flex;flex-wrap:nowrap;gap:22px;margin:0;padding:0;overflow-x:auto;scrollbar-width:none}}
nav a{{display:block;padding:11px 0;color:var(--muted);text-decoration:none;font-size:14px;white-space:nowrap}}
nav a:hover{{color:var(--accent)}}
section{{padding-top:20px;scroll-margin-top:40px}}
h2{{font-size:23px;line-height:1.25;letter-spacing:-.014em;margin:34px 0 6px;font-weight:680}}
h3{{font-size:16px;margin:26px 0 8px;font-weight:650}}
p{{margin:0 0 14px;max-width:72ch}}section>p{{color:var(--muted)}}
.card,.picture{{background:var(--paper);border:1px solid var(--hair);border-radius:12px}}
.card{{padding:18px 22px;margin:14px 0}}
.hero{{padding:26px 28px 22px;margin:24px 0 0}}
.score{{display:grid;grid-template-columns:minmax(210px,auto) 1fr;gap:12px 44px;align-items:center}}
.big{{font-size:clamp(46px,9vw,76px);line-height:1;letter-spacing:-.04em;font-weight:720;margin:0;
font-variant-numeric:tabular-nums;white-space:nowrap}}
.unit{{font-size:.5em;letter-spacing:0;font-weight:600;color:var(--muted);margin-left:.12em}}
.what{{margin:10px 0 0;color:var(--muted);font-size:15px;max-width:34ch}}
.versus{{display:grid;grid-template-columns:max-content 1fr max-content;gap:11px 14px;align-items:center;margin:0;
font-variant-numeric:tabular-nums;font-size:15px}}
.versus .bar{{height:16px}}.versus b{{text-align:right}}
.told{{grid-column:1/-1;margin:6px 0 0;font-size:17px;max-width:none}}
.tiles{{display:flex;flex-wrap:wrap;gap:14px 34px;margin:20px 0 0;padding:18px 0 0;border-top:1px solid var(--hair)}}
.tiles div{{min-width:84px}}.tiles dt{{color:var(--muted);font-size:13px}}
.tiles dd{{margin:0;font-size:19px;font-weight:620;font-variant-numeric:tabular-nums;letter-spacing:-.01em}}
.alert{{background:var(--warn);border:1px solid var(--hair);border-left:4px solid var(--warm);border-radius:8px;
padding:13px 18px;margin:16px 0 0}}
.alert p,.alert ul{{margin:0;max-width:none}}.alert li+li{{margin-top:5px}}.alert strong{{display:block}}
.bar{{display:block;position:relative;height:14px;min-width:120px;border-radius:3px;background:var(--panel)}}
.bar i{{position:absolute;top:0;bottom:0;left:0;border-radius:3px}}
.fill{{background:var(--accent)}}.fill.plain{{background:var(--line)}}
.whisker{{border-left:2px solid var(--ink);border-right:2px solid var(--ink);border-radius:0!important;
top:3px!important;bottom:3px!important;opacity:.75}}
.whisker:before{{content:"";position:absolute;left:0;right:0;top:calc(50% - 1px);height:2px;background:var(--ink)}}
dl.card{{display:grid;grid-template-columns:minmax(120px,max-content) 1fr;gap:9px 26px}}
dl.card dt{{color:var(--muted)}}dd{{margin:0;font-variant-numeric:tabular-nums}}
.charts{{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(280px,100%),1fr));gap:16px;margin:14px 0}}
.charts .picture:only-child{{max-width:400px}}
.picture{{margin:0;overflow:hidden;align-self:start}}.picture.wide{{margin:14px 0}}
.picture svg{{display:block;width:100%;height:auto}}
.wide{{overflow-x:auto}}.wide svg{{min-width:720px}}
figcaption{{padding:0 22px 16px;color:var(--muted);font-size:14.5px}}
.scroll{{overflow-x:auto;padding:8px 0}}
table{{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:14.5px;width:100%;overflow-wrap:break-word}}
caption{{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}}
th,td{{padding:7px 12px;text-align:left;border-bottom:1px solid var(--hair);vertical-align:top;font-weight:400}}
th:first-child,td:first-child{{padding-left:22px}}th:last-child,td:last-child{{padding-right:22px}}
tbody tr:last-child>*{{border-bottom:0}}tbody th{{font-weight:600}}
thead th{{color:var(--muted);font-weight:600;font-size:13px;vertical-align:bottom}}
.number{{text-align:right;white-space:nowrap}}
table.bars{{table-layout:auto}}table.bars td:nth-child(2){{width:55%}}table.bars th,table.bars td{{vertical-align:middle}}
table.confusion{{width:auto;margin:6px auto}}
.confusion td{{text-align:right;min-width:58px;border:2px solid var(--paper);border-radius:6px;
background:rgba(var(--wrong),calc(var(--share)*.8))}}
.confusion td.right{{background:rgba(var(--cell),calc(.06 + var(--share)*.34));font-weight:650}}
.confusion td.none{{color:var(--muted)}}.confusion tbody th{{text-align:right;border:0}}.confusion thead th{{text-align:right;border:0}}
table.rows td,table.rows th{{max-width:270px;min-width:64px}}table.rows td{{font-size:13.5px}}
.spark{{display:block;width:150px;height:34px}}.spark rect{{fill:var(--accent);opacity:.75}}
.muted{{color:var(--muted)}}small{{font-size:13px;color:var(--muted)}}
.parts{{display:flex;height:14px;gap:2px;width:150px;border-radius:3px;overflow:hidden;margin-bottom:4px}}
.parts i{{background:var(--accent)}}.parts i:nth-child(2){{opacity:.72}}.parts i:nth-child(3){{opacity:.5}}
.parts i:nth-child(n+4){{opacity:.32}}
ul{{margin:0;padding-left:20px}}.card li+li{{margin-top:6px}}
details{{margin:14px 0}}summary{{cursor:pointer;color:var(--accent);padding:6px 0;font-size:15px}}
.command p{{margin:12px 0 4px;color:var(--muted);font-size:14.5px}}
pre{{margin:0 0 10px;padding:13px 18px;background:var(--paper);border:1px solid var(--hair);border-radius:10px;
white-space:pre-wrap;font:14px/1.6 {_MONO}}}
footer{{margin-top:56px;padding-top:18px;border-top:1px solid var(--hair);color:var(--muted);font-size:13.5px}}
@media (prefers-reduced-motion:no-preference){{html{{scroll-behavior:smooth}}}}
@media (max-width:640px){{main{{padding:0 16px 48px}}nav{{margin:20px -16px 0;padding:0 16px}}
.hero{{padding:20px 18px}}.score{{grid-template-columns:1fr}}header{{padding-top:26px}}
dl.card{{grid-template-columns:1fr;gap:0}}dl.card dd{{margin-bottom:10px}}
.versus{{grid-template-columns:1fr max-content;gap:3px 12px}}.versus .bar{{grid-column:1/-1;grid-row:auto;margin-bottom:8px;order:0}}
.versus span:first-child{{grid-column:1}}th,td{{padding:7px 9px}}.card{{padding:14px 16px}}.scroll{{padding:6px 0}}
th:first-child,td:first-child{{padding-left:16px}}}}
"""

_PRINT = """
@page{size:A4;margin:15mm 14mm}
@media print{
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}
body{background:none;font-size:10pt;line-height:1.45}main{max-width:none;padding:0}
nav,.skip{display:none}header{padding:0}section{padding-top:0}
h1{font-size:24pt}h2{font-size:14pt;margin:16pt 0 4pt}h2,h3{break-after:avoid}
.big{font-size:44pt}.told{font-size:11pt}.from{font-size:11pt}.hero{padding:14pt 16pt}
.card,.picture{border-radius:6pt}.picture,.hero,.card:not(.scroll),.command,tr{break-inside:avoid}
.charts{grid-template-columns:repeat(3,1fr);gap:8pt}
.scroll,.wide{overflow:visible}.wide svg{min-width:0}
table{font-size:8.6pt}th,td{padding:3pt 5pt}table.rows th,table.rows td{min-width:0;font-size:7.6pt;padding:3pt 4pt}
thead{display:table-header-group}
details>summary{list-style:none;color:var(--muted)}details::details-content{content-visibility:visible;height:auto;
block-size:auto;display:block}
pre{font-size:8.6pt}footer{margin-top:18pt}
}
"""

STYLE = f"{_SCREEN.strip()}\n{_PRINT.strip()}\n{picture_style()}"
