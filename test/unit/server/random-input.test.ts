/** Ten thousand nonsense requests and datagrams: nothing throws, and the servers' invariants still hold afterwards. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Endpoint } from '../../../src/base/types.ts'
import { Beacon } from '../../../src/server/beacon/beacon.ts'
import { encodeRegistryFrame, RegistryFrameReader } from '../../../src/wire/registry-messages.ts'
import { REQUESTS } from '../../../src/server/registry/requests.ts'
import { Setting } from './registry/setting.ts'

const SEED = 20_260_401
const ROUNDS = 10_000

const TYPES = [...REQUESTS.keys(), 'constructor', '__proto__', '']
const FIELDS = [
  'node_id',
  'peer_id',
  'requester_id',
  'from_node_id',
  'to_node_id',
  'to_hostname',
  'hostname',
  'listen_addr',
  'public_key',
  'owner',
  'lan_addrs',
  'tags',
  'signature',
  'justification',
  'beacon_id',
  'addr',
  'node_a',
  'node_b',
  'new_public_key',
  'accept',
  'public',
  'refresh',
  '__proto__',
  'network_id',
  'target_node_id',
  'inviter_id',
  'new_owner_id',
  'name',
  'token',
  'join_rule',
  'enterprise',
  'admin_token',
  'network_admin_token',
  'max_members',
  'allowed_ports',
  'description',
  'expires_at',
  'delta',
  'polo_score',
  'external_id',
  'limit',
  'url',
  'network_id',
  'target_node_id',
  'node_id',
]

test(`random requests never throw and always get an object with a type (seed ${SEED})`, () => {
  const random = generator(SEED)
  const setting = new Setting({
    compat: new Set(['unsigned-requester', 'owner-recovery', 'unsigned-roles', 'unsigned-scores']),
    adminToken: 'token',
  })
  const member = setting.join({ hostname: 'agent' })
  const values: readonly unknown[] = [
    0,
    1,
    2,
    -1,
    1.5,
    1e300,
    0xffff_ffff,
    '',
    'agent',
    'x'.repeat(300),
    null,
    true,
    [],
    ['a', 1, null],
    {},
    '127.0.0.1:80',
    '[::1]:80',
    member.identity.publicKeyBase64,
    'AAAA',
    '\u0000',
    { toString: 1 },
    'token',
    'open',
    'invite',
    '2027-06-01T00:00:00Z',
    '9999-99-99T99:99:99Z',
    [80, 443],
  ]
  for (let round = 0; round < ROUNDS; round++) {
    const request: Record<string, unknown> = { type: random() < 0.9 ? pick(random, TYPES) : pick(random, values) }
    for (let i = random() * 6; i > 0; i--) {
      Object.defineProperty(request, pick(random, FIELDS), {
        value: pick(random, values),
        enumerable: true,
        configurable: true,
        writable: true,
      })
    }
    const reply = setting.ask(
      random() < 0.02 ? (pick(random, values) as object) : request,
      random() < 0.5 ? '127.0.0.1' : `2001:db8:${round.toString(16)}::1`,
    )
    assert.equal(typeof reply['type'], 'string', JSON.stringify(request))
    setting.now += 100
  }
  setting.restart()
  assert.equal(setting.registry.skippedRecords, 0, 'and the resulting records are valid')
})

test(`random streams never throw in the frame reader (seed ${SEED})`, () => {
  const random = generator(SEED)
  for (let round = 0; round < ROUNDS; round++) {
    const frame = encodeRegistryFrame({ type: 'lookup', node_id: round })
    for (let i = random() * 4; i > 0; i--) frame[Math.floor(random() * frame.length)] = Math.floor(random() * 256)
    const reader = new RegistryFrameReader()
    for (let at = 0; at < frame.length;) {
      const size = 1 + Math.floor(random() * 20)
      reader.push(frame.subarray(at, at + size))
      reader.next()
      at += size
    }
  }
})

test(`random datagrams never throw in the beacon, nor make it send more than two (seed ${SEED})`, () => {
  const random = generator(SEED)
  const beacon = new Beacon({ beaconId: 1, peers: [{ address: '192.0.2.9', port: 9001 }] })
  for (let round = 0; round < ROUNDS; round++) {
    const bytes = Uint8Array.from({ length: Math.floor(random() * 24) }, () => Math.floor(random() * 256))
    if (bytes.length > 0) bytes[0] = Math.floor(random() * 12)
    for (const at of [1, 2, 3, 5, 6, 7]) if (at < bytes.length && random() < 0.8) bytes[at] = 0 // recurring ids
    const from: Endpoint =
      random() < 0.3
        ? { address: '192.0.2.9', port: 9001 }
        : { address: random() < 0.5 ? '10.0.0.1' : '2001:db8::1', port: 1 + Math.floor(random() * 5) }
    let sent = 0
    beacon.handle(round * 50, bytes, from, () => sent++)
    assert.ok(sent <= 2)
  }
  const counted = Object.values(beacon.counters).reduce((sum, count) => sum + count, 0)
  assert.ok(counted >= ROUNDS * 0.9)
})

/** mulberry32 */
function generator(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

function pick<Item>(random: () => number, items: readonly Item[]): Item {
  return items[Math.floor(random() * items.length)] as Item
}
