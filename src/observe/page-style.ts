/** The style of the dashboard: light or dark like the browser, from 360 px upwards. */

export const PAGE_STYLE = `
:root {
  --bg: #f6f7f9; --card: #fff; --line: #e3e6eb; --text: #1a1f29; --soft: #5d6675; --blue: #3b5bdb; --teal: #0b7f75;
  --good: #1f7a3f; --good-bg: #e2f4e7; --warn: #8a5300; --warn-bg: #fdf0d5; --bad: #b3261e; --bad-bg: #fde7e5;
}
@media (prefers-color-scheme: dark) {
  :root {
    --bg: #11141a; --card: #1a1f28; --line: #2b323e; --text: #e7eaf0; --soft: #9aa4b4; --blue: #8aa2ff; --teal: #4fd1c2;
    --good: #7ddc9b; --good-bg: #17331f; --warn: #f3c06b; --warn-bg: #3a2b10; --bad: #ff9c93; --bad-bg: #401b18;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--bg); color: var(--text); font: 15px/1.45 system-ui, -apple-system, "Segoe UI", sans-serif; font-variant-numeric: tabular-nums; }
header, main, footer, .alert { max-width: 1120px; margin: 0 auto; padding: 0 20px; }
header { display: flex; align-items: center; justify-content: space-between; gap: 16px; padding-top: 24px; padding-bottom: 16px; }
.who { min-width: 0; }
h1 { font-size: 24px; line-height: 1.2; margin: 0; letter-spacing: -.01em; overflow-wrap: anywhere; }
h2 { font-size: 13px; font-weight: 600; color: var(--soft); margin: 0 0 8px; }
p { margin: 0; }
.mono, td.mono, dd.mono { font-family: ui-monospace, "SF Mono", Menlo, Consolas, monospace; font-size: 13px; overflow-wrap: anywhere; }
#address { color: var(--soft); }
.pill { display: inline-block; white-space: nowrap; padding: 2px 10px; border-radius: 999px; font-size: 13px; font-weight: 600; background: var(--line); color: var(--soft); }
.pill.good { background: var(--good-bg); color: var(--good); }
.pill.warn { background: var(--warn-bg); color: var(--warn); }
.pill.bad { background: var(--bad-bg); color: var(--bad); }
.alert { background: var(--bad-bg); color: var(--bad); border-radius: 10px; padding: 10px 14px; margin-bottom: 16px; max-width: 1080px; white-space: pre-wrap; overflow-wrap: anywhere; }
section { margin-bottom: 24px; }
.tiles { display: grid; grid-template-columns: repeat(4, minmax(0, 1fr)); gap: 12px; }
.tile, .card { background: var(--card); border: 1px solid var(--line); border-radius: 12px; }
.tile { padding: 14px 16px; display: flex; flex-direction: column; }
.tile h2 { margin: 0; }
.tile b { font-size: 24px; font-weight: 650; letter-spacing: -.02em; }
.tile small { color: var(--soft); font-size: 13px; margin-top: auto; }
.tile svg { width: 100%; height: 32px; margin: 2px 0 6px; display: block; }
.in { color: var(--blue); } .out { color: var(--teal); }
path.line { fill: none; stroke: currentColor; stroke-width: 1.5; vector-effect: non-scaling-stroke; stroke-linejoin: round; }
path.area { fill: currentColor; opacity: .14; }
.card { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: 9px 14px; border-bottom: 1px solid var(--line); vertical-align: middle; }
th, th.mono { font-family: inherit; font-size: 12px; font-weight: 600; color: var(--soft); white-space: nowrap; }
tr:last-child td { border-bottom: 0; }
th.num, td.num { text-align: right; white-space: nowrap; }
.empty, .more { padding: 12px 14px; color: var(--soft); }
.more { border-top: 1px solid var(--line); font-size: 13px; }
dl { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 6px 16px; display: grid; grid-template-columns: max-content minmax(0, 1fr); column-gap: 24px; }
dt, dd { padding: 6px 0; margin: 0; }
dt { color: var(--soft); }
footer { display: flex; gap: 16px; color: var(--soft); font-size: 13px; padding-bottom: 32px; }
footer span { margin-right: auto; }
a { color: var(--blue); text-decoration: none; }
a:hover { text-decoration: underline; }
a:focus-visible { outline: 2px solid var(--blue); outline-offset: 2px; border-radius: 3px; }
.stale main { opacity: .5; }
@media (max-width: 820px) { .tiles { grid-template-columns: repeat(2, minmax(0, 1fr)); } }
@media (max-width: 640px) {
  header, main, footer { padding-left: 14px; padding-right: 14px; }
  .alert { margin-left: 14px; margin-right: 14px; }
  .tile { padding: 12px; }
  .tile b { font-size: 20px; }
  thead { display: none; }
  table, tbody { display: block; }
  tr { display: grid; grid-template-columns: 1fr 1fr; gap: 6px 14px; padding: 12px 14px; border-bottom: 1px solid var(--line); }
  tr:last-child { border-bottom: 0; }
  td, td.num { display: block; padding: 0; border: 0; text-align: left; min-width: 0; }
  td::before { content: attr(data-label); display: block; font: 12px/1.3 system-ui, sans-serif; color: var(--soft); }
  td.main { grid-column: 1 / -1; font-weight: 600; }
  td.main::before { display: none; }
  td.wide { grid-column: 1 / -1; }
  .pill { white-space: normal; overflow-wrap: anywhere; }
  .log tr { display: flex; flex-wrap: wrap; align-items: baseline; gap: 2px 10px; padding: 8px 14px; }
  .log td { color: var(--soft); font-size: 13px; }
  .log td.main { color: var(--text); font-size: 15px; }
  .log td::before { display: none; }
  .log td.num::before { display: inline; font: inherit; content: attr(data-label) " "; }
  dl { grid-template-columns: minmax(0, 1fr); padding: 10px 14px; }
  dt { padding: 4px 0 0; font-size: 12px; }
  dd { padding: 0 0 4px; }
}
`
