/** addresses.json: text, bytes and everything that must be refused. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import {
  decodeAddress,
  encodeAddress,
  formatAddress,
  formatSocketAddress,
  isHostname,
  parseAddress,
  parsePeerName,
} from '../../../src/base/address.ts'
import { toHex } from '../../../src/base/bytes.ts'
import { hex, loadVectors } from '../../vectors/load.ts'

interface Address {
  text: string
  canonical?: string
  network: number
  node: number
  bytes: string
}
interface AddressVectors {
  valid: Address[]
  accepted_non_canonical: Address[]
  invalid: { text: string; why: string }[]
  socket_valid: { text: string; canonical: string; network: number; node: number; port: number }[]
  socket_invalid: { text: string; why: string }[]
}

const vectors = loadVectors<AddressVectors>('addresses')

test('every address is parsed from any accepted spelling and formatted canonically', () => {
  for (const { text, canonical, network, node, bytes } of [...vectors.valid, ...vectors.accepted_non_canonical]) {
    assert.deepEqual(parseAddress(text), { network, node }, text)
    assert.equal(formatAddress({ network, node }), canonical ?? text)
    assert.equal(toHex(encodeAddress({ network, node })), bytes, text)
    assert.deepEqual(decodeAddress(hex('ff' + bytes), 1), { network, node }, text)
  }
})

test('every string that is not an address is refused', () => {
  for (const { text, why } of vectors.invalid)
    assert.equal(parseAddress(text), undefined, `${JSON.stringify(text)}: ${why}`)
})

test('every socket address is formatted', () => {
  for (const { canonical, network, node, port } of vectors.socket_valid)
    assert.equal(formatSocketAddress({ network, node, port }), canonical)
})

test('a peer may be named by address, by decimal node id or by hostname, tried in this order', () => {
  assert.deepEqual(parsePeerName('0:0000.0000.000B'), { kind: 'address', address: { network: 0, node: 11 } })
  assert.deepEqual(parsePeerName('[0:0000.0000.000B]'), { kind: 'address', address: { network: 0, node: 11 } })
  assert.deepEqual(parsePeerName('11'), { kind: 'address', address: { network: 0, node: 11 } })
  assert.deepEqual(parsePeerName('agent-b'), { kind: 'hostname', hostname: 'agent-b' })
  for (const text of [
    '',
    '0',
    '4294967295',
    '99999999999',
    'Agent',
    '-a',
    'a-',
    'localhost',
    '1:0000.0000.0001',
    'a.b',
  ]) {
    const name = parsePeerName(text)
    assert.ok(name === undefined || (name.kind === 'hostname' && text === '99999999999'), text)
  }
})

test('hostnames follow the rule of the registry', () => {
  for (const text of ['a', 'a1', '0a', 'a-b', 'x'.repeat(63)]) assert.ok(isHostname(text), text)
  for (const text of ['', 'A', 'a_b', '-a', 'a-', 'x'.repeat(64), 'broadcast', 'a\n'])
    assert.ok(!isHostname(text), text)
})
