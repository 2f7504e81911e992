// The page's only style, and the policy that allows it: no script, no request, no frame around it.
import { createHash } from 'node:crypto';

/** Contrast of each pair of text and ground is 4.5 or more (WCAG AA), in both schemes; test/browser sees to it. */
export const STYLE = `
:root{color-scheme:light dark;--ground:#fff;--raised:#f6f8fa;--line:#d1d9e0;--text:#1f2328;--soft:#57606a;--link:#0550ae;
--ok:#116329;--ok-ground:#dafbe1;--warn:#7d4e00;--warn-ground:#fff8c5;--bad:#a40e26;--bad-ground:#ffebe9;--bar:#2f81f7;--bar-ok:#2da44e;--bar-rest:#d4a72c}
@media (prefers-color-scheme:dark){:root{--ground:#0d1117;--raised:#161b22;--line:#30363d;--text:#e6edf3;--soft:#9ea7b3;--link:#79b8ff;
--ok:#7ee787;--ok-ground:#0f2d1a;--warn:#f2cc60;--warn-ground:#2e2405;--bad:#ffa198;--bad-ground:#3d1214;--bar:#58a6ff;--bar-ok:#3fb950;--bar-rest:#d29922}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--ground);color:var(--text);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans",sans-serif;font-variant-numeric:tabular-nums}
a{color:var(--link);text-underline-offset:.15em}
:focus-visible{outline:3px solid var(--link);outline-offset:2px;border-radius:3px}
.skip{position:absolute;left:-99rem}
.skip:focus{left:1rem;top:.5rem;background:var(--ground);padding:.5rem 1rem;z-index:1}
header,main,footer{max-width:76rem;margin:0 auto;padding:0 1.25rem}
header{display:flex;flex-wrap:wrap;gap:.25rem 1.5rem;align-items:baseline;padding-top:1rem;padding-bottom:.75rem}
header p{margin:0;color:var(--soft);font-size:.87rem}
header .name{font-weight:600;font-size:1.06rem;color:var(--text)}
header nav{margin-left:auto;font-size:.87rem}
nav ul{display:flex;flex-wrap:wrap;gap:.25rem 1rem;list-style:none;margin:0;padding:0}
h1{font-size:1.35rem;line-height:1.3;margin:0;overflow-wrap:anywhere}
h2{font-size:1.06rem;margin:2rem 0 .5rem}
p{margin:.4rem 0}
.soft{color:var(--soft)}
.note{color:var(--soft);font-size:.87rem;max-width:60rem}
.verdict{border:1px solid var(--line);border-left-width:6px;border-radius:6px;padding:.8rem 1rem;background:var(--raised)}
.verdict p{margin:.3rem 0 0}
.verdict.ok{border-left-color:var(--bar-ok);background:var(--ok-ground)}.verdict.ok h1{color:var(--ok)}
.verdict.attention{border-left-color:var(--bar-rest);background:var(--warn-ground)}.verdict.attention h1{color:var(--warn)}
.verdict.failing{border-left-color:var(--bad);background:var(--bad-ground)}.verdict.failing h1{color:var(--bad)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.75rem;margin:.9rem 0 0;padding:0}
.tiles div{border:1px solid var(--line);border-radius:6px;padding:.55rem .8rem;background:var(--raised)}
dt{color:var(--soft);font-size:.8rem}
.tiles dd{margin:0;font-size:1.35rem;font-weight:600;line-height:1.3}
.tiles dd small{display:block;font-size:.8rem;font-weight:400;color:var(--soft)}
.scroll{overflow-x:auto;border:1px solid var(--line);border-radius:6px}
table{border-collapse:collapse;width:100%;font-size:.9rem}
caption{text-align:left;padding:.45rem .8rem;color:var(--soft);font-size:.87rem;border-bottom:1px solid var(--line)}
th,td{text-align:left;vertical-align:top;padding:.38rem .8rem;border-top:1px solid var(--line)}
thead th{border-top:0;background:var(--raised);font-size:.8rem;font-weight:600;color:var(--soft);white-space:nowrap}
tbody th{font-weight:500}
tbody tr:hover{background:var(--raised)}
td.text,th.text{min-width:13rem;overflow-wrap:anywhere}
th.name{min-width:8rem;max-width:26rem;overflow-wrap:anywhere}
td.wide{min-width:13rem}
.number{text-align:right;white-space:nowrap}
.time{white-space:nowrap}
code{font:.87em ui-monospace,SFMono-Regular,Menlo,"Liberation Mono",monospace;overflow-wrap:anywhere}
.state{white-space:nowrap;font-weight:600}
.state.ok{color:var(--ok)}.state.attention{color:var(--warn)}.state.failing{color:var(--bad)}.state.unknown{color:var(--soft);font-weight:400}
.share{display:block;width:7rem;height:.5rem;margin-top:.45rem;border-radius:2px}
.share rect{fill:var(--bar-rest)}.share .done{fill:var(--bar-ok)}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(15rem,1fr));gap:.75rem;margin:0}
figure{margin:0;border:1px solid var(--line);border-radius:6px;padding:.55rem .8rem;background:var(--raised)}
figcaption{display:flex;justify-content:space-between;gap:1rem;font-size:.87rem;color:var(--soft)}
figcaption strong{color:var(--text)}
.chart{display:block;width:100%;height:3.2rem;margin-top:.35rem;border-bottom:1px solid var(--line)}
.chart rect{fill:var(--bar)}
.axis{display:flex;justify-content:space-between;font-size:.75rem;color:var(--soft);margin:.15rem 0 0}
details{margin-top:.75rem}
summary{cursor:pointer;font-size:.9rem;color:var(--link);padding:.2rem 0}
.pager{margin:.6rem 0;font-size:.9rem}
.filters{margin:.4rem 0 .8rem;font-size:.9rem}
.filters [aria-current]{font-weight:600;color:var(--text);text-decoration:none}
footer{margin-top:2.5rem;padding-top:.8rem;padding-bottom:2rem;border-top:1px solid var(--line);color:var(--soft);font-size:.87rem}
@media (max-width:40rem){header,main,footer{padding-left:.8rem;padding-right:.8rem}header nav{margin-left:0}}
@media (forced-colors:active){.share rect,.chart rect{fill:CanvasText}.share .done{fill:Highlight}}
@media print{.skip,nav{display:none}}
`;

const STYLE_HASH = createHash('sha256').update(STYLE).digest('base64');

/** Headers of the page. A link that is followed from it tells nobody where it came from. */
export const STATUS_HEADERS: Record<string, string> = {
  'content-security-policy': `default-src 'none'; style-src 'sha256-${STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
};
