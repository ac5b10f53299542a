/** The beacon and nodes without UDP: what a proven connection gets, what it may do, and what UDP counts beside it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Endpoint, NodeId } from '../../../../src/base/types.ts'
import { formatEndpoint } from '../../../../src/base/types.ts'
import { fromHex, toHex } from '../../../../src/base/bytes.ts'
import type { NodeKnowledge } from '../../../../src/server/beacon/beacon.ts'
import { Beacon } from '../../../../src/server/beacon/beacon.ts'
import type { Link } from '../../../../src/server/beacon/links.ts'
import {
  encodeDiscover,
  encodePunchRequest,
  RELAY_HEADER_BYTES,
  writeRelayHeader,
} from '../../../../src/wire/beacon-messages.ts'

const ALICE: Endpoint = { address: '203.0.113.1', port: 4001 }
const BOB: Endpoint = { address: '203.0.113.2', port: 4002 }
const MALLORY: Endpoint = { address: '192.0.2.66', port: 6666 }

class FakeLink implements Link {
  readonly node: NodeId
  readonly address: string
  readonly got: string[] = []
  isFull = false
  isDisplaced = false

  constructor(node: NodeId, address: string) {
    this.node = node
    this.address = address
  }
  deliver(bytes: Uint8Array): boolean {
    if (!this.isFull) this.got.push(toHex(bytes))
    return !this.isFull
  }
  displace(): void {
    this.isDisplaced = true
  }
}

class Setting {
  readonly beacon: Beacon
  readonly sent: string[] = []

  constructor(knowledge?: NodeKnowledge) {
    this.beacon = new Beacon({ knowledge })
  }
  readonly #send = (out: Uint8Array, to: Endpoint): void => void this.sent.push(`${formatEndpoint(to)} ${toHex(out)}`)

  at(now: number, bytes: Uint8Array, from: Endpoint | FakeLink): string[] {
    this.sent.length = 0
    if (from instanceof FakeLink) this.beacon.handleFromLink(now, bytes, from, this.#send)
    else this.beacon.handle(now, bytes, from, this.#send)
    return [...this.sent]
  }
}

function relay(sender: NodeId, destination: NodeId, frame: string): Uint8Array {
  const bytes = new Uint8Array(RELAY_HEADER_BYTES + frame.length / 2)
  writeRelayHeader(bytes, 0, sender, destination)
  bytes.set(fromHex(frame)!, RELAY_HEADER_BYTES)
  return bytes
}

test('frames pass between a node without UDP and one with it, and between two without', () => {
  const s = new Setting()
  const [one, two] = [new FakeLink(1, ALICE.address), new FakeLink(2, BOB.address)]
  s.beacon.attach(one)
  s.at(0, encodeDiscover(3), BOB)
  assert.deepEqual(s.at(1, relay(1, 3, 'aa'), one), ['203.0.113.2:4002 0600000001aa'])
  assert.deepEqual(s.at(2, relay(3, 1, 'bb'), BOB), [])
  assert.deepEqual(one.got, ['0600000003bb'])
  s.beacon.attach(two)
  s.at(3, relay(1, 2, 'cc'), one)
  assert.deepEqual(two.got, ['0600000001cc'])
  assert.equal(s.beacon.counters.relayed, 3)
  assert.deepEqual([s.beacon.linkCount, s.beacon.entryCount], [2, 3])
})

test('it speaks in its own name only, and everything else that it says is counted and ignored', () => {
  const s = new Setting()
  const link = new FakeLink(1, ALICE.address)
  s.beacon.attach(link)
  s.at(0, encodeDiscover(3), BOB)
  assert.deepEqual(s.at(1, relay(2, 3, 'aa'), link), [], 'as node 2')
  assert.deepEqual(s.at(1, encodeDiscover(2), link), [], 'no answer: it has none')
  assert.deepEqual(s.at(1, encodePunchRequest(1, 3), link), [])
  for (const bytes of [new Uint8Array(0), fromHex('ff')!, fromHex('05')!, fromHex('0700000001000100000003')!])
    assert.deepEqual(s.at(1, bytes, link), [])
  assert.equal(s.beacon.counters.relaysForged, 1)
  assert.deepEqual(s.at(2, relay(3, 2, 'aa'), BOB), [], 'it did not become node 2')
})

test('no one punches towards it, and mail is announced on its connection', () => {
  const s = new Setting()
  const link = new FakeLink(1, ALICE.address)
  s.at(0, encodeDiscover(1), ALICE)
  s.at(0, encodeDiscover(3), BOB)
  s.beacon.attach(link)
  assert.deepEqual(s.at(1, encodePunchRequest(3, 1), BOB), [])
  s.beacon.notifyOfMail(2, 1, () => assert.fail('by UDP'))
  assert.deepEqual(link.got, ['0a01'])
})

test('a reader that is too slow loses frames, counted, and no one else does', () => {
  const s = new Setting()
  const link = new FakeLink(1, ALICE.address)
  s.beacon.attach(link)
  s.at(0, encodeDiscover(3), BOB)
  link.isFull = true
  s.at(1, relay(3, 1, 'aa'), BOB)
  link.isFull = false
  s.at(2, relay(3, 1, 'bb'), BOB)
  assert.deepEqual([link.got, s.beacon.counters.relaysLinkFull, s.beacon.counters.relayed], [['0600000003bb'], 1, 1])
})

test('the newest connection of a node counts, and the end of an older one changes nothing', () => {
  const s = new Setting()
  const [older, newer] = [new FakeLink(1, ALICE.address), new FakeLink(1, BOB.address)]
  s.beacon.attach(older)
  s.beacon.attach(newer)
  assert.ok(older.isDisplaced && !newer.isDisplaced)
  s.beacon.detach(older)
  s.at(0, encodeDiscover(3), BOB)
  s.at(1, relay(3, 1, 'aa'), BOB)
  assert.deepEqual([older.got, newer.got], [[], ['0600000003aa']])
})

test('while it is connected, a claim of its id by UDP counts for nothing unless it comes from its own address', () => {
  const s = new Setting()
  const link = new FakeLink(1, ALICE.address)
  s.beacon.attach(link)
  s.at(0, encodeDiscover(3), BOB)
  s.at(1, encodeDiscover(1), MALLORY)
  s.at(2, relay(3, 1, 'aa'), BOB)
  assert.equal(link.got.length, 1)
  s.beacon.detach(link)
  assert.deepEqual(s.at(3, relay(3, 1, 'aa'), BOB), [], 'mallory is not node 1')
  assert.equal(s.beacon.counters.takeoversRefused, 1)
})

test('a node that returns to UDP is sent to by TCP until it disconnects, and by UDP at once afterwards', () => {
  const s = new Setting()
  const link = new FakeLink(1, ALICE.address)
  s.beacon.attach(link)
  s.at(0, encodeDiscover(3), BOB)
  s.at(1, encodeDiscover(1), ALICE)
  assert.deepEqual(s.at(2, relay(3, 1, 'aa'), BOB), [])
  assert.deepEqual(s.at(2, relay(1, 3, 'aa'), ALICE), ['203.0.113.2:4002 0600000001aa'], 'it may send either way')
  s.beacon.detach(link)
  assert.deepEqual(s.at(3, relay(3, 1, 'bb'), BOB), ['203.0.113.1:4001 0600000003bb'])
  assert.deepEqual(link.got, ['0600000003aa'])
})
