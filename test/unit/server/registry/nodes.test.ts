/** Liveness, resolving, names: which nodes are online, and who may learn their endpoint or existence. */
import assert from 'node:assert/strict'
import crypto from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'
import { test } from 'node:test'
import { toBase64 } from '../../../../src/base/bytes.ts'
import { challenges } from '../../../../src/wire/registry-messages.ts'
import type { Member } from './setting.ts'
import { REFUSED, Setting, newIdentity, sign } from './setting.ts'

test('three minutes of silence and the node is reaped, as its next heartbeat reports', () => {
  const setting = new Setting()
  const alice = setting.join({ hostname: 'alice' })
  const bob = setting.join()
  setting.now += 170_000
  setting.heartbeat(alice)
  setting.now += 60_000
  setting.registry.sweep(setting.now)
  assert.equal(setting.ask({ type: 'lookup', node_id: alice.id })['type'], 'lookup_ok')
  assert.deepEqual(setting.heartbeat(bob), { type: 'error', error: `node ${bob.id}: node not found` })
  assert.equal(setting.registry.counters.reaped, 1)
})

test('a node is restored from disk unchanged, and counts as seen at the restart', () => {
  const setting = new Setting()
  const alice = setting.join({ hostname: 'alice', lan_addrs: ['10.0.0.1:4000'] })
  setting.publish(alice)
  setting.askAs(alice, challenges.setTags(alice.id), { type: 'set_tags', node_id: alice.id, tags: ['web'] })
  setting.now += 100_000
  setting.heartbeat(alice)
  const before = setting.ask({ type: 'lookup', node_id: alice.id })
  assert.deepEqual([before['last_seen_unix'], before['key_generation']], [setting.now / 1000, 0])
  const records = [...setting.disk]
  setting.now += 20_000
  setting.heartbeat(alice)
  assert.deepEqual([...setting.disk], records, 'a heartbeat writes nothing')
  setting.restart()
  assert.deepEqual(setting.ask({ type: 'lookup', node_id: alice.id }), {
    ...before,
    last_seen_unix: setting.now / 1000,
  })
  assert.equal(setting.registry.skippedRecords, 0)
  setting.registry.sweep(setting.now + 170_000)
  assert.equal(setting.registry.counters.liveNodes, 1)
  setting.registry.sweep(setting.now + 190_000)
  assert.equal(setting.registry.counters.liveNodes, 0)
})

test('a private node is resolved only by a trusted pair partner, not even for its own request', () => {
  const setting = new Setting()
  const [alice, bob] = [setting.join(), setting.join()]
  assert.deepEqual(setting.resolve(alice, bob), REFUSED)
  assert.deepEqual(setting.resolve(bob, bob), REFUSED)
  setting.report(alice, bob)
  assert.deepEqual(setting.resolve(alice, bob), REFUSED, 'one side alone opens nothing')
  setting.report(bob, alice)
  assert.equal(setting.resolve(alice, bob)['real_addr'], '203.0.113.2:4000')
  assert.equal(setting.resolve(bob, alice)['real_addr'], '203.0.113.1:4000')
})

test('punch requires the same right as resolve', () => {
  const setting = new Setting()
  const [alice, bob] = [setting.join(), setting.join()]
  const punch = (): object =>
    setting.askAs(alice, challenges.punch(alice.id, bob.id), {
      type: 'punch',
      requester_id: alice.id,
      node_a: alice.id,
      node_b: bob.id,
    })
  assert.deepEqual(punch(), REFUSED)
  setting.publish(bob)
  assert.deepEqual(punch(), {
    type: 'punch_ok',
    node_a: alice.id,
    node_a_addr: '203.0.113.1:4000',
    node_b: bob.id,
    node_b_addr: '203.0.113.2:4000',
  })
})

