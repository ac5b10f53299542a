/**
 * beacon.json at the level of bytes: recorded requests decode, recorded replies encode, and malformed ones are parsed
 * as a daemon parses them.
 */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { concatBytes, toHex } from '../../../src/base/bytes.ts'
import { parseEndpoint, type NodeId } from '../../../src/base/types.ts'
import {
  decodeBeaconMessage,
  encodeDiscoverExtended,
  encodeDiscoverReply,
  encodeMailNotice,
  encodePunchCommand,
  encodeSync,
  type BeaconMessage,
} from '../../../src/wire/beacon-messages.ts'
import { encodeBeacon } from '../../fuzz/decoders.ts'
import { hex, loadVectors, payloadOf, sha256Hex, type PayloadRule } from '../../vectors/load.ts'

const vectors = loadVectors<BeaconVectors>('beacon')

test('messages sent to a beacon decode to the recorded fields', () => {
  for (const exchange of vectors.exchanges) {
    if (exchange.message === undefined || exchange.fields === undefined) continue
    const message = decoded(exchange.message)
    const { fields } = exchange
    if (message.kind === 'discover') assert.deepEqual(message, { kind: 'discover', node: fields.node_id })
    else if (message.kind === 'punch_request')
      assert.deepEqual(message, { kind: 'punch_request', requester: fields.requester, target: fields.target })
    else if (message.kind === 'relay') {
      assert.deepEqual([message.sender, message.destination], [fields.sender, fields.destination])
      if (fields.inner_hex !== undefined) assert.equal(toHex(message.frame), fields.inner_hex)
    } else assert.fail(`${exchange.name}: ${message.kind}`)
  }
})

test('malformed messages that a beacon did not answer are faults, or of a kind only beacons send', () => {
  const silent: Record<string, string> = {
    'discover one byte short': 'too_short',
    'type byte only': 'too_short',
    'unknown type 0x00': 'unknown_type',
    'unknown type 0x0f': 'unknown_type',
    'punch request one byte short': 'too_short',
    'relay one byte short of its header': 'too_short',
  }
  for (const [name, fault] of Object.entries(silent)) {
    const exchange = vectors.exchanges.find((candidate) => candidate.name === name)
    assert.equal(decodeBeaconMessage(hex(exchange?.message ?? 'ff')), fault, name)
  }
  assert.equal(decoded('0204010203040050').kind, 'discover_reply')
  assert.equal(decoded('060000000178').kind, 'relay_deliver')
})

test('every message in either direction is encoded again byte by byte', () => {
  let checked = 0
  const steps = [...vectors.exchanges, ...vectors.gossip_and_forwarding.steps]
  const sent = steps.map((step) => ({ name: step.name, message: step.message }))
  const received = steps.flatMap((step) => step.received.map(({ message }) => ({ name: step.name, message })))
  for (const { name, message } of [...sent, ...received]) {
    if (message === undefined || /extra bytes|trailing bytes/.test(name)) continue
    const result = decodeBeaconMessage(hex(message))
    if (typeof result === 'string') continue
    assert.equal(toHex(encodeBeacon(result)), message, name)
    checked++
  }
  assert.ok(checked >= 45, `only ${checked} messages`)
})

test('answers carry the endpoint of the socket that asked', () => {
  for (const exchange of vectors.exchanges) {
    if (exchange.message?.startsWith('01') !== true) continue
    for (const answer of exchange.received) {
      const endpoint = parseEndpoint(exchange.sent_from)
      assert.ok(endpoint !== undefined && answer.message !== undefined)
      assert.equal(toHex(encodeDiscoverReply(endpoint)), answer.message, exchange.name)
    }
  }
})

test('a large relayed frame keeps its bytes through relay and deliver', () => {
  for (const exchange of vectors.exchanges) {
    if (exchange.inner_rule === undefined) continue
    const inner = payloadOf(exchange.inner_rule)
    const relay = concatBytes(hex(exchange.message_header ?? ''), inner)
    assert.equal(sha256Hex(relay), exchange.message_sha256)
    const message = decodeBeaconMessage(relay)
    assert.ok(typeof message !== 'string' && message.kind === 'relay')
    assert.equal(message.frame.buffer, relay.buffer, 'a view, not a copy')
    const deliver = encodeBeacon({ kind: 'relay_deliver', sender: message.sender, frame: message.frame })
    assert.equal(sha256Hex(deliver), exchange.received[0]?.message_sha256)
  }
})

