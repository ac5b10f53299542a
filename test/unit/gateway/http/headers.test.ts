import { test } from 'node:test'
import assert from 'node:assert/strict'
import { sensitiveHeaders } from 'node:http2'
import { admitHost } from '../../../../src/gateway/http/host-rewrite.ts'
import type { KnownPeer } from '../../../../src/gateway/model/known-peer.ts'
import {
  isReserved,
  redirectOf,
  requestHeaders,
  requestHeaders2,
  requestTrailers,
  requestTrailers2,
  responseHeaders,
} from '../../../../src/gateway/http/headers.ts'

const CALLER: KnownPeer = { nodeId: 2, address: '0:0000.0000.0002', hostname: 'agent-b', key: 'S0VZ', path: 'punched' }
const FORGED = [
  'Pilot-Node',
  'pilot-node',
  'PILOT-NODE',
  'Pilot_Node',
  'pilot_key',
  'Pilot--Node',
  '-Pilot-Node',
  '_pilot_node',
  'Pilot.Node',
  'pilot$node',
  ':pilot-node',
  'Pilot-Whatever',
  'pilot-',
]

const CLAIMED_ORIGINS = [
  'X_Forwarded_Host',
  'Forwarded',
  'X-Real-IP',
  'X.Forwarded.For',
  'True-Client-IP',
  'X-Client-IP',
  'CF-Connecting-IP',
  'X-Remote-User',
]

test('only spellings that a backend could mistake for ours are reserved', () => {
  for (const name of FORGED) assert.ok(isReserved(name.toLowerCase()), name)
  for (const name of ['pilot', 'x-pilot-node', 'copilot-node', 'pilots-node', 'autopilot_node', 'host'])
    assert.ok(!isReserved(name), name)
})

test('a request loses forged and connection headers and keeps the rest, with repeated values separate', () => {
  const raw = [
    ...FORGED.flatMap((name) => [name, '666']),
    'Host',
    'x:1',
    'Cookie',
    'a=1',
    'Cookie',
    'b=2',
    'Connection',
    'keep-alive, X-Hop, Host, Content-Length',
    'X-Hop',
    '1',
    'Keep-Alive',
    '5',
    'TE',
    'gzip, trailers',
    'Content-Length',
    '3',
    'Transfer-Encoding',
    'chunked',
    'Upgrade',
    'x',
    'Expect',
    '100-continue',
    'Proxy-Authorization',
    'secret',
    'X-Forwarded-For',
    '10.0.0.1',
  ]
  assert.deepEqual(plain(requestHeaders(raw, undefined)), {
    host: 'x:1',
    Cookie: ['a=1', 'b=2'],
    te: 'trailers',
    'content-length': '3',
    'X-Forwarded-For': '10.0.0.1',
  })
  assert.deepEqual(plain(requestHeaders([...raw, ...CLAIMED_ORIGINS.flatMap((name) => [name, 'y'])], CALLER)), {
    host: 'x:1',
    Cookie: ['a=1', 'b=2'],
    te: 'trailers',
    'content-length': '3',
    'Pilot-Node': '2',
    'Pilot-Address': '0:0000.0000.0002',
    'Pilot-Key': 'S0VZ',
    'Pilot-Hostname': 'agent-b',
    'Pilot-Path': 'punched',
    'x-forwarded-for': 'fd70:696c:6f74::2',
    'x-forwarded-proto': 'http',
    'x-forwarded-host': 'x:1',
  })
})

test('the same for HTTP/2; unknown values are left out, and sensitive ones stay sensitive', () => {
  const headers = {
    ':method': 'GET',
    ':authority': 'x',
    host: 'y',
    'pilot-node': '1',
    pilot_key: '2',
    'pilot.path': '3',
    'grpc-timeout': '1S',
    te: 'trailers',
    authorization: 's',
    [sensitiveHeaders]: ['authorization'],
  }
  const kept = requestHeaders2(headers, { ...CALLER, hostname: null, key: null, path: null })
  assert.deepEqual(plain(kept), {
    ':method': 'GET',
    ':authority': 'x',
    'grpc-timeout': '1S',
    te: 'trailers',
    authorization: 's',
    'pilot-node': '2',
    'pilot-address': '0:0000.0000.0002',
    'x-forwarded-for': 'fd70:696c:6f74::2',
    'x-forwarded-proto': 'http',
    'x-forwarded-host': 'x',
    [sensitiveHeaders]: ['authorization'],
  })
  assert.deepEqual(plain(requestTrailers2({ 'pilot-node': '1', host: 'x', 'x-sum': '7' })), { 'x-sum': '7' })
})

