/** The rendezvous's page for people: totals with their units, polled from /api/stats. It names no node. */
import { webPage } from '../runtime/web-page.ts'

export const STATUS_PAGE = webPage({
  title: 'pilotgate rendezvous',
  pill: { text: 'connecting', kind: 'warn' },
  main: '<div id="numbers"></div>',
  footer:
    '<span>Totals only: no node is named here.</span><a href="metrics">metrics</a><a href="readyz">readyz</a><noscript>This page needs JavaScript; the metrics are the same as text.</noscript>',
  script: `
const SECTIONS = [
  ['Registry', [
    ['active_nodes', 'Nodes heard from within three minutes'],
    ['total_nodes', 'Node ids ever assigned'],
    ['total_trust_links', 'Pairs with trust'],
    ['networks', 'Networks'],
    ['connections', 'Open connections'],
    ['total_requests', 'Requests since the start'],
    ['refusals', 'Refused requests'],
    ['rate_limited', 'Requests over a rate limit'],
  ]],
  ['Beacon', [
    ['beacon_nodes', 'Nodes it could relay to'],
    ['punches', 'Hole punches arranged'],
    ['relayed_frames', 'Frames relayed'],
    ['relayed_bytes', 'Payload of these frames', bytes],
  ]],
]
const IDENTITY = [
  ['version', 'Version'],
  ['uptime_secs', 'Running for', age],
  ['tls_fingerprint', 'TLS fingerprint (SHA-256)'],
]
function bytes(value) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB']
  let unit = 0
  while (value >= 999.95 && unit < units.length - 1) { value /= 1000; unit++ }
  return (unit === 0 ? value : value.toFixed(1)) + ' ' + units[unit]
}
function age(seconds) {
  const parts = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']]
  const first = parts.findIndex(([size]) => seconds >= size)
  if (first < 0) return '0 s'
  return parts.slice(first, first + 2).map(([size, name], index) => Math.floor(seconds / size) % (index === 0 ? Infinity : parts[first][0] / size) + ' ' + name).join(' ')
}
function element(name, text, kind) {
  const made = document.createElement(name)
  if (text !== undefined) made.textContent = text
  if (kind !== undefined) made.className = kind
  return made
}
function list(rows, numbers, kind) {
  const made = element('dl', undefined, kind)
  for (const [key, label, format] of rows) {
    if (numbers[key] === undefined || numbers[key] === null) continue
    const value = numbers[key]
    const text = format ? format(value) : typeof value === 'number' ? value.toLocaleString() : value
    made.append(element('dt', label), element('dd', text, key === 'tls_fingerprint' ? 'mono' : undefined))
  }
  return made
}
async function show() {
  const state = document.getElementById('state')
  try {
    const numbers = await (await fetch('api/stats', { cache: 'no-store' })).json()
    const parts = SECTIONS.flatMap(([title, rows]) => [element('h2', title), list(rows, numbers)])
    document.getElementById('numbers').replaceChildren(...parts, element('h2', 'This rendezvous'), list(IDENTITY, numbers, 'wide'))
    state.textContent = numbers.healthy ? 'up' : 'the store refuses writes'
    state.className = 'pill ' + (numbers.healthy ? 'good' : 'bad')
  } catch {
    state.textContent = 'does not answer'
    state.className = 'pill bad'
  }
  setTimeout(show, 5000)
}
show()
`,
})
