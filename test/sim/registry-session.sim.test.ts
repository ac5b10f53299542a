/** What a registry or an eavesdropper can do with a node's requests: use none of them elsewhere or twice. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { toBase64, utf8 } from '../../src/base/bytes.ts'
import { ClientSession } from '../../src/server/registry/session.ts'
import { Registry } from '../../src/server/registry/registry.ts'
import { MemoryStore } from '../../src/server/store/memory-store.ts'
import { challenges } from '../../src/wire/registry-messages.ts'
import { EPOCH_MS } from './simulator/sim-registry.ts'
import { SimOverlay } from './simulator/overlay.ts'

type Message = Readonly<Record<string, unknown>>

const PLAIN_TCP = { certificate: undefined, isBehindProxy: false }

function typeOf(message: object): unknown {
  return (message as Message)['type']
}

test('with a registry that supports sessions only the session is signed, and it covers all requests', () => {
  const sim = new SimOverlay({ seed: 1 })
  const [a, b] = sim.pair()
  b.listen(80)
  const stream = a.dial('agent-b', 80)
  sim.until('open', 5_000, () => stream.state === 'open')
  assert.deepEqual(sim.registry.requests.slice(0, 2).sort(), ['session_hello', 'session_hello'])
  for (const request of sim.registry.seen) {
    if (typeOf(request) === 'session_hello' || typeOf(request) === 'session_open') continue
    assert.ok(!('signature' in request), `${String(typeOf(request))} is signed in the older form`)
    assert.ok('mac' in request && 'seq' in request)
  }
})

test('messages from a session are refused on any other connection, by the same registry and by another', () => {
  const sim = new SimOverlay({ seed: 1 })
  const a = sim.node('agent-a', { tags: ['ci'] })
  sim.until('registered', 5_000, () => a.registered)
  sim.run(2_000)
  const elsewhere = new Registry(new MemoryStore(new Map()), 0)
  for (const registry of [sim.registry, undefined]) {
    const session = new ClientSession(PLAIN_TCP)
    for (const request of sim.registry.seen.slice()) {
      let reply: object | undefined = {}
      if (registry === undefined) reply = elsewhere.handle(EPOCH_MS, '192.0.2.66', 1, request, session)
      else registry.answer('192.0.2.66', request, session, (answer) => (reply = answer))
      if (typeOf(request) !== 'session_hello') assert.equal(typeOf(reply), 'error', String(typeOf(request)))
    }
  }
})

test('a changed, dropped or repeated request ends the session', () => {
  for (const change of ['value', 'order', 'twice'] as const) {
    const sim = new SimOverlay({ seed: 1 })
    const a = sim.node('agent-a')
    const session = new ClientSession(PLAIN_TCP)
    const registry = new Registry(new MemoryStore(new Map()), 0)
    sim.until('registered', 5_000, () => a.registered)
    // Replayed from the start by a relay, to a registry that answers for itself.
    a.turn((now) => a.core.handleRegistryDisconnected(now))
    a.turn((now) => a.core.handleRegistryConnected(now))
    const say = (message: object): object =>
      registry.handle(EPOCH_MS, '192.0.2.1', 1, JSON.parse(JSON.stringify(message)), session)
    const next = (): object => {
      a.core.handleTimeout(sim.world.nowMs)
      const message = a.core.pollRegistryRequest()
      assert.ok(message !== undefined)
      return message
    }
    a.core.handleRegistryReply(sim.world.nowMs, say(next())) // hello
    a.core.handleRegistryReply(sim.world.nowMs, say(next())) // open
    const register = next()
    assert.equal(typeOf(register), 'register')
    if (change === 'value') assert.equal(typeOf(say({ ...register, listen_addr: '192.0.2.66:666' })), 'error')
    else if (change === 'order') assert.equal(typeOf(say({ ...register, seq: 2 })), 'error')
    assert.equal(typeOf(say(register)), 'register_ok')
    if (change === 'twice') assert.equal(typeOf(say(register)), 'error')
  }
})

test('old-style signatures by a key that has used a session are rejected, even after a registry restart', () => {
  const sim = new SimOverlay({ seed: 1 })
  const a = sim.node('agent-a')
  sim.until('registered', 5_000, () => a.registered)
  const signature = toBase64(a.identity.sign(utf8(challenges.setVisibility(a.nodeId))))
  const request = { type: 'set_visibility', node_id: a.nodeId, public: true, signature }
  assert.equal(typeOf(sim.registry.handle('192.0.2.66', request)), 'error')
  a.kill()
  sim.registry.restart(false)
  assert.equal(typeOf(sim.registry.handle('192.0.2.66', request)), 'error')
})

test('a registry without session support gets old-style signatures, but never one that had supported sessions', () => {
  const sim = new SimOverlay({ seed: 1 })
  sim.registry.knowsSessions = false
  const [a, b] = sim.pair()
  b.listen(80)
  const stream = a.dial('agent-b', 80)
  sim.until('open', 5_000, () => stream.state === 'open')
  sim.registry.knowsSessions = true
  sim.registry.stop()
  sim.registry.restart(false)
  sim.run(1_000)
  sim.until('registered in a session', 10_000, () => a.registered && b.registered)
  sim.registry.knowsSessions = false
  sim.registry.stop()
  sim.registry.restart(false)
  const before = sim.registry.seen.length
  sim.run(10_000)
  const later = sim.registry.seen.slice(before)
  assert.ok(later.length > 0, 'it keeps asking for a session')
  assert.deepEqual(
    later.filter((request) => typeOf(request) !== 'session_hello'),
    [],
  )
  assert.ok(
    a.eventsOf('registry_refused').some(({ request }) => request === 'session'),
    'and says so',
  )
})

test('a session is bound to the certificate shown to the client', () => {
  const [own, other] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)]
  for (const [channel, shown, isTaken] of [
    [{ certificate: own, isBehindProxy: false }, own, true],
    [{ certificate: own, isBehindProxy: false }, other, false], // relayed from another registry
    [{ certificate: own, isBehindProxy: false }, undefined, false],
    [{ certificate: undefined, isBehindProxy: false }, other, false], // and relayed to our plain port
    [{ certificate: undefined, isBehindProxy: false }, undefined, true],
    [{ certificate: undefined, isBehindProxy: true }, other, true],
  ] as const) {
    const sim = new SimOverlay({ seed: 1 })
    const a = sim.node('agent-a')
    const session = new ClientSession(channel)
    const registry = new Registry(new MemoryStore(new Map()), 0)
    a.turn((now) => a.core.handleRegistryConnected(now, shown))
    const replies: unknown[] = []
    for (let i = 0; i < 2; i++) {
      const message = a.core.pollRegistryRequest()
      assert.ok(message !== undefined)
      const reply = registry.handle(EPOCH_MS, '192.0.2.1', 1, message, session)
      replies.push(typeOf(reply))
      a.core.handleRegistryReply(0, reply)
    }
    assert.deepEqual(replies, ['session_hello_ok', isTaken ? 'session_open_ok' : 'error'])
  }
})
