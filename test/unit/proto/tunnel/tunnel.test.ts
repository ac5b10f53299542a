/** Two tunnels on their own: what each answers, which keys it uses, and what an old PILA does. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AEAD_TAG_BYTES, nodeCrypto } from '../../../../src/crypto/aead.ts'
import type { Identity } from '../../../../src/crypto/identity.ts'
import { createIdentity } from '../../../../src/crypto/identity.ts'
import { createSlot, sealSlot } from '../../../../src/proto/node/datagram-slot.ts'
import { CANDIDATE_MS, HANDSHAKE_LIMIT_MS, REPEAT_ANSWERS } from '../../../../src/proto/tunnel/constants.ts'
import {
  TUNNEL_CONFIRMED,
  TUNNEL_FAILED,
  TUNNEL_READY,
  TUNNEL_REKEYED,
  Tunnel,
} from '../../../../src/proto/tunnel/tunnel.ts'
import { AUTH_FRAME_BYTES, SEALED_HEADER_BYTES, decodeAuthFrame } from '../../../../src/wire/tunnel-frames.ts'
import { Random } from '../../../sim/simulator/random.ts'

class Side {
  readonly identity: Identity
  readonly random: Random
  readonly id: number
  tunnel: Tunnel

  constructor(id: number) {
    this.id = id
    this.random = new Random(id)
    this.identity = createIdentity(this.random.bytes(32))
    this.tunnel = this.#fresh()
  }

  restart(): void {
    this.tunnel = this.#fresh()
  }

  /** @returns how the other side took our PILA. */
  sendAuth(now: number, to: Side): string {
    return this.deliver(now, to, this.takeAuth(to))
  }

  takeAuth(to: Side): Uint8Array {
    return this.tunnel.takeAuth(to.id, to.identity.publicKey)
  }

  deliver(now: number, to: Side, bytes: Uint8Array): string {
    const frame = decodeAuthFrame(bytes)
    assert.ok(typeof frame !== 'string')
    return to.tunnel.handleAuth(now, frame, this.identity.publicKey)
  }

  seal(now: number, text: string): Uint8Array {
    const slot = createSlot()
    slot.buffer.set(Buffer.from(text), SEALED_HEADER_BYTES)
    slot.key = this.tunnel.stamp(now, slot.buffer, 0)
    slot.sealFrom = SEALED_HEADER_BYTES
    slot.length = SEALED_HEADER_BYTES + text.length + AEAD_TAG_BYTES
    sealSlot(slot)
    return slot.buffer.slice(0, slot.length)
  }

  open(now: number, frame: Uint8Array): string {
    const packet = this.tunnel.open(now, frame.slice())
    if (typeof packet !== 'string') this.tunnel.accept(now)
    return typeof packet === 'string' ? packet : Buffer.from(packet).toString()
  }

  #fresh(): Tunnel {
    return new Tunnel({ identity: this.identity, crypto: nodeCrypto, random: this.random.bytes }, this.id)
  }
}

/** Both have each other's keys and have heard each other. */
function connected(): [Side, Side] {
  const [a, b] = [new Side(1), new Side(2)]
  a.tunnel.start(0)
  assert.equal(a.sendAuth(0, b), 'new_key')
  assert.equal(b.sendAuth(10, a), 'new_key')
  assert.equal(b.open(20, a.seal(20, 'x')), 'x')
  assert.equal(a.open(30, b.seal(30, 'y')), 'y')
  assert.ok(a.tunnel.confirmed && b.tunnel.confirmed)
  a.tunnel.takeNews()
  b.tunnel.takeNews()
  return [a, b]
}

test('one PILA each, and both can seal; the first frame that opens confirms the keys', () => {
  const [a, b] = [new Side(1), new Side(2)]
  a.tunnel.start(0)
  assert.ok(a.tunnel.authDue)
  a.sendAuth(0, b)
  assert.equal(b.tunnel.takeNews(), TUNNEL_READY)
  assert.ok(b.tunnel.authDue, 'answered at once')
  b.sendAuth(0, a)
  assert.equal(a.tunnel.takeNews(), TUNNEL_READY)
  b.open(0, a.seal(0, 'x'))
  assert.equal(b.tunnel.takeNews(), TUNNEL_CONFIRMED)
})