test('a private name is resolved only for a signed request from a trusted node', () => {
  const setting = new Setting()
  const alice = setting.join({ hostname: 'alice' })
  const [bob, carol] = [setting.join(), setting.join()]
  setting.report(alice, bob)
  setting.report(bob, alice)
  const request = { type: 'resolve_hostname', hostname: 'alice' }
  const unknown = { type: 'error', error: 'hostname "alice" not found' }
  assert.deepEqual(setting.ask(request), unknown)
  assert.deepEqual(setting.ask({ ...request, requester_id: bob.id }), unknown, 'a claimed id is not believed')
  assert.deepEqual(
    setting.askAs(carol, challenges.resolveHostname(bob.id, 'alice'), { ...request, requester_id: bob.id }),
    unknown,
  )
  assert.deepEqual(
    setting.askAs(carol, challenges.resolveHostname(carol.id, 'alice'), { ...request, requester_id: carol.id }),
    unknown,
  )
  const found = {
    type: 'resolve_hostname_ok',
    last_seen_unix: setting.now / 1000,
    node_id: alice.id,
    address: '0:0000.0000.0001',
    public: false,
    hostname: 'alice',
  }
  for (const who of [alice, bob]) {
    assert.deepEqual(
      setting.askAs(who, challenges.resolveHostname(who.id, 'alice'), { ...request, requester_id: who.id }),
      found,
    )
  }
  setting.publish(alice)
  assert.deepEqual(setting.ask(request), { ...found, public: true })
})

test('a name is free again when its node renames itself', () => {
  const setting = new Setting()
  const [alice, bob] = [setting.join({ hostname: 'agent' }), setting.join()]
  assert.equal(takeName(setting, bob, 'agent'), 'error')
  takeName(setting, alice, 'other')
  assert.equal(takeName(setting, bob, 'agent'), 'set_hostname_ok')
  assert.equal(takeName(setting, bob, ''), 'set_hostname_ok')
})

test('a name stays reserved for the key that signed for it for thirty days while its node is away, across a restart', () => {
  const setting = new Setting()
  const alice = setting.join({ hostname: 'agent' })
  setting.now += 4 * 60_000
  setting.registry.sweep(setting.now)
  const bob = setting.join({ hostname: 'agent' })
  assert.equal(setting.ask({ type: 'resolve_hostname', hostname: 'agent' })['type'], 'error')
  assert.equal(takeName(setting, bob, 'agent'), 'error')
  setting.restart()
  setting.now += 29 * 86_400_000
  const late = setting.join()
  assert.equal(takeName(setting, late, 'agent'), 'error')
  const back = setting.ask(setting.registration(alice.identity, { hostname: 'agent' }), '203.0.113.1')
  assert.deepEqual([back['node_id'], back['hostname']], [alice.id, 'agent'])
  setting.registry.sweep(setting.now + 4 * 60_000)
  setting.now += 30 * 86_400_000 + 4 * 60_000
  const heir = setting.join()
  assert.equal(takeName(setting, heir, 'agent'), 'set_hostname_ok')
})

test("a never-signing node's name is free as soon as the node is silent", () => {
  const setting = new Setting()
  setting.join({ hostname: 'agent' }, false)
  setting.now += 4 * 60_000
  setting.registry.sweep(setting.now)
  assert.equal(takeName(setting, setting.join(), 'agent'), 'set_hostname_ok')
})

test('a silent account without trust is forgotten, and its id is never reassigned', () => {
  const setting = new Setting()
  const [alice, bob] = [setting.join(), setting.join()]
  setting.report(alice, bob)
  const stranger = setting.join({}, false)
  for (const days of [0, 8]) {
    setting.now += days * 86_400_000 + 4 * 60_000
    setting.registry.sweep(setting.now)
  }
  assert.equal(setting.registry.counters.accounts, 2, 'the one that never signed')
  setting.now += 181 * 86_400_000
  setting.registry.sweep(setting.now)
  assert.equal(setting.registry.counters.accounts, 2, 'two that a trust pair names')
  setting.restart()
  const again = setting.ask(setting.registration(stranger.identity, {}, false), '203.0.113.9')
  assert.equal(again['node_id'], stranger.id + 1)
})

