/**
 * Messages on port 444: the reference believes them from anyone (trust.md §3.1), we only from the tunnel's peer.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { toBase64, utf8 } from '../../src/base/bytes.ts'
import type { HandshakeMessage, HandshakeType } from '../../src/wire/handshake-message.ts'
import { handshakeChallenge } from '../../src/wire/handshake-message.ts'
import { SimOverlay, trusts } from './simulator/overlay.ts'
import type { SimNode } from './simulator/sim-node.ts'

/** Three public nodes; b and c have tunnels to a, no one trusts anyone. */
function three(): { sim: SimOverlay; a: SimNode; b: SimNode; c: SimNode } {
  const sim = new SimOverlay({ seed: 1 })
  const [a, b, c] = ['agent-a', 'agent-b', 'agent-c'].map((name) => sim.node(name, { public: true })) as [
    SimNode,
    SimNode,
    SimNode,
  ]
  sim.until('registered', 5_000, () => [a, b, c].every(({ registered }) => registered))
  const tunnels = [b, c].map((node) => node.dial('agent-a'))
  sim.until('tunnels', 5_000, () => tunnels.every(({ state }) => state === 'open'))
  sim.run(1_000)
  return { sim, a, b, c }
}

function messageOf(
  from: SimNode,
  to: SimNode,
  type: HandshakeType,
  change: Partial<HandshakeMessage> = {},
): HandshakeMessage {
  const signature = toBase64(from.identity.sign(utf8(handshakeChallenge(from.nodeId, to.nodeId))))
  return {
    type,
    nodeId: from.nodeId,
    publicKey: from.identity.publicKeyBase64,
    justification: '',
    signature,
    reason: '',
    timestamp: 1_790_000_000,
    ...change,
  }
}

function give(to: SimNode, from: SimNode, message: HandshakeMessage): string | undefined {
  let fault: string | undefined
  to.turn((now) => {
    fault = to.core.handleHandshake(now, from.nodeId, message)
  })
  return fault
}

test("a message in another node's name, with another key, a foreign signature or none is ignored", () => {
  const { sim, a, b, c } = three()
  for (const type of ['handshake_request', 'handshake_accept', 'handshake_revoke'] as const) {
    assert.equal(give(a, b, messageOf(c, a, type)), 'foreign_node')
    assert.equal(give(a, b, messageOf(b, a, type, { publicKey: c.identity.publicKeyBase64 })), 'wrong_key')
    assert.equal(give(a, b, messageOf(b, a, type, { publicKey: '' })), 'wrong_key', 'the reference checks nothing then')
    assert.equal(give(a, b, messageOf(b, a, type, { signature: messageOf(b, c, type).signature })), 'bad_signature')
    assert.equal(give(a, b, messageOf(b, a, type, { signature: '' })), 'bad_signature')
  }
  sim.run(1_000)
  assert.deepEqual([a.state.trust.trusted, a.state.trust.pending], [[], []])
})

test('an unrequested accept creates no trust, a requested one does; a request waits for a person', () => {
  const { sim, a, b } = three()
  assert.equal(give(a, b, messageOf(b, a, 'handshake_accept')), undefined)
  sim.run(1_000)
  assert.equal(trusts(a, b), false)
  assert.equal(give(a, b, messageOf(b, a, 'handshake_request', { justification: 'please' })), undefined)
  assert.deepEqual(
    a.state.trust.pending.map(({ nodeId, justification }) => [nodeId, justification]),
    [[b.nodeId, 'please']],
  )
  assert.equal(trusts(a, b), false)
  a.requestTrust('agent-b')
  sim.run(100)
  give(a, b, messageOf(b, a, 'handshake_accept'))
  assert.equal(trusts(a, b), true)
})

test("a revocation ends only its sender's trust, and its streams immediately", () => {
  const { sim, a, b, c } = three()
  for (const node of [b, c]) {
    a.requestTrust(node.options.hostname!)
    sim.run(100)
    give(a, node, messageOf(node, a, 'handshake_accept'))
  }
  b.listen(80)
  const stream = a.dial('agent-b', 80)
  sim.until('open', 5_000, () => stream.state === 'open')
  assert.equal(give(a, c, messageOf(b, a, 'handshake_revoke')), 'foreign_node')
  assert.deepEqual([trusts(a, b), trusts(a, c), stream.over], [true, true, false])
  assert.equal(give(a, b, messageOf(b, a, 'handshake_revoke')), undefined)
  assert.deepEqual([trusts(a, b), trusts(a, c)], [false, true])
  sim.until('its streams', 1_000, () => stream.over)
})