test('trailers can neither forge identity nor change framing', () => {
  assert.deepEqual(
    requestTrailers([
      'Pilot-Node',
      '1',
      'pilot_key',
      '2',
      'Content-Length',
      '5',
      'Transfer-Encoding',
      'chunked',
      'Host',
      'x',
      'Authorization',
      'y',
      'X-Forwarded-For',
      'z',
      'X-Sum',
      '7',
    ]),
    [['X-Sum', '7']],
  )
})

test('a response keeps case and repetition, and announces trailers only where they can follow', () => {
  const raw = [
    'Set-Cookie',
    'a',
    'Set-Cookie',
    'b',
    'Connection',
    'close, X-Hop',
    'X-Hop',
    '1',
    'Transfer-Encoding',
    'chunked',
    'Trailer',
    'X-Sum',
    'Pilot-Own',
    'kept',
  ]
  assert.deepEqual(responseHeaders(raw, true), [
    'Set-Cookie',
    'a',
    'Set-Cookie',
    'b',
    'Trailer',
    'X-Sum',
    'Pilot-Own',
    'kept',
  ])
  assert.deepEqual(responseHeaders(raw, false), ['Set-Cookie', 'a', 'Set-Cookie', 'b', 'Pilot-Own', 'kept'])
})

test('names of Object.prototype members are ordinary headers, and repeated ones are one entry in their first spelling', () => {
  const raw = ['constructor', 'a', '__proto__', 'b', 'X-Id', '1', 'x-ID', '2']
  const entries = Object.entries(requestHeaders(raw, undefined))
  assert.deepEqual(entries, [
    ['constructor', 'a'],
    ['__proto__', 'b'],
    ['X-Id', ['1', '2']],
  ])
})

/** deepEqual compares prototypes; these objects have none. */
function plain(fields: object): object {
  return { ...fields }
}

test('under host=rewrite Host and the Origin of its own pages are those that the service expects, in both versions', () => {
  const raw = ['Host', 'localhost:8080', 'Origin', 'http://LOCALHOST:8080', 'Referer', 'http://localhost:8080/a']
  assert.deepEqual(plain(requestHeaders(raw, undefined, 'localhost:3000')), {
    host: 'localhost:3000',
    Origin: 'http://localhost:3000',
    Referer: 'http://localhost:8080/a',
  })
  const strange = requestHeaders(['Host', 'a', 'Origin', 'https://evil.example'], undefined, 'localhost:3000')
  assert.equal(strange['Origin'], 'https://evil.example')
  const second = { ':authority': '127.77.0.2:80', ':path': '/', host: 'other', origin: 'http://127.77.0.2:80' }
  assert.deepEqual(plain(requestHeaders2(second, undefined, 'localhost')), {
    ':authority': 'localhost',
    ':path': '/',
    origin: 'http://localhost',
  })
  const third = requestHeaders2({ host: 'a:1' }, CALLER, 'localhost:3000')
  assert.deepEqual([third['host'], third['x-forwarded-host']], ['localhost:3000', 'a:1'])
})

test('a Location of the service itself leads back to where the client was, and no other is touched', () => {
  const back = redirectOf('localhost:8080', 'localhost:3000')!
  for (const [given, shown] of [
    ['http://localhost:3000', 'http://localhost:8080'],
    ['http://localhost:3000/a?b#c', 'http://localhost:8080/a?b#c'],
    ['http://localhost:30000/a', 'http://localhost:30000/a'],
    ['https://localhost:3000/a', 'https://localhost:3000/a'],
    ['/a', '/a'],
  ] as const)
    assert.equal(back(given), shown)
  assert.deepEqual(responseHeaders(['Location', 'http://localhost:3000/x', 'A', 'b'], false, back), [
    'Location',
    'http://localhost:8080/x',
    'A',
    'b',
  ])
  assert.deepEqual([redirectOf(undefined, 'x'), redirectOf('x', undefined)], [undefined, undefined])
})

test('which hosts are accepted under host=rewrite: addresses and names that cannot be rebound', () => {
  const ok = [
    'localhost',
    'localhost:8080',
    'LOCALHOST.',
    '127.0.0.1:1',
    '[::1]:80',
    '192.168.1.5',
    'agent-b:80',
    'app.localhost',
    'agent-b.pilot',
    'agent-b.pilot.localhost:8088',
    '',
  ]
  for (const host of ok) admitHost(host, 'pilot')
  admitHost(undefined, 'pilot')
  for (const host of ['example.com', 'localhost.example.com', '127.0.0.1.nip.io:80', 'evil.pilot.example'])
    assert.throws(() => admitHost(host, 'pilot'), { code: 'DENIED' }, host)
})