test('an exchange without an answer is repeated and fails after its limit, at that very instant', () => {
  for (const start of [0, 0.1, 12_345.678_9, 131_071.999_999, 2_000_000.000_1]) {
    const [a, b] = [new Side(1), new Side(2)]
    a.tunnel.start(start)
    let shown = 0
    let at = a.tunnel.nextTimeout()
    for (let i = 0; i < 100 && at !== Infinity; i++) {
      a.tunnel.handleTimeout(at)
      if (a.tunnel.authDue) {
        shown += 1
        a.takeAuth(b)
      }
      at = a.tunnel.nextTimeout()
    }
    assert.equal(at, Infinity, `still due at ${at}, begun at ${start}`)
    assert.equal(a.tunnel.takeNews(), TUNNEL_FAILED)
    assert.ok(shown >= 3 && shown <= 6, `${shown} PILA in ${HANDSHAKE_LIMIT_MS} ms`)
  }
})

test('a known key is answered while it is unconfirmed, a limited number of times', () => {
  const [a, b] = [new Side(1), new Side(2)]
  a.tunnel.start(0)
  const frame = a.takeAuth(b)
  a.deliver(0, b, frame)
  b.takeAuth(a)
  let answers = 0
  for (let now = 0; now < 100_000; now += 100) {
    assert.equal(a.deliver(now, b, frame), 'known_key')
    if (b.tunnel.authDue) answers += 1
    b.takeAuth(a)
  }
  assert.ok(answers > 0 && answers <= REPEAT_ANSWERS, `${answers} answers`)
})

test('a PILA of a restarted peer does not end the keys in use; a frame under the new ones does', () => {
  const [a, b] = connected()
  const under = b.seal(100, 'old')
  b.restart()
  b.tunnel.start(200)
  assert.equal(b.sendAuth(200, a), 'new_key')
  assert.equal(a.open(210, under), 'old', 'what was under way still opens')
  a.sendAuth(220, b)
  assert.equal(a.open(230, b.seal(230, 'new')), 'new')
  assert.equal(a.tunnel.takeNews() & TUNNEL_REKEYED, TUNNEL_REKEYED)
  assert.equal(b.open(240, a.seal(240, 'answer')), 'answer')
})

test('an old PILA that is replayed leaves the keys in use, and is forgotten', () => {
  const [a, b] = connected()
  const stranger = new Side(2) // b's identity with an earlier key
  assert.equal(stranger.deliver(1_000, a, stranger.takeAuth(a)) === 'new_key' || true, true)
  for (let now = 1_000; now < 40_000; now += 1_000) {
    stranger.deliver(now, a, stranger.takeAuth(a))
    a.tunnel.handleTimeout(now)
    assert.equal(b.open(now, a.seal(now, 'x')), 'x')
    assert.equal(a.open(now, b.seal(now, 'y')), 'y')
  }
  a.tunnel.handleTimeout(40_000 + CANDIDATE_MS)
  assert.equal(a.tunnel.hasCandidate, false)
})

test('the keys of an earlier life of the peer never come back, whatever of it is replayed', () => {
  const [a, b] = connected()
  const oldAuth = b.takeAuth(a)
  const oldFrames = Array.from({ length: 5 }, (_, i) => b.seal(50, `old ${i}`))
  b.restart()
  b.tunnel.start(100)
  b.sendAuth(100, a)
  a.sendAuth(110, b)
  a.open(120, b.seal(120, 'new'))
  a.tunnel.takeNews()
  for (let now = 20_000; now < 40_000; now += 500) {
    a.tunnel.handleTimeout(now)
    b.deliver(now, a, oldAuth)
    for (const frame of oldFrames) assert.ok(!a.open(now, frame).startsWith('old'), 'an old frame opens')
  }
  assert.equal(a.tunnel.takeNews() & TUNNEL_REKEYED, 0)
  assert.equal(b.open(40_000, a.seal(40_000, 'x')), 'x')
})

