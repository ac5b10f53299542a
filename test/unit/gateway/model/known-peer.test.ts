import { test } from 'node:test'
import assert from 'node:assert/strict'
import { knownPeer, ipBytesOf, ipOf } from '../../../../src/gateway/model/known-peer.ts'
import type { PeerSource } from '../../../../src/gateway/model/known-peer.ts'
import { ConnectionTable } from '../../../../src/gateway/service/connections.ts'
import { proxyHeader, TLV } from '../../../../src/gateway/expose/proxy-protocol.ts'
import { whois } from '../../../../src/gateway/diagnose/whois.ts'
import type { WhoisEntry } from '../../../../src/gateway/model/records.ts'

const SOURCE: PeerSource = {
  hostnameOf: () => 'agent-b',
  keyOf: () => 'S0VZ',
  pathTo: () => ({ kind: 'relay', endpoint: '203.0.113.7:4000', reason: 'relay' }),
}
const NOTHING = { hostnameOf: () => undefined, keyOf: () => undefined, pathTo: () => undefined }

test('a known peer holds what the overlay knows, and null for the rest', () => {
  assert.deepEqual(knownPeer(SOURCE, 0x1_0002), {
    nodeId: 0x1_0002,
    address: '0:0000.0001.0002',
    hostname: 'agent-b',
    key: 'S0VZ',
    path: 'relay',
  })
  assert.deepEqual(knownPeer(NOTHING, 2), {
    nodeId: 2,
    address: '0:0000.0000.0002',
    hostname: null,
    key: null,
    path: null,
  })
})

test("a node's IPv6 address is written as in RFC 5952, and its bytes match", () => {
  const cases: readonly (readonly [number, number, string, string])[] = [
    [2, 0, 'fd70:696c:6f74::2', 'fd70696c6f7400000000000000000002'],
    [0x1_0002, 0, 'fd70:696c:6f74::1:2', 'fd70696c6f7400000000000000010002'],
    [0xffff_fffe, 0, 'fd70:696c:6f74::ffff:fffe', 'fd70696c6f74000000000000fffffffe'],
    [0x1_0000, 7, 'fd70:696c:6f74:7::1:0', 'fd70696c6f7400070000000000010000'],
  ]
  for (const [node, network, text, hex] of cases)
    assert.deepEqual([ipOf(node, network), ipBytesOf(node, network).toString('hex')], [text, hex])
})

test('PROXY protocol: version 1 is one line, version 2 has a TLV for each known value', () => {
  const stream = { caller: knownPeer(SOURCE, 2), callerPort: 49_153, ownNode: 1, ownPort: 5432 }
  assert.equal(
    proxyHeader('proxy-v1', stream).toString(),
    'PROXY TCP6 fd70:696c:6f74::2 fd70:696c:6f74::1 49153 5432\r\n',
  )
  const tlv = (type: number, text: string): string =>
    `${type.toString(16)}00${text.length.toString(16).padStart(2, '0')}${Buffer.from(text).toString('hex')}`
  const known = `${tlv(TLV.address, '0:0000.0000.0002')}${tlv(TLV.key, 'S0VZ')}${tlv(TLV.hostname, 'agent-b')}${tlv(TLV.path, 'relay')}`
  const head = (length: number): string =>
    `0d0a0d0a000d0a515549540a2121${length.toString(16).padStart(4, '0')}fd70696c6f7400000000000000000002fd70696c6f7400000000000000000001c0011538`
  assert.equal(proxyHeader('proxy-v2', stream).toString('hex'), `${head(36 + known.length / 2)}${known}`)
  const address = tlv(TLV.address, '0:0000.0000.0002')
  assert.equal(
    proxyHeader('proxy-v2', { ...stream, caller: knownPeer(NOTHING, 2) }).toString('hex'),
    `${head(36 + address.length / 2)}${address}`,
  )
})

test("whois finds our end of an exposure and a mapping's client while they are open", () => {
  const connections = new ConnectionTable()
  const find = (end: string): WhoisEntry | undefined => connections.find(end)?.record
  const about = { service: 's', peer: 'agent-b', nodeId: 2, remote: 'r' }
  const exposed = connections.add(
    { ...about, protocol: 'tcp', direction: 'expose', local: 'tcp://127.0.0.1:3000' },
    () => {},
  )
  exposed.ends.add('127.0.0.1:40001')
  const mapped = connections.add(
    { ...about, protocol: 'tcp', direction: 'map', nodeId: null, local: '127.0.0.1:40002' },
    () => {},
  )
  const { openedMs, ...record } = whois(find, SOURCE, '127.0.0.1:40001')
  assert.deepEqual(record, {
    local: '127.0.0.1:40001',
    direction: 'expose',
    service: 's',
    peer: 'agent-b',
    nodeId: 2,
    address: '0:0000.0000.0002',
    hostname: 'agent-b',
    publicKey: 'S0VZ',
    path: 'relay',
  })
  assert.ok(openedMs >= 0)
  assert.equal(whois(find, SOURCE, '[::ffff:127.0.0.1]:40001').nodeId, 2)
  assert.deepEqual(
    [whois(find, SOURCE, '127.0.0.1:40002').direction, whois(find, SOURCE, '127.0.0.1:40002').address],
    ['map', null],
  )
  for (const [local, code] of [
    ['127.0.0.1:3000', 'NOT_FOUND'],
    ['127.0.0.1', 'USAGE'],
    ['localhost:1', 'USAGE'],
    ['127.0.0.1:0', 'USAGE'],
  ] as const) {
    assert.throws(() => whois(find, SOURCE, local), { code })
  }
  connections.remove(exposed)
  connections.remove(mapped)
  assert.throws(() => whois(find, SOURCE, '127.0.0.1:40001'), { code: 'NOT_FOUND' })
})