test('sync messages are encoded as recorded; truncated ones are faults and trailing bytes ignored', () => {
  for (const vector of vectors.sync_messages_sent) {
    assert.equal(toHex(encodeSync(vector.beacon_id, vector.node_ids)), vector.message, vector.name)
    assert.deepEqual(decoded(vector.message), { kind: 'sync', beaconId: vector.beacon_id, nodeIds: vector.node_ids })
  }
  assert.equal(decodeBeaconMessage(hex('070000006600030000000100000002')), 'too_short')
  assert.equal(decodeBeaconMessage(hex('070000006600')), 'too_short')
  assert.deepEqual(decoded('0700000066000100000017010203'), { kind: 'sync', beaconId: 102, nodeIds: [23] })
  assert.throws(
    () =>
      encodeSync(
        1,
        Array.from({ length: 65_536 }, () => 1),
      ),
    RangeError,
  )
})

test('a daemon parses discover replies as recorded', () => {
  for (const vector of vectors.daemon_side_parsing.discover_replies) {
    const result = decodeBeaconMessage(hex(vector.reply))
    const isReply = typeof result !== 'string' && result.kind === 'discover_reply'
    assert.equal(isReply, vector.valid, vector.name)
    if (isReply) assert.deepEqual(result.endpoint, { address: vector.ip, port: vector.port }, vector.name)
  }
  assert.equal(decodeBeaconMessage(hex('0205cb0071070046b5')), 'bad_address')
  assert.equal(decodeBeaconMessage(hex('0210cb00710746b5')), 'too_short')
})

test('a daemon acts on exactly the punch commands that decode', () => {
  for (const vector of vectors.daemon_side_parsing.punch_commands) {
    const result = decodeBeaconMessage(hex(vector.message))
    assert.equal(typeof result !== 'string', vector.sent_to_target.length > 0, vector.name)
    if (typeof result !== 'string')
      assert.deepEqual(result, { kind: 'punch_command', endpoint: { address: '127.0.0.1', port: 18201 } })
  }
})

test('delivered frames, empty ones too, come with their sender', () => {
  for (const vector of vectors.daemon_side_parsing.relay_deliver.cases) {
    const message = decoded(vector.message)
    assert.ok(message.kind === 'relay_deliver')
    assert.equal(message.sender, 1)
    assert.equal(toHex(message.frame), vector.message.slice(10), vector.name)
    if (vector.sent_to_beacon !== null)
      assert.equal(toHex(encodeBeacon(decoded(vector.sent_to_beacon))), vector.sent_to_beacon)
  }
})

test('the two messages of newer beacons have the layout of extra-2026-08', () => {
  const { beacon_additions: additions } = loadVectors<{ beacon_additions: Record<string, string> }>('extra-2026-08')
  assert.match(additions['08_discover_ex'] ?? '', /^08 node_id\(4\)/)
  assert.match(additions['09_relay_deliver_dest'] ?? '', /^09 sender\(4\) destination\(4\) inner frame$/)
  assert.equal(toHex(encodeDiscoverExtended(0x01020304)), '0801020304')
  assert.deepEqual(decoded('0801020304'), { kind: 'discover_extended', node: 0x01020304 })
  const message = decoded('0901020304f0000001cafe')
  assert.deepEqual(message, {
    kind: 'relay_deliver_to',
    sender: 0x01020304,
    destination: 0xf0000001,
    frame: hex('cafe'),
  })
  assert.equal(toHex(encodeBeacon(message)), '0901020304f0000001cafe')
})

test('an endpoint without a literal address cannot be encoded', () => {
  assert.throws(() => encodePunchCommand({ address: 'localhost', port: 1 }), RangeError)
})

interface Received {
  message?: string
  message_sha256?: string
}
interface Exchange {
  name: string
  sent_from: string
  message?: string
  message_header?: string
  message_sha256?: string
  inner_rule?: PayloadRule
  received: Received[]
  fields?: Record<string, number> & { inner_hex?: string }
}
interface BeaconVectors {
  exchanges: Exchange[]
  sync_messages_sent: { name: string; beacon_id: number; node_ids: NodeId[]; message: string }[]
  gossip_and_forwarding: { steps: Exchange[] }
  daemon_side_parsing: {
    discover_replies: { name: string; reply: string; valid: boolean; ip?: string; port?: number }[]
    punch_commands: { name: string; message: string; sent_to_target: string[] }[]
    relay_deliver: { cases: { name: string; message: string; sent_to_beacon: string | null }[] }
  }
}

function decoded(text: string): BeaconMessage {
  const message = decodeBeaconMessage(hex(text))
  assert.ok(typeof message !== 'string', `${text}: ${String(message)}`)
  return message
}

test('a notice of mail is two bytes, as beacons of today send it; other notices are unknown', () => {
  assert.equal(toHex(encodeMailNotice()), '0a01')
  assert.deepEqual(decoded('0a01'), { kind: 'mail' })
  assert.equal(decodeBeaconMessage(hex('0a02')), 'unknown_type')
  assert.equal(decodeBeaconMessage(hex('0a')), 'too_short')
})
