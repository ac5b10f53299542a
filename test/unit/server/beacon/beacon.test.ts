/** What a dishonest node cannot do to the beacon, and what a node that moved still can. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Endpoint } from '../../../../src/base/types.ts'
import { toHex } from '../../../../src/base/bytes.ts'
import { formatEndpoint } from '../../../../src/base/types.ts'
import { Beacon } from '../../../../src/server/beacon/beacon.ts'
import {
  encodeDiscover,
  encodePunchRequest,
  encodeSync,
  RELAY_HEADER_BYTES,
  writeRelayHeader,
} from '../../../../src/wire/beacon-messages.ts'

const ALICE: Endpoint = { address: '203.0.113.1', port: 4001 }
const BOB: Endpoint = { address: '203.0.113.2', port: 4002 }
const MALLORY: Endpoint = { address: '192.0.2.66', port: 6666 }

/** Alice is node 1, Bob is node 2, both heard at 0. */
class Setting {
  readonly beacon = new Beacon()

  constructor() {
    this.at(0, encodeDiscover(1), ALICE)
    this.at(0, encodeDiscover(2), BOB)
  }

  at(now: number, bytes: Uint8Array, from: Endpoint): string[] {
    const sent: string[] = []
    this.beacon.handle(now, bytes, from, (out, to) => sent.push(`${formatEndpoint(to)} ${toHex(out)}`))
    return sent
  }
}

test('an id is not taken over while its node is active, and moves to the new address soon after', () => {
  const setting = new Setting()
  assert.deepEqual(
    setting.at(2_900, encodeDiscover(1), MALLORY),
    ['192.0.2.66:6666 0204c00002421a0a'],
    'the answer itself is correct for anyone',
  )
  assert.equal(setting.beacon.counters.takeoversRefused, 1)
  assert.deepEqual(setting.at(2_950, relay(2, 1, 'aa'), BOB), ['203.0.113.1:4001 0600000002aa'], 'still with alice')
  const restarted = { ...ALICE, port: 4999 }
  setting.at(3_000, encodeDiscover(1), restarted)
  assert.deepEqual(setting.at(3_100, relay(2, 1, 'aa'), BOB), ['203.0.113.1:4999 0600000002aa'])
})

test('relaying counts as being heard', () => {
  const setting = new Setting()
  setting.at(100_000, relay(1, 2, '00'), ALICE)
  setting.at(102_000, encodeDiscover(1), MALLORY)
  assert.equal(setting.beacon.counters.takeoversRefused, 1)
})

test('no one relays under an id that is active elsewhere', () => {
  const setting = new Setting()
  assert.deepEqual(setting.at(1_000, relay(1, 2, 'aa'), MALLORY), [])
  assert.equal(setting.beacon.counters.relaysForged, 1)
  assert.deepEqual(setting.at(1_000, relay(1, 2, 'aa'), ALICE), ['203.0.113.2:4002 0600000001aa'])
  assert.deepEqual(
    setting.at(1_000, relay(77, 2, 'aa'), MALLORY),
    ['203.0.113.2:4002 060000004daa'],
    'an id not heard anywhere may be used',
  )
})

test('a node not heard for three minutes is forgotten', () => {
  const setting = new Setting()
  assert.deepEqual(setting.at(180_001, relay(1, 2, 'aa'), ALICE), [])
  assert.equal(setting.beacon.counters.relaysUnknown, 1)
  setting.beacon.sweep(180_001)
  assert.equal(setting.beacon.entryCount, 0)
})

test('node id 0 is answered, and never stored', () => {
  const setting = new Setting()
  assert.equal(setting.at(1, encodeDiscover(0), MALLORY).length, 1)
  assert.deepEqual(setting.at(2, relay(1, 0, 'aa'), ALICE), [])
  assert.deepEqual(setting.at(3, encodePunchRequest(0, 2), MALLORY), [])
  assert.equal(setting.beacon.entryCount, 2)
})

test('a punch request in the name of a node heard elsewhere does nothing', () => {
  const setting = new Setting()
  assert.deepEqual(setting.at(1_000, encodePunchRequest(1, 2), MALLORY), [])
  assert.equal(setting.at(1_000, encodePunchRequest(1, 2), ALICE).length, 2)
})

test('punch requests are rate-limited per source address', () => {
  const setting = new Setting()
  let answered = 0
  for (let i = 0; i < 100; i++) answered += setting.at(10, encodePunchRequest(1, 2), ALICE).length / 2
  assert.equal(answered, 20)
  assert.equal(setting.beacon.counters.punchesLimited, 80)
  assert.equal(setting.at(1_010, encodePunchRequest(2, 1), BOB).length, 2, 'others are not affected')
  assert.equal(setting.at(1_010, encodePunchRequest(1, 2), ALICE).length, 2, 'and it passes')
})

test('sync from strangers is ignored and counted', () => {
  const setting = new Setting()
  setting.at(1, encodeSync(9, [50]), MALLORY)
  assert.deepEqual(setting.at(2, relay(1, 50, 'aa'), ALICE), [])
  assert.equal(setting.beacon.counters.syncsIgnored, 1)
})

test('a relayed datagram may be as large as UDP allows', () => {
  const setting = new Setting()
  const sent = setting.at(1, relay(1, 2, 'ab'.repeat(60_000)), ALICE)
  assert.equal(sent[0]?.length, '203.0.113.2:4002 '.length + 2 * 60_005)
})

test('an invalid request to a beacon is counted under its own name', () => {
  const setting = new Setting()
  for (const bytes of ['', '01', '0f00', '0204010203040050', '060000000178', '0403'])
    assert.deepEqual(setting.at(1, Buffer.from(bytes, 'hex'), MALLORY), [])
  const {
    too_short: tooShort,
    unknown_type: unknownType,
    bad_address: badAddress,
    notForBeacons,
  } = setting.beacon.counters
  assert.deepEqual([tooShort, unknownType, badAddress, notForBeacons], [2, 1, 1, 2])
})

function relay(sender: number, destination: number, frameHex: string): Uint8Array {
  const bytes = Buffer.concat([new Uint8Array(RELAY_HEADER_BYTES), Buffer.from(frameHex, 'hex')])
  writeRelayHeader(bytes, 0, sender, destination)
  return bytes
}

test('a node is notified of its mail where it is, every two seconds at most, and not once it is gone', () => {
  const { beacon } = new Setting()
  const notices = (now: number, node: number): string[] => {
    const sent: string[] = []
    beacon.notifyOfMail(now, node, (out, to) => sent.push(`${formatEndpoint(to)} ${toHex(out)}`))
    return sent
  }
  assert.deepEqual(notices(1_000, 1), ['203.0.113.1:4001 0a01'])
  assert.deepEqual(notices(2_900, 1), [])
  assert.deepEqual(notices(2_900, 2), ['203.0.113.2:4002 0a01'])
  assert.deepEqual(notices(3_000, 1), ['203.0.113.1:4001 0a01'])
  assert.deepEqual(notices(4_000, 3), [])
  assert.deepEqual(notices(1_000_000, 1), [])
})
