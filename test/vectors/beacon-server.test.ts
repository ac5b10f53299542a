/** The recorded exchanges with a real beacon, against ours: same datagrams at the same sockets. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Endpoint } from '../../src/base/types.ts'
import { toHex } from '../../src/base/bytes.ts'
import { formatEndpoint, parseEndpoint } from '../../src/base/types.ts'
import { Beacon } from '../../src/server/beacon/beacon.ts'
import type { PayloadRule } from './load.ts'
import { hex, loadVectors, payloadOf, sha256Hex } from './load.ts'

interface Delivery {
  readonly at: string
  readonly message?: string
  readonly message_header?: string
  readonly message_length?: number
  readonly message_sha256?: string
}
interface Exchange {
  readonly name: string
  readonly sent_from: string
  readonly message?: string
  readonly message_header?: string
  readonly inner_rule?: PayloadRule
  readonly received: readonly Delivery[]
}
interface Step {
  readonly name: string
  readonly sent_from: string
  readonly message: string
  readonly received: readonly Delivery[]
}

const vectors = loadVectors<{
  exchanges: Exchange[]
  sync_messages_sent: { beacon_id: number; node_ids: number[]; message: string }[]
  gossip_and_forwarding: { steps: Step[] }
}>('beacon')

test('every recorded exchange ends as recorded', () => {
  const beacon = new Beacon()
  let now = 0
  for (const exchange of vectors.exchanges) {
    now += 4_000 // so that "node 2 asks from node 3's socket" is a move, not a takeover
    const message = hex(exchange.message ?? exchange.message_header ?? '')
    const bytes = exchange.inner_rule === undefined ? message : Buffer.concat([message, payloadOf(exchange.inner_rule)])
    const received = deliveries(beacon, now, bytes, exchange.sent_from)
    assert.equal(received.length, exchange.received.length, exchange.name)
    for (const expected of exchange.received) {
      const delivery = received.find(({ at }) => at === expected.at)
      assert.ok(delivery, `${exchange.name}: nothing at ${expected.at}`)
      if (expected.message !== undefined) assert.equal(toHex(delivery.bytes), expected.message, exchange.name)
      else assert.equal(sha256Hex(delivery.bytes), expected.message_sha256, exchange.name)
    }
  }
})

test('gossip of a configured peer is believed and followed as recorded', () => {
  const beacon = new Beacon({ beaconId: 101, peers: [endpoint('127.0.0.1:18012')] })
  let now = 0
  for (const id of ['00000005', '00000006', '00000007', '00a3f291'])
    deliveries(beacon, now, hex(`01${id}`), '127.0.0.1:18103')
  for (const step of vectors.gossip_and_forwarding.steps) {
    const received = deliveries(beacon, ++now, hex(step.message), bare(step.sent_from))
    assert.deepEqual(
      received.map(({ at, bytes }) => ({ at, message: toHex(bytes) })),
      step.received.map(({ at, message }) => ({ at: bare(at), message })),
      step.name,
    )
  }
})

test('announcements have the recorded bytes', () => {
  for (const recorded of vectors.sync_messages_sent) {
    const beacon = new Beacon({ beaconId: recorded.beacon_id, peers: [endpoint('127.0.0.1:18012')] })
    for (const id of recorded.node_ids)
      deliveries(beacon, 0, hex(`01${id.toString(16).padStart(8, '0')}`), '127.0.0.1:18103')
    const sent: string[] = []
    beacon.announce(1, (bytes) => sent.push(toHex(bytes)))
    assert.deepEqual(sent, [recorded.message])
  }
})

function deliveries(beacon: Beacon, now: number, bytes: Uint8Array, from: string): { at: string; bytes: Uint8Array }[] {
  const out: { at: string; bytes: Uint8Array }[] = []
  beacon.handle(now, bytes, endpoint(from), (sent, to) => out.push({ at: formatEndpoint(to), bytes: sent.slice() }))
  return out
}

function endpoint(text: string): Endpoint {
  const parsed = parseEndpoint(text)
  if (parsed === undefined) throw new Error(`no endpoint: ${text}`)
  return parsed
}

/** `peer beacon 127.0.0.1:18012` and the like. */
function bare(text: string): string {
  return /\S+:\d+/.exec(text)?.[0] ?? text
}
