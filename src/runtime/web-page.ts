/**
 * The frame of the pages that we show to people: the HTTP front's own pages and errors, and the rendezvous's status. It
 * loads nothing from elsewhere, follows the browser's light or dark mode, and fits a phone. The dashboard has its own
 * style, with the same colours.
 */

export interface WebPage {
  readonly title: string
  /** HTML between the header and the footer; every text in it escaped. */
  readonly main: string
  /** What we are, and a word on our state. */
  readonly pill?: { readonly text: string; readonly kind: 'good' | 'warn' | 'bad' }
  readonly footer?: string // HTML
  readonly script?: string
}

export function webPage({ title, main, pill, footer = '', script }: WebPage): string {
  const state =
    pill === undefined ? '' : `<p id="state" class="pill ${pill.kind}" role="status">${escapeHtml(pill.text)}</p>`
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escapeHtml(title)}</title>
<link rel="icon" href="data:,">
<style>${STYLE}</style>
</head>
<body>
<header><h1>${escapeHtml(title)}</h1>${state}</header>
<main>${main}</main>
<footer>${footer}</footer>
${script === undefined ? '' : `<script>${script}</script>\n`}</body>
</html>
`
}

/** For text and for attributes. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (char) => ENTITIES[char]!)
}

/** Nothing from elsewhere, no frame around it, no guessing of types. `script`: the page has one of its own. */
export function webHeaders(script: boolean): Readonly<Record<string, string>> {
  return {
    'Cache-Control': 'no-store',
    'Content-Security-Policy': `default-src 'none'; style-src 'unsafe-inline'; img-src data:;${script ? " script-src 'unsafe-inline'; connect-src 'self';" : ''} base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
  }
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

const STYLE = `
:root { --bg: #f6f7f9; --card: #fff; --line: #e3e6eb; --text: #1a1f29; --soft: #5d6675; --blue: #3b5bdb; --good: #1f7a3f; --good-bg: #e2f4e7; --warn: #8a5300; --warn-bg: #fdf0d5; --bad: #b3261e; --bad-bg: #fde7e5; }
@media (prefers-color-scheme: dark) { :root { --bg: #11141a; --card: #1a1f28; --line: #2b323e; --text: #e7eaf0; --soft: #9aa4b4; --blue: #8aa2ff; --good: #7ddc9b; --good-bg: #17331f; --warn: #f3c06b; --warn-bg: #3a2b10; --bad: #ff9c93; --bad-bg: #401b18; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 760px; padding: 0 20px; background: var(--bg); color: var(--text); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; font-variant-numeric: tabular-nums; }
header { display: flex; align-items: center; justify-content: space-between; gap: 16px; padding: 28px 0 16px; }
h1 { font-size: 22px; line-height: 1.25; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 13px; font-weight: 600; color: var(--soft); margin: 24px 0 8px; }
p { margin: 0 0 12px; overflow-wrap: anywhere; }
.soft { color: var(--soft); }
.mono, code { font-family: ui-monospace, "SF Mono", Menlo, Consolas, monospace; font-size: 13px; overflow-wrap: anywhere; }
.pill { display: inline-block; white-space: nowrap; margin: 0; padding: 2px 10px; border-radius: 999px; font-size: 13px; font-weight: 600; background: var(--line); color: var(--soft); }
.pill.good { background: var(--good-bg); color: var(--good); }
.pill.warn { background: var(--warn-bg); color: var(--warn); }
.pill.bad { background: var(--bad-bg); color: var(--bad); }
ul.list { list-style: none; margin: 0; padding: 0; }
ul.list, .card, dl { background: var(--card); border: 1px solid var(--line); border-radius: 12px; }
.card { padding: 14px 16px; }
.card p:last-child { margin: 0; }
ul.list li { display: flex; align-items: center; justify-content: space-between; gap: 16px; padding: 12px 16px; border-bottom: 1px solid var(--line); }
ul.list li:last-child { border-bottom: 0; }
ul.list a { font-weight: 600; }
ul.list small { display: block; color: var(--soft); font-size: 13px; overflow-wrap: anywhere; }
dl { margin: 0; padding: 6px 16px; display: grid; grid-template-columns: minmax(0, 1fr) auto; column-gap: 24px; }
dl.wide { grid-template-columns: max-content minmax(0, 1fr); }
dt, dd { padding: 6px 0; margin: 0; }
dt { color: var(--soft); }
dl:not(.wide) dd { text-align: right; }
@media (max-width: 560px) { dl.wide { grid-template-columns: minmax(0, 1fr); } dl.wide dt { padding-bottom: 0; } dl.wide dd { padding-top: 0; } }
a { color: var(--blue); text-decoration: none; overflow-wrap: anywhere; }
a:hover { text-decoration: underline; }
a:focus-visible { outline: 2px solid var(--blue); outline-offset: 2px; border-radius: 3px; }
footer { display: flex; flex-wrap: wrap; gap: 4px 16px; color: var(--soft); font-size: 13px; padding: 24px 0 32px; }
`