test('check_trust answers the two nodes concerned, and reveals nothing to a stranger', () => {
  const setting = new Setting()
  const [alice, bob] = [setting.join(), setting.join()]
  setting.report(alice, bob)
  setting.report(bob, alice)
  const ask = (sourceIp: string): unknown =>
    setting.ask({ type: 'check_trust', node_id: alice.id, peer_id: bob.id }, sourceIp)['trusted']
  assert.deepEqual(['203.0.113.1', '203.0.113.2', '192.0.2.66'].map(ask), [true, true, false])
})

test('guessing private names by claiming them is slow', () => {
  const setting = new Setting()
  const bob = setting.join()
  const replies = Array.from({ length: 25 }, (_, index) =>
    setting.askAs(bob, challenges.setHostname(bob.id), {
      type: 'set_hostname',
      node_id: bob.id,
      hostname: `n${index}`,
    }),
  )
  assert.equal(replies.filter(({ type }) => type === 'set_hostname_ok').length, 20)
  assert.match(String(replies.at(-1)!['error']), /rate limited/)
})

test('an IPv6 /48 shares its registrations, however many sources it has', () => {
  const setting = new Setting()
  const outcomes = Array.from({ length: 300 }, (_, index) =>
    setting.ask(setting.registration(newIdentity(1_000 + index), {}, false), `2001:db8:7:${index.toString(16)}::1`),
  )
  assert.equal(outcomes.filter(({ type }) => type === 'register_ok').length, 200)
})

function takeName(setting: Setting, member: Member, hostname: string): unknown {
  return setting.askAs(member, challenges.setHostname(member.id), {
    type: 'set_hostname',
    node_id: member.id,
    hostname,
  })['type']
}

test('per-source limits refill over time; loopback has none', () => {
  const setting = new Setting()
  const alice = setting.join()
  for (let i = 0; i < 1_000; i++) assert.equal(setting.heartbeat(alice)['type'], 'heartbeat_ok')
  assert.equal(setting.heartbeat(alice)['error'], 'rate limited: too many heartbeats from 198.51.100.1')
  setting.now += 100
  assert.equal(setting.heartbeat(alice)['type'], 'heartbeat_ok')
  for (let i = 0; i < 600; i++)
    assert.equal(setting.ask({ type: 'lookup', node_id: 1 }, '127.0.0.1')['type'], 'lookup_ok')
  for (let i = 0; i < 500; i++) setting.ask({ type: 'lookup', node_id: 1 }, `2001:db8::${i.toString(16)}`)
  assert.match(
    String(setting.ask({ type: 'lookup', node_id: 1 }, '2001:db8::ffff')['error']),
    /^rate limited/,
    'an IPv6 /64 is one source',
  )
  assert.equal(setting.ask({ type: 'lookup', node_id: 1 }, '2001:db8:0:1::1')['type'], 'lookup_ok')
})

test('announced beacons are listed for a minute; only the operator announces', () => {
  const setting = new Setting({ adminToken: 'a token of some length' })
  const announce = { type: 'beacon_register', beacon_id: 5, addr: '192.0.2.1:9001' }
  assert.deepEqual(setting.ask(announce), { type: 'error', error: 'admin_token required' })
  const open = new Setting({ compat: new Set(['open-beacons']) })
  for (const reply of [
    setting.ask(announce, '127.0.0.1'),
    setting.ask({ ...announce, admin_token: 'a token of some length' }),
    open.ask(announce),
  ])
    assert.deepEqual(reply, { type: 'beacon_register_ok', beacon_id: 5 })
  assert.deepEqual(setting.ask({ type: 'beacon_list' })['beacons'], [{ id: 5, addr: '192.0.2.1:9001' }])
  setting.now += 61_000
  assert.deepEqual(setting.ask({ type: 'beacon_list' })['beacons'], [])
})

test('only a reply that promises something waits for the disk', () => {
  const setting = new Setting()
  const alice = setting.join()
  assert.ok(setting.registry.replyWaits)
  setting.heartbeat(alice)
  assert.ok(!setting.registry.replyWaits)
  setting.report(alice, alice)
  assert.ok(!setting.registry.replyWaits, 'a refusal promises nothing')
})

