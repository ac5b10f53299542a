import { test } from 'node:test'
import assert from 'node:assert/strict'
import { sensitiveHeaders } from 'node:http2'
import type { KnownPeer } from '../../../../src/gateway/model/known-peer.ts'
import {
  isReserved,
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
