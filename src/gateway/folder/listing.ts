/** The page that lists a folder. Loads nothing, runs nothing; names are text, never HTML. */
import { escapeHtml } from '../../runtime/web-page.ts'
import type { Entry } from './confine.ts'

/** Folders first, then by name. @param path of the URL, decoded, with a slash at its end. */
export function listingPage(path: string, entries: readonly Entry[], isCut: boolean): string {
  const rows = sorted(entries).map(({ name, isFolder, bytes, modifiedMs }) => {
    const href = `./${encodeURIComponent(name)}${isFolder ? '/' : ''}`
    const size = isFolder ? '' : sizeOf(bytes)
    return `<tr><td><a href="${href}">${escapeHtml(name)}${isFolder ? '/' : ''}</a></td><td class="num">${size}</td><td class="num">${when(modifiedMs)}</td></tr>`
  })
  const up = path === '/' ? '' : '<tr><td><a href="../">../</a></td><td></td><td></td></tr>'
  const rest = isCut ? `<p>Only the first ${entries.length} entries are shown.</p>` : ''
  const empty = entries.length === 0 ? '<p>This folder is empty.</p>' : ''
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escapeHtml(path)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>${escapeHtml(path)}</h1>
<table>
<thead><tr><th>Name</th><th class="num">Size</th><th class="num">Changed (UTC)</th></tr></thead>
<tbody>
${[up, ...rows].filter((row) => row !== '').join('\n')}
</tbody>
</table>
${empty}${rest}</main>
</body>
</html>
`
}

/** The same for programs. */
export function listingRecord(entries: readonly Entry[], isCut: boolean): object {
  return {
    entries: sorted(entries).map(({ name, isFolder, bytes, modifiedMs }) => ({
      name,
      type: isFolder ? 'folder' : 'file',
      ...(!isFolder && { bytes }),
      modified: new Date(modifiedMs).toISOString(),
    })),
    complete: !isCut,
  }
}

function sorted(entries: readonly Entry[]): Entry[] {
  return [...entries].sort((a, b) => Number(b.isFolder) - Number(a.isFolder) || ORDER.compare(a.name, b.name))
}

function sizeOf(bytes: number): string {
  const unit = Math.min(Math.floor(Math.log10(Math.max(bytes, 1)) / 3), UNITS.length - 1)
  return `${unit === 0 ? bytes : (bytes / 1000 ** unit).toFixed(1)} ${UNITS[unit]}`
}

function when(ms: number): string {
  return new Date(ms).toISOString().slice(0, 16).replace('T', ' ')
}

const ORDER = new Intl.Collator('en', { numeric: true, sensitivity: 'base' })
const UNITS = ['B', 'kB', 'MB', 'GB', 'TB']
const STYLE = `:root{color-scheme:light dark}body{margin:0;font:16px/1.5 system-ui,sans-serif;color:light-dark(#1c2024,#e6e8eb);background:light-dark(#fff,#15181b)}main{max-width:56rem;margin:0 auto;padding:2rem 1rem}h1{font-size:1.25rem;overflow-wrap:anywhere}table{width:100%;border-collapse:collapse}th{font-weight:600;text-align:left;font-size:.875rem}th,td{padding:.375rem .5rem;border-bottom:1px solid light-dark(#e3e6e9,#2c3136)}td:first-child{overflow-wrap:anywhere}.num{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums;color:light-dark(#5a6169,#9aa2aa)}a{color:light-dark(#1f4fd8,#8fb0ff);text-decoration:none}a:hover{text-decoration:underline}@media(max-width:32rem){th:last-child,td:last-child{display:none}}`
