/**
 * The script of the dashboard, as sent to the browser: polls /api/state every second while visible, and inserts values
 * as text, never as HTML, because names come from strangers.
 */

export const PAGE_SCRIPT = String.raw`'use strict'
const byId = (id) => document.getElementById(id)
const SVG_HEIGHT = 32, SVG_WIDTH = 120, HISTORY = 120, PERIOD_MS = 1000

function bytes (value) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let unit = 0
  while (value >= 999.5 && unit < units.length - 1) { value /= 1000; unit++ }
  return (unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)) + ' ' + units[unit]
}

function age (ms) {
  const s = Math.floor(ms / 1000)
  const parts = [[Math.floor(s / 86400), 'd'], [Math.floor(s / 3600) % 24, 'h'], [Math.floor(s / 60) % 60, 'min'], [s % 60, 's']]
  const first = parts.findIndex((part) => part[0] > 0)
  return first < 0 ? '0 s' : parts.slice(first, first + 2).filter((part, i) => i === 0 || part[0] > 0).map((part) => part.join(' ')).join(' ')
}

function element (name, className, text) {
  const node = document.createElement(name)
  if (className) node.className = className
  if (text !== undefined) node.textContent = text
  return node
}

/** A cell is a text, or {pill, kind}. */
function fill (cell, value) {
  if (typeof value !== 'object') { if (cell.textContent !== String(value)) cell.textContent = value; return }
  let pill = cell.firstElementChild
  if (!pill) { cell.textContent = ''; pill = cell.appendChild(element('span')) }
  pill.className = 'pill ' + value.kind
  if (pill.textContent !== value.pill) pill.textContent = value.pill
}

/** Rows are updated in place, so that text can be selected while numbers move. */
function table (id, columns, rows, total, empty) {
  const box = byId(id)
  if (rows.length === 0) {
    box.replaceChildren(Object.assign(element('div', 'card'), { textContent: '' }))
    box.firstChild.append(element('p', 'empty', empty))
    return
  }
  let body = box.querySelector('tbody')
  if (!body) {
    const card = element('div', 'card'), table = element('table'), head = element('tr')
    for (const column of columns) {
      const title = head.appendChild(element('th', column.kind, column.title))
      title.scope = 'col'
    }
    const thead = element('thead')
    thead.append(head)
    body = element('tbody')
    table.append(thead, body)
    card.append(table, element('p', 'more'))
    box.replaceChildren(card)
  }
  while (body.rows.length > rows.length) body.deleteRow(-1)
  rows.forEach((row, index) => {
    let line = body.rows[index]
    if (!line) {
      line = body.insertRow()
      for (const column of columns) {
        const cell = line.insertCell()
        cell.className = column.kind || ''
        cell.dataset.label = column.title
      }
    }
    columns.forEach((column, at) => fill(line.cells[at], column.of(row)))
  })
  const more = box.querySelector('.more')
  more.hidden = total <= rows.length
  more.textContent = 'and ' + (total - rows.length) + ' more'
}

const CAUSES = { peer_reset: 'reset by the peer', local_reset: 'reset here', stopped: 'stopped', failed: 'failed' }
const clock = (at) => new Date(at).toTimeString().slice(0, 8)
const who = (c) => c.label ? c.label + ' (' + c.peer + ')' : c.peer

const LIMITS = {
  connections: (n) => 'at most ' + n + ' open', connectionsPerPeer: (n) => n + ' per peer',
  newPerSecond: (n) => n + ' new per second', newPerSecondPerPeer: (n) => n + ' new per second and peer',
  bytesPerSecond: (n) => bytes(n) + '/s', bytesPerSecondPerPeer: (n) => bytes(n) + '/s per peer',
}

function terms (e) {
  const limits = Object.entries(e.limits || {}).map(([name, value]) => LIMITS[name] ? LIMITS[name](value) : name + ' ' + value)
  const ends = e.endsAt ? ['ends in ' + age(Math.max(0, Date.parse(e.endsAt) - Date.now()))] : []
  return [...ends, ...(e.once ? ['once'] : []), ...limits, ...(e.tickets ? [e.tickets + (e.tickets === 1 ? ' open ticket' : ' open tickets')] : [])].join(', ') || '–'
}

const STATES = { connected: 'good', connecting: 'warn', unreachable: 'bad', idle: '' }
const pathName = (path) => path.transport === 'tcp' ? path.kind + ' (tcp)' : path.kind
const COLUMNS = {
  peers: [
    { title: 'Peer', kind: 'main', of: (p) => p.hostname || p.address },
    { title: 'State', of: (p) => ({ pill: p.state, kind: STATES[p.state] }) },
    { title: 'Path', of: (p) => p.path ? pathName(p.path) : '–' },
    { title: 'Round trip', kind: 'num', of: (p) => p.path && p.path.rttMs !== null ? p.path.rttMs.toFixed(p.path.rttMs < 10 ? 2 : 1) + ' ms' : '–' },
    { title: 'Streams', kind: 'num', of: (p) => p.streams },
    { title: 'Received', kind: 'num', of: (p) => bytes(p.bytesIn) },
    { title: 'Sent', kind: 'num', of: (p) => bytes(p.bytesOut) },
    { title: 'Trust', of: (p) => p.trusted ? 'trusted' : 'not trusted' },
    { title: 'Endpoint', kind: 'mono wide', of: (p) => p.path ? p.path.endpoint : '–' },
  ],
  mappings: [
    { title: 'Name', kind: 'main', of: (m) => m.name },
    { title: 'State', of: (m) => m.draining ? { pill: 'draining', kind: 'warn' } : { pill: 'listening', kind: 'idle' } },
    { title: 'Listens on', kind: 'mono', of: (m) => m.local + (m.protocol === 'tcp' ? '' : '/' + m.protocol) },
    { title: 'Leads to', kind: 'mono wide', of: (m) => m.remote },
    { title: 'Connections', kind: 'num', of: (m) => m.connections },
  ],
  exposures: [
    { title: 'Name', kind: 'main', of: (e) => e.name },
    { title: 'State', of: (e) => e.draining ? { pill: 'draining', kind: 'warn' } : { pill: 'open', kind: 'good' } },
    { title: 'Port', kind: 'num', of: (e) => e.port + (e.protocol === 'tcp' ? '' : '/' + e.protocol) },
    { title: 'Target', kind: 'mono wide', of: (e) => e.target },
    { title: 'For', of: (e) => e.allow.join(', ') },
    { title: 'Terms', of: terms },
    { title: 'Connections', kind: 'num', of: (e) => e.connections },
  ],
  connections: [
    { title: 'Service', kind: 'main', of: (c) => c.service },
    { title: 'Direction', of: (c) => c.direction },
    { title: 'Peer', of: who },
    { title: 'Local', kind: 'mono', of: (c) => c.local },
    { title: 'Received', kind: 'num', of: (c) => bytes(c.bytesIn) },
    { title: 'Sent', kind: 'num', of: (c) => bytes(c.bytesOut) },
    { title: 'Age', kind: 'num', of: (c) => age(c.openedMs) },
  ],
  ended: [
    { title: 'Ended', of: (c) => clock(c.endedAt) },
    { title: 'Service', kind: 'main', of: (c) => c.service },
    { title: 'Direction', of: (c) => c.direction },
    { title: 'Peer', of: who },
    { title: 'Received', kind: 'num', of: (c) => bytes(c.bytesIn) },
    { title: 'Sent', kind: 'num', of: (c) => bytes(c.bytesOut) },
    { title: 'Duration', kind: 'num', of: (c) => c.durationMs < 1000 ? c.durationMs + ' ms' : age(c.durationMs) },
    { title: 'How', of: (c) => c.cause === 'ended' ? { pill: 'ended', kind: '' } : { pill: c.code || CAUSES[c.cause], kind: c.cause === 'failed' ? 'bad' : 'warn' } },
  ],
  requests: [
    { title: 'At', of: (r) => clock(r.at) },
    { title: 'Service', kind: 'main', of: (r) => r.service || r.host },
    { title: 'Peer', of: (r) => r.peer ? who(r) : '–' },
    { title: 'Request', kind: 'mono wide', of: (r) => r.method + ' ' + r.path },
    { title: 'Status', of: (r) => ({ pill: String(r.status) + (r.cut ? ', cut' : ''), kind: r.status >= 500 || r.cut ? 'bad' : r.status >= 400 ? 'warn' : 'good' }) },
    { title: 'Sent back', kind: 'num', of: (r) => bytes(r.bytesOut) },
    { title: 'Took', kind: 'num', of: (r) => r.ms + ' ms' },
  ],
}

function graph (id, values) {
  const most = Math.max(1000, ...values) // below a kilobyte a second is the bottom line, not a mountain
  const step = SVG_WIDTH / (HISTORY - 1)
  const points = values.map((value, index) => (SVG_WIDTH - (values.length - 1 - index) * step).toFixed(1) + ' ' + (SVG_HEIGHT - 1 - value / most * (SVG_HEIGHT - 4)).toFixed(1))
  const line = points.length > 1 ? 'M' + points.join('L') : ''
  const left = points.length > 1 ? points[0].split(' ')[0] : 0
  byId(id).querySelector('.line').setAttribute('d', line)
  byId(id).querySelector('.area').setAttribute('d', line && line + 'L' + SVG_WIDTH + ' ' + SVG_HEIGHT + 'L' + left + ' ' + SVG_HEIGHT + 'Z')
}

const history = { in: [], out: [] }
let last, timer

function showRates (state, at) {
  const seconds = last ? (at - last.at) / 1000 : 0
  if (!last) {
    for (const way of ['in', 'out']) {
      history[way] = state.history[way].slice(-HISTORY)
      byId('rate-' + way).textContent = bytes(history[way].length ? history[way].at(-1) : 0) + '/s'
      graph('graph-' + way, history[way])
    }
  }
  if (seconds > 0) {
    for (const way of ['in', 'out']) {
      const key = way === 'in' ? 'bytesIn' : 'bytesOut'
      const rate = Math.max(0, state[key] - last[key]) / seconds
      history[way] = history[way].concat(rate).slice(-HISTORY)
      byId('rate-' + way).textContent = bytes(rate) + '/s'
      graph('graph-' + way, history[way])
    }
  }
  for (const way of ['in', 'out']) byId('total-' + way).textContent = bytes(way === 'in' ? state.bytesIn : state.bytesOut) + ' in all'
  last = { at, bytesIn: state.bytesIn, bytesOut: state.bytesOut }
}

function showNode (status) {
  const { node, registry, beacon, daemon, config } = status
  const known = node.nodeId !== 0
  document.title = (node.hostname || (known ? node.address : 'pilotgate')) + ' · pilotgate'
  byId('name').textContent = node.hostname || (known ? node.address : 'not registered yet')
  byId('address').textContent = known && node.hostname ? node.address : ''
  const state = byId('state')
  const away = registry && registry.state !== 'registered'
  state.textContent = status.state === 'ready' && away ? 'registry ' + registry.state : status.state
  state.className = 'pill ' + (status.state !== 'ready' ? 'warn' : away ? 'warn' : 'good')
  const alert = byId('alert')
  const alerts = (status.problems || []).map((problem) => [problem.text, problem.hint].filter(Boolean).join('. '))
  if (config && config.error) alerts.unshift('The configuration file is not in force. ' + config.error)
  alert.hidden = alerts.length === 0
  alert.textContent = alerts.join('\n')
  const facts = [
    ['Up for', age(status.uptimeMs)],
    ['UDP socket', status.udp, 'mono'],
    ['Registry', registry && registry.endpoint + ', ' + registry.state],
    ['Beacon', beacon && beacon.endpoint + (beacon.observed ? ', sees us at ' + beacon.observed : ', has not answered')],
    ['Daemon', daemon && daemon.socket + ', ' + daemon.state],
    ['Configuration', config && 'version ' + config.version + (config.file ? ' of ' + config.file : ', from flags')],
    ['Memory', bytes(status.memory.rssBytes) + ' resident, ' + bytes(status.memory.heapBytes) + ' heap'],
    ['Public key', node.publicKey, 'mono'],
  ].filter((fact) => fact[1])
  const list = byId('node')
  if (list.children.length !== facts.length * 2) list.replaceChildren(...facts.flatMap((fact) => [element('dt', '', fact[0]), element('dd', fact[2])]))
  facts.forEach((fact, index) => fill(list.children[index * 2 + 1], fact[1]))
  byId('version').textContent = 'pilotgate ' + status.version
}

function show (state, at) {
  const { totals } = state
  showNode(state.status)
  showRates(state, at)
  byId('connections').textContent = totals.connections
  byId('services').textContent = totals.mappings + ' mapped, ' + totals.exposures + ' exposed'
  byId('peers').textContent = totals.connected
  const kinds = {}
  for (const { path } of state.peers) if (path) kinds[pathName(path)] = (kinds[pathName(path)] || 0) + 1
  byId('paths').textContent = Object.entries(kinds).map((kind) => kind[1] + ' ' + kind[0]).join(', ') || (totals.peers === 0 ? 'none known' : totals.peers + ' known')
  table('peers-table', COLUMNS.peers, state.peers, totals.peers, 'No peers yet. They appear once a tunnel is requested.')
  table('mappings-table', COLUMNS.mappings, state.mappings, totals.mappings, 'No mappings. Add one with: pilotgate map agent-b:80')
  table('exposures-table', COLUMNS.exposures, state.exposures, totals.exposures, 'No exposures. Add one with: pilotgate expose 80=3000')
  table('connections-table', COLUMNS.connections, state.connections, totals.connections, 'No open connections.')
  table('ended-table', COLUMNS.ended, state.ended, state.ended.length, 'No connection has ended yet.')
  table('requests-table', COLUMNS.requests, state.requests, state.requests.length, 'No requests yet. They are seen where connections are read as HTTP: at the front, and at exposures with identity headers, host=rewrite or a folder.')
}

async function look () {
  try {
    const response = await fetch('/api/state', { cache: 'no-store' })
    if (!response.ok) throw new Error(response.status === 503 ? 'starting' : 'answered ' + response.status)
    show(await response.json(), performance.now())
    document.body.classList.remove('stale')
  } catch (error) {
    last = undefined
    document.body.classList.add('stale')
    byId('state').textContent = error.message === 'starting' ? 'starting' : 'gone'
    byId('state').className = 'pill ' + (error.message === 'starting' ? 'warn' : 'bad')
  }
  clearTimeout(timer)
  if (!document.hidden) timer = setTimeout(look, PERIOD_MS)
}

document.addEventListener('visibilitychange', () => { if (!document.hidden) { last = undefined; look() } })
look()
`