test('damaged records are skipped and counted, the rest are used', () => {
  const setting = new Setting()
  setting.join()
  setting.disk.set('account/9', '{"publicKey":7}')
  setting.disk.set('node/8', '{"endpoint":"1.2.3.4:5"}')
  setting.disk.set('trust/5:2', '{"lowAsserts":true}')
  setting.disk.set('request/x/2', 'null')
  setting.disk.set('from/the/future', '[]')
  setting.restart()
  assert.equal(setting.registry.skippedRecords, 4)
  assert.equal(setting.registry.counters.liveNodes, 1)
})

test('a repeated signature is compared with the last good one instead of verified, and only for its own request and key', (t) => {
  const setting = new Setting()
  const [alice, bob] = [setting.join(), setting.join()]
  const verified = t.mock.method(crypto, 'verify')
  syncBuiltinESMExports()
  t.after(() => {
    verified.mock.restore()
    syncBuiltinESMExports()
  })
  for (let i = 0; i < 3; i++) assert.equal(setting.heartbeat(alice)['type'], 'heartbeat_ok')
  for (let i = 0; i < 3; i++) assert.deepEqual(setting.poll(alice).requests, [])
  assert.equal(verified.mock.callCount(), 2, 'one heartbeat, one poll')
  const heartbeat = sign(alice.identity, challenges.heartbeat(alice.id))
  const ask = (type: string, node: Member, signature: string): unknown =>
    setting.ask({ type, node_id: node.id, signature })['type']
  assert.equal(ask('poll_handshakes', alice, heartbeat), 'error', 'for another request')
  assert.equal(ask('heartbeat', bob, heartbeat), 'error', 'for another node')
  assert.equal(
    ask(
      'heartbeat',
      alice,
      heartbeat.replace(/^./, (c) => (c === 'A' ? 'B' : 'A')),
    ),
    'error',
  )
  assert.equal(setting.heartbeat(alice)['type'], 'heartbeat_ok', 'a wrong one changes nothing')
  const next = newIdentity(99)
  const rotated = setting.askAs(alice, challenges.rotateKey(alice.id), {
    type: 'rotate_key',
    node_id: alice.id,
    new_public_key: next.publicKeyBase64,
  })
  assert.equal(rotated['type'], 'rotate_key_ok')
  assert.equal(ask('heartbeat', alice, heartbeat), 'error', 'of the old key')
  assert.equal(setting.heartbeat({ ...alice, identity: next })['type'], 'heartbeat_ok')
})

test('a node cannot rotate to a key with which everyone could sign', () => {
  const setting = new Setting()
  const alice = setting.join()
  const reply = setting.askAs(alice, challenges.rotateKey(alice.id), {
    type: 'rotate_key',
    node_id: alice.id,
    new_public_key: toBase64(new Uint8Array(32).fill(1, 0, 1)), // the neutral element
  })
  assert.match(String(reply['error']), /invalid new_public_key/)
  assert.equal(setting.heartbeat(alice)['type'], 'heartbeat_ok')
})

test('a heartbeat that names the time is accepted while it is fresh and signed for that time', () => {
  const setting = new Setting()
  const alice = setting.join()
  const beat = (ts: number, signedFor = ts): unknown =>
    setting.askAs(alice, challenges.heartbeatAt(alice.id, signedFor), { type: 'heartbeat', node_id: alice.id, ts })[
      'type'
    ]
  const now = Math.floor(setting.now / 1_000)
  assert.equal(beat(now), 'heartbeat_ok')
  assert.equal(beat(now - 290), 'heartbeat_ok')
  for (const [ts, signedFor] of [
    [now - 310, now - 310],
    [now + 310, now + 310],
    [now, now - 1],
  ] as const)
    assert.equal(beat(ts, signedFor), 'error')
  const undated = sign(alice.identity, challenges.heartbeat(alice.id))
  assert.equal(setting.heartbeat(alice)['type'], 'heartbeat_ok')
  const replayed = { type: 'heartbeat', node_id: alice.id, ts: now, signature: undated }
  assert.equal(setting.ask(replayed)['type'], 'error', 'the remembered signature is for no time')
})
