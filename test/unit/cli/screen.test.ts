/** What a person at a terminal sees: the screen, the news, and one line for each visitor, at every width. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { wrap } from '../../../src/base/printable.ts'
import { newsLine, screenLines, timed, Visitors } from '../../../src/cli/screen.ts'
import type { GatewayEvent, ReadyEvent } from '../../../src/gateway/model/events.ts'
import { RECENT, STATUS } from '../admin/control.ts'

const PLAIN = { bold: (text: string) => text, dim: (text: string) => text }
const READY: ReadyEvent = {
  event: 'ready',
  node: STATUS.node,
  udp: '127.0.0.1:40001',
  admin: '/run/a.sock',
  http: '127.0.0.1:8088',
  proxy: '127.0.0.1:1080',
  observe: '127.0.0.1:9464',
  mappings: [
    { name: 'web', local: '127.0.0.1:8080', peer: 'agent-b', remote: 'agent-b:80', protocol: 'tcp' },
    { name: 'db', local: '127.77.0.2:5432', peer: 'agent-b', remote: 'agent-b:5432', protocol: 'tcp' },
    { name: 'ns', local: '127.0.0.1:5353', peer: 'agent-b', remote: 'agent-b:53', protocol: 'udp' },
  ],
  exposures: [
    { name: '80', port: 80, target: 'tcp://localhost:3000', allow: ['trusted'], protocol: 'tcp' },
    {
      name: 'site',
      port: 81,
      target: 'folder:/srv/site',
      allow: ['invited'],
      protocol: 'tcp',
      endsAt: new Date(Date.now() + 3_600_000).toISOString(),
      once: true,
    },
    { name: 'tool', port: 82, target: 'exec:cd /srv && exec python3 tool.py', allow: ['agent-a'], protocol: 'tcp' },
  ],
  elapsedMs: 812,
}

test('the screen shows what is shared and mapped, with URLs to open, as people call things', () => {
  assert.deepEqual(screenLines(READY, '0.1.0', 80, PLAIN), [
    'pilotgate 0.1.0, agent-a (0:0000.0000.0001)',
    '',
    'Shared     localhost:3000, with every trusted peer',
    'Shared     /srv/site, with holders of a ticket, for 1 h, once',
    'Shared     python3 tool.py, with agent-a',
    'Mapped     http://localhost:8080/ → port 80 of agent-b',
    'Mapped     127.77.0.2:5432 → port 5432 of agent-b',
    'Mapped     localhost:5353/udp → port 53 of agent-b',
    'HTTP       http://PEER.pilot.localhost:8088/',
    'Proxy      localhost:1080, SOCKS5 and HTTP',
    'Dashboard  http://localhost:9464/',
    '',
  ])
})

test('at 40 columns nothing is cut, and a line is longer only if one of its words is', () => {
  for (const line of screenLines(READY, '0.1.0', 40, PLAIN))
    assert.ok(line.length <= 40 || line.trim().split(/ +/).length <= 2, line)
  assert.deepEqual(wrap('one two three', 7), ['one two', 'three'])
  assert.deepEqual(wrap('a muchtoolongword b', 5), ['a', 'muchtoolongword', 'b'])
  assert.deepEqual(wrap('', 5), [''])
})

test('a thousand mappings are not listed, and nothing at all is said in words', () => {
  const mappings = Array.from({ length: 1_000 }, () => READY.mappings[0]!)
  const lines = screenLines({ ...READY, mappings }, '0.1.0', 80, PLAIN)
  assert.ok(lines.length < 30)
  assert.match(lines.at(-2)!, /^and 986 more: pilotgate status$/)
  const { event, node, udp, admin, elapsedMs } = READY
  const bare: ReadyEvent = { event, node, udp, admin, elapsedMs, http: null, mappings: [], exposures: [] }
  assert.deepEqual(screenLines(bare, '0.1.0', 80, PLAIN).slice(2, 3), ['Nothing is shared or mapped yet.'])
  assert.deepEqual(screenLines(bare, '0.1.0', 80, PLAIN, 'Using the ticket …').slice(2, 3), ['Using the ticket …'])
})

test('news is in words, says what to do about a trust request, and why something is no longer shared', () => {
  const trust = { event: 'trust', peer: 'agent-c', nodeId: 3, nameVerified: false, fingerprint: '3f2a-9c01' } as const
  const site = READY.exposures[1]!
  const cases: [GatewayEvent, string | undefined][] = [
    [
      { event: 'ticket', state: 'used', service: '3000', peer: '0:0000.0000.0002', nodeId: 2, label: 'bob' },
      'bob (0:0000.0000.0002) joined with a ticket for port 3000',
    ],
    [{ ...trust, state: 'pending' }, 'agent-c asks for trust (3f2a-9c01); to agree: pilotgate trust approve 3'],
    [{ ...trust, state: 'approved' }, 'agent-c and this node trust each other'],
    [{ event: 'unexposed', reason: 'for', ...site }, 'no longer shared: /srv/site; its time is over'],
    [{ event: 'unexposed', reason: 'once', ...site }, 'no longer shared: /srv/site; its one connection was made'],
    [{ event: 'unexposed', ...site }, 'no longer shared: /srv/site'],
    [
      { event: 'path', peer: 'b', nodeId: 2, kind: 'relay', endpoint: 'x:1', transport: 'udp', rttMs: 1, mtu: 1_400 },
      undefined,
    ],
  ]
  for (const [event, line] of cases) assert.equal(newsLine(event), line)
  const [first, second] = timed('one two three four', '2026-11-30T00:00:00.000Z', 20, PLAIN)
  assert.match(first!, /^\d\d:\d\d:00 {2}one two$/)
  assert.equal(second, '          three four')
})

type Ended = Extract<GatewayEvent, { event: 'connection'; state: 'ended' }>

function connection(
  state: 'opened' | 'ended',
  fields: Partial<Ended> = {},
): Extract<GatewayEvent, { event: 'connection' }> {
  const record = {
    ...RECENT.connections[1]!,
    peer: 'agent-a',
    cause: 'ended' as const,
    code: null,
    bytesIn: 100,
    bytesOut: 2_000,
  }
  return { event: 'connection', ...record, ...fields, state } as Extract<GatewayEvent, { event: 'connection' }>
}

test('a visitor is one line when it comes and one when it has left, however many connections it opens', async () => {
  const lines: string[] = []
  const visitors = new Visitors((line) => lines.push(line), undefined, 20)
  for (let index = 0; index < 3; index++) visitors.note(connection('opened'))
  assert.deepEqual(lines, ['bob (agent-a) connected to port 80'])
  for (let index = 0; index < 3; index++) visitors.note(connection('ended'))
  visitors.note(connection('opened')) // at once again: it has not left
  visitors.note(connection('ended', { cause: 'peer_reset' }))
  visitors.note(connection('ended', { direction: 'map' })) // ours, not a visit
  while (lines.length < 2)
    await new Promise((resolve) => {
      setTimeout(resolve, 5)
    })
  assert.match(
    lines[1]!,
    /^bob \(agent-a\) left port 80 after \d+ ms: 4 connections, 8\.0 kB sent, 400 B received, reset by the peer$/,
  )
  visitors.note(connection('ended')) // it failed before it opened: the log says why
  assert.equal(lines.length, 2)
  visitors.stop()
})
