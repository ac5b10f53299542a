/** Registration: which id a key gets, which endpoint the registry reports, and who may not act for a key. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { toBase64 } from '../../../../src/base/bytes.ts'
import type { Compat } from '../../../../src/server/registry/options.ts'
import { challenges } from '../../../../src/wire/registry-messages.ts'
import { newIdentity, REFUSED, Setting, sign } from './setting.ts'

test('a key keeps its id forever, even after reaping and a restart', () => {
  const setting = new Setting()
  const alice = setting.join()
  const bob = setting.join()
  setting.now += 300_000
  setting.registry.sweep(setting.now)
  assert.equal(setting.ask({ type: 'lookup', node_id: alice.id })['type'], 'error')
  setting.restart()
  assert.equal(setting.ask(setting.registration(alice.identity))['node_id'], alice.id)
  assert.equal(setting.join().id, bob.id + 1, 'ids are not used again')
})

test("the endpoint is the TCP source with listen_addr's port, or the TCP source itself", () => {
  const setting = new Setting()
  const identity = newIdentity(1)
  const observed = (listenAddr: unknown, source: string): unknown =>
    setting.ask({ type: 'register', public_key: identity.publicKeyBase64, listen_addr: listenAddr }, source)[
      'observed_addr'
    ]
  assert.equal(observed('10.0.0.1:4000', '198.51.100.7'), '198.51.100.7:4000')
  assert.equal(observed(':4000', '198.51.100.7'), '198.51.100.7:4000')
  assert.equal(observed('[::]:4000', '2001:db8::7'), '[2001:db8::7]:4000')
  for (const bad of [undefined, 7, '', 'x', '10.0.0.1', '10.0.0.1:0', '10.0.0.1:65536', '10.0.0.1:99999', '::1:80']) {
    assert.equal(observed(bad, '198.51.100.7'), '198.51.100.7:50000', String(bad))
  }
})

test('a key that signed once must always sign; one that never did need not', () => {
  const setting = new Setting()
  const pilotgate = setting.join()
  const goDaemon = setting.join({}, false)
  const unsigned = setting.ask(setting.registration(pilotgate.identity, {}, false), '192.0.2.66')
  assert.equal(unsigned['error'], 'signature required to register this key')
  assert.equal(setting.ask(setting.registration(goDaemon.identity, {}, false))['node_id'], goDaemon.id)
  setting.restart()
  assert.equal(setting.ask(setting.registration(pilotgate.identity, {}, false))['type'], 'error', 'remembered on disk')
  setting.askAs(pilotgate, challenges.deregister(pilotgate.id), { type: 'deregister', node_id: pilotgate.id })
  assert.equal(
    setting.ask(setting.registration(pilotgate.identity, {}, false))['type'],
    'error',
    'even once it is gone',
  )
})

test('a wrong signature is refused, also for a key that never signed', () => {
  const setting = new Setting()
  const request = { ...setting.registration(newIdentity(1), {}, false), signature: sign(newIdentity(2), 'register') }
  assert.deepEqual(setting.ask(request), REFUSED)
  assert.equal(setting.registry.counters.accounts, 0)
})

test('requireSignedRegister refuses the unsigned', () => {
  const setting = new Setting({ requireSignedRegister: true })
  assert.equal(setting.ask(setting.registration(newIdentity(1), {}, false))['type'], 'error')
  assert.equal(setting.ask(setting.registration(newIdentity(1)))['type'], 'register_ok')
})

test('an e-mail address cannot take over a node unless the operator allows it, and never one that signed', () => {
  for (const compat of [new Set<Compat>(), new Set<Compat>(['owner-recovery'])]) {
    const setting = new Setting({ compat })
    const signed = setting.join({ owner: 'alice@example.com' })
    const unsigned = setting.join({ owner: 'bob@example.com' }, false)
    const thief = newIdentity(99)
    assert.notEqual(setting.ask(setting.registration(thief, { owner: 'alice@example.com' }))['node_id'], signed.id)
    const taken =
      setting.ask(setting.registration(newIdentity(98), { owner: 'bob@example.com' }, false))['node_id'] === unsigned.id
    assert.equal(taken, compat.size > 0)
  }
})

test('one key has one encoding: another is refused and does not create a second node', () => {
  const setting = new Setting()
  const member = setting.join({}, false)
  const key = member.identity.publicKeyBase64
  const other = key.slice(0, -2) + String.fromCharCode(key.charCodeAt(key.length - 2) + 1) + '=' // spare bits set
  assert.match(String(setting.ask({ type: 'register', public_key: other })['error']), /^invalid public key/)
})

test('an unsigned registration may name a node, not rename it', () => {
  const setting = new Setting({ compat: new Set(['private-hostnames']) })
  const member = setting.join({ hostname: 'first' }, false)
  assert.equal(setting.ask(setting.registration(member.identity, { hostname: 'second' }, false))['hostname'], undefined)
  assert.equal(setting.ask({ type: 'lookup', node_id: member.id })['hostname'], 'first')
  assert.equal(setting.ask(setting.registration(member.identity, { hostname: 'second' }))['hostname'], 'second')
})

test('LAN addresses are bounded and must be addresses', () => {
  const setting = new Setting()
  const alice = setting.join({
    lan_addrs: [5, 'nonsense', ...Array.from({ length: 40 }, (_, i) => `10.0.0.${i}:4000`)],
  })
  setting.publish(alice)
  const lan = setting.resolve(setting.join(), alice)['lan_addrs']
  assert.ok(Array.isArray(lan) && lan.length === 16 && lan[0] === '10.0.0.0:4000')
})

test("after a rotation only the new key is valid, and another node's key cannot be claimed", () => {
  const setting = new Setting()
  const alice = setting.join()
  const bob = setting.join()
  const rotate = (key: string): object =>
    setting.askAs(alice, challenges.rotateKey(alice.id), { type: 'rotate_key', node_id: alice.id, new_public_key: key })
  assert.deepEqual(rotate(bob.identity.publicKeyBase64), {
    type: 'error',
    error: 'new_public_key already belongs to another node',
  })
  const next = { id: alice.id, identity: newIdentity(77) }
  assert.equal((rotate(next.identity.publicKeyBase64) as { type: string }).type, 'rotate_key_ok')
  assert.deepEqual(setting.heartbeat(alice), REFUSED)
  assert.equal(setting.heartbeat(next)['type'], 'heartbeat_ok')
  setting.restart()
  assert.equal(setting.ask(setting.registration(next.identity))['node_id'], alice.id)
  assert.notEqual(setting.ask(setting.registration(alice.identity))['node_id'], alice.id, 'the old key is unknown now')
})

test('made-up keys from many addresses use up neither the ids nor the place of keys that sign', () => {
  const setting = new Setting()
  let made = 0
  const register = (): boolean => {
    const key = new Uint8Array(32).fill(3)
    new DataView(key.buffer).setUint32(0, ++made)
    const request = { type: 'register', listen_addr: '0.0.0.0:1', public_key: toBase64(key) }
    return setting.ask(request, `10.0.${made >> 8}.${made & 255}`)['type'] === 'register_ok'
  }
  const flood = (): number => Array.from({ length: 3_000 }, register).filter(Boolean).length
  assert.equal(flood(), 2_000)
  setting.now += 1_000
  assert.equal(flood(), 10)
  assert.equal(setting.join().id, 2_011, 'a key that signs has its own allowance')
})

test('new keys are still admitted after the clock of the machine was set back', () => {
  const setting = new Setting()
  setting.join()
  setting.now -= 3_600_000
  assert.equal(setting.join().id, 2)
  assert.equal(setting.join({}, false).id, 3)
})

test('the version that a node reports is shown and kept; what does not look like one is not', () => {
  const setting = new Setting()
  const { id, identity } = setting.join({ version: '1.18.0' })
  const shown = (): unknown => setting.ask({ type: 'lookup', node_id: id })['version']
  assert.equal(shown(), '1.18.0')
  setting.restart()
  assert.equal(shown(), '1.18.0')
  for (const version of ['\u001b[31m1.18', 'x'.repeat(33), '', 7]) {
    setting.ask(setting.registration(identity, { version }))
    assert.equal(shown(), undefined, String(version))
  }
})

test('a new key that the old one names in its signature, as daemons of today do, replaces it; another does not', () => {
  const setting = new Setting()
  const alice = setting.join()
  const [next, other] = [newIdentity(71).publicKeyBase64, newIdentity(72).publicKeyBase64]
  const rotate = (key: string): unknown =>
    setting.askAs(alice, challenges.rotateKeyTo(alice.id, next), {
      type: 'rotate_key',
      node_id: alice.id,
      new_public_key: key,
    })['type']
  assert.equal(rotate(other), 'error')
  assert.equal(rotate(next), 'rotate_key_ok')
  assert.equal(setting.ask({ type: 'lookup', node_id: alice.id })['public_key'], next)
})