test('a frame opens once', () => {
  const [a, b] = connected()
  const frame = a.seal(100, 'once')
  assert.equal(b.open(100, frame), 'once')
  assert.equal(b.open(101, frame), 'replay')
})

test('another identity, a forged signature and a key of low order are refused', () => {
  const [a, b] = [new Side(1), new Side(2)]
  const good = decodeAuthFrame(a.takeAuth(b))
  assert.ok(typeof good !== 'string')
  assert.equal(b.tunnel.handleAuth(0, good, b.identity.publicKey), 'wrong_identity')
  const spoilt = (signature: Uint8Array): Uint8Array => signature.map((byte, i) => (i === 3 ? byte ^ 1 : byte))
  const binding = { recipient: 2, signature: spoilt(good.binding!.signature) }
  assert.equal(b.tunnel.handleAuth(0, { ...good, binding }, a.identity.publicKey), 'bad_signature')
  const plain = { ...good, binding: undefined, signature: spoilt(good.signature) }
  assert.equal(b.tunnel.handleAuth(0, plain, a.identity.publicKey), 'bad_signature')
  assert.equal(b.tunnel.ready, false)
})

test('a key that is for another node is refused, and so is one without a recipient from a node that names it', () => {
  const [a, b, c] = [new Side(1), new Side(2), new Side(3)]
  assert.equal(a.deliver(0, b, a.takeAuth(c)), 'wrong_recipient')
  assert.equal(a.deliver(0, b, a.takeAuth(b)), 'new_key')
  a.restart()
  assert.equal(a.deliver(2_000, b, a.takeAuth(b).subarray(0, AUTH_FRAME_BYTES)), 'unbound')
  assert.equal(a.deliver(2_000, b, a.takeAuth(b)), 'new_key')
})

test('the recipient in a binding is the holder of a key, not only of a node id', () => {
  const [a, b, other] = [new Side(1), new Side(2), new Side(4)]
  assert.equal(a.deliver(0, b, a.tunnel.takeAuth(b.id, other.identity.publicKey)), 'bad_signature')
})

test('with a peer that sends no bindings the keys are agreed as the reference agrees them', () => {
  const [a, b] = [new Side(1), new Side(2)]
  const plain = (side: Side, to: Side): Uint8Array => side.takeAuth(to).subarray(0, AUTH_FRAME_BYTES)
  assert.equal(a.deliver(0, b, plain(a, b)), 'new_key')
  assert.equal(b.deliver(0, a, plain(b, a)), 'new_key')
  assert.equal(b.open(0, a.seal(0, 'x')), 'x')
  assert.equal(a.open(0, b.seal(0, 'y')), 'y')
  assert.ok(!a.tunnel.isBinding && !b.tunnel.isBinding)
})

test('a copy without its binding that overtakes the real one delays the tunnel, and does not end it', () => {
  const [a, b] = [new Side(1), new Side(2)]
  const frame = a.takeAuth(b)
  assert.equal(a.deliver(0, b, frame.subarray(0, AUTH_FRAME_BYTES)), 'new_key')
  assert.equal(b.sendAuth(0, a), 'new_key')
  assert.equal(b.open(0, a.seal(0, 'x')), 'bad_tag')
  assert.equal(a.deliver(10, b, frame), 'new_key')
  assert.equal(b.open(10, a.seal(10, 'x')), 'x')
  assert.equal(a.open(10, b.seal(10, 'y')), 'y')
})

test('a frame that opens confirms no keys before it is accepted', () => {
  const [a, b] = [new Side(1), new Side(2)]
  a.sendAuth(0, b)
  b.sendAuth(0, a)
  assert.ok(typeof b.tunnel.open(0, a.seal(0, 'for another')) !== 'string')
  assert.equal(b.tunnel.confirmed, false)
  assert.equal(b.tunnel.openedConfirmed, false)
  b.open(0, a.seal(0, 'for us'))
  assert.equal(b.tunnel.confirmed, true)
})

test('keys do not reach a log', () => {
  assert.equal(JSON.stringify({ tunnel: connected()[0].tunnel }), '{"tunnel":"[tunnel]"}')
})
