/** Two tunnels in isolation: what each answers, which keys it uses, and what an old PILA does. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AEAD_TAG_BYTES, nodeCrypto } from '../../../../src/crypto/aead.ts'
import type { Identity } from '../../../../src/crypto/identity.ts'
import { createIdentity } from '../../../../src/crypto/identity.ts'
import { createSlot, sealSlot } from '../../../../src/proto/node/datagram-slot.ts'
import {
  CANDIDATE_MS,
  GRACE_MS,
  HANDSHAKE_LIMIT_MS,
  REKEY_MS,
  REKEY_TURN_MS,
  REPEAT_ANSWERS,
} from '../../../../src/proto/tunnel/constants.ts'
import {
  TUNNEL_CONFIRMED,
  TUNNEL_FAILED,
  TUNNEL_READY,
  TUNNEL_REKEYED,
  Tunnel,
} from '../../../../src/proto/tunnel/tunnel.ts'
import {
  AUTH_FRAME_BYTES,
  BOUND_AUTH_FRAME_BYTES,
  CONTINUED_AUTH_FRAME_BYTES,
  SEALED_HEADER_BYTES,
  decodeAuthFrame,
} from '../../../../src/wire/tunnel-frames.ts'
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

  /** @returns how the other side handled our PILA. */
  sendAuth(now: number, to: Side): string {
    return this.deliver(now, to, this.takeAuth(to))
  }

  takeAuth(to: Side): Uint8Array {
    return this.tunnel.takeAuth(to.id, to.identity.publicKey)
  }

  deliver(now: number, to: Side, bytes: Uint8Array): string {
    const frame = decodeAuthFrame(bytes)
    assert.ok(typeof frame !== 'string')
    return to.tunnel.handleAuth(now, frame, this.identity.publicKey, 0)
  }

  /** @param asks under the announced keys: it asks for their confirmation. */
  seal(now: number, text: string, asks = false): Uint8Array {
    const slot = createSlot()
    slot.buffer.set(Buffer.from(text), SEALED_HEADER_BYTES)
    slot.key = this.tunnel.stamp(now, slot.buffer, 0, asks)
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

/** Both have each other's keys and have received a frame. */
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
  assert.equal(a.tunnel.authDue, true)
  a.sendAuth(0, b)
  assert.equal(b.tunnel.takeNews(), TUNNEL_READY)
  assert.ok(b.tunnel.authDue, 'answered at once')
  b.sendAuth(0, a)
  assert.equal(a.tunnel.takeNews(), TUNNEL_READY)
  b.open(0, a.seal(0, 'x'))
  assert.equal(b.tunnel.takeNews(), TUNNEL_CONFIRMED)
})

test('an unanswered exchange is repeated and fails exactly at its limit', () => {
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
  assert.equal(a.open(210, under), 'old', 'frames in flight still open')
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

test("keys from before a peer's restart never return, whatever is replayed", () => {
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
  assert.equal(b.tunnel.handleAuth(0, good, b.identity.publicKey, 0), 'wrong_identity')
  const spoilt = (signature: Uint8Array): Uint8Array => signature.map((byte, i) => (i === 3 ? byte ^ 1 : byte))
  const binding = { recipient: 2, signature: spoilt(good.binding!.signature) }
  assert.equal(b.tunnel.handleAuth(0, { ...good, binding }, a.identity.publicKey, 0), 'bad_signature')
  const plain = { ...good, binding: undefined, signature: spoilt(good.signature) }
  assert.equal(b.tunnel.handleAuth(0, plain, a.identity.publicKey, 0), 'bad_signature')
  assert.equal(b.tunnel.ready, false)
})

test('a key meant for another node is refused, as is one without a recipient from a node that names them', () => {
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

test('with a peer that sends no bindings keys are agreed as in the reference', () => {
  const [a, b] = [new Side(1), new Side(2)]
  const plain = (side: Side, to: Side): Uint8Array => side.takeAuth(to).subarray(0, AUTH_FRAME_BYTES)
  assert.equal(a.deliver(0, b, plain(a, b)), 'new_key')
  assert.equal(b.deliver(0, a, plain(b, a)), 'new_key')
  assert.equal(b.open(0, a.seal(0, 'x')), 'x')
  assert.equal(a.open(0, b.seal(0, 'y')), 'y')
  assert.ok(!a.tunnel.isBinding && !b.tunnel.isBinding)
})

test('a copy without its binding that arrives first delays the tunnel but does not end it', () => {
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

test('keys never reach a log', () => {
  assert.equal(JSON.stringify({ tunnel: connected()[0].tunnel }), '{"tunnel":"[tunnel]"}')
})

/** Exchanges PILA until neither has one due; then a frame each way. @returns news of the two. */
function settle(now: number, a: Side, b: Side): [number, number] {
  for (let i = 0; i < 10 && (a.tunnel.authDue || b.tunnel.authDue); i++)
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const)
      if (from.tunnel.authDue) from.sendAuth(now, to)
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const)
    assert.equal(to.open(now, from.seal(now, '?', true)), '?')
  return [a.tunnel.takeNews(), b.tunnel.takeNews()]
}

function keysOf(side: Side): unknown {
  return side.tunnel.keys[0]
}

test('old keys are replaced at both ends with the next frame, without the peer counting as restarted', () => {
  const [a, b] = connected()
  settle(40, a, b)
  const before = [keysOf(a), keysOf(b)]
  const late = b.seal(100, 'late')
  assert.equal(b.open(REKEY_MS, a.seal(REKEY_MS, 'x')), 'x', 'not yet old enough')
  assert.equal(a.tunnel.authDue, false)
  const now = REKEY_MS + 100
  assert.equal(b.open(now, a.seal(now, 'under the old keys')), 'under the old keys')
  assert.equal(a.tunnel.authDue, true)
  b.seal(now, 'x')
  assert.ok(!b.tunnel.authDue, 'the other end waits a little longer')
  assert.deepEqual(settle(now + 10, a, b), [0, 0], 'no peer is reported as restarted, or as reconnected')
  assert.ok(keysOf(a) !== before[0] && keysOf(b) !== before[1])
  assert.equal(a.open(now + 20, late), 'late', 'frames in flight are opened')
  assert.equal(a.open(now + 20, late), 'replay')
  assert.equal(b.open(now + 20, a.seal(now + 20, 'new')), 'new')
  a.tunnel.handleTimeout(now + 20 + GRACE_MS)
  assert.equal(a.tunnel.keys.length, 1, 'the old keys are gone')
})

test('a key exchange whose frames are lost is retried, and the old keys work meanwhile', () => {
  const [a, b] = connected()
  settle(40, a, b)
  const before = keysOf(a)
  let now = REKEY_MS + 100
  for (let i = 0; i < 5; i++, now += 2_500) {
    assert.equal(b.open(now, a.seal(now, 'x')), 'x')
    assert.equal(a.tunnel.authDue, true)
    const lost = a.takeAuth(b)
    if (i % 2 === 1) {
      a.deliver(now, b, lost)
      b.takeAuth(a) // and the answer is lost
    }
    a.tunnel.handleTimeout(now)
    b.tunnel.handleTimeout(now)
  }
  assert.ok(keysOf(a) === before)
  a.seal(now, 'x')
  assert.deepEqual(settle(now, a, b), [0, 0])
  assert.ok(keysOf(a) !== before)
})

/** The new keys are in use at b; a has given them up, because the frame that would have confirmed them was lost. */
function divided(): { a: Side; b: Side; now: number } {
  const [a, b] = connected()
  settle(40, a, b)
  const now = REKEY_MS + 100
  a.seal(now, 'x')
  a.sendAuth(now, b)
  b.sendAuth(now, a)
  assert.equal(b.open(now, a.seal(now, '?', true)), '?')
  b.seal(now, 'lost')
  const later = now + GRACE_MS + CANDIDATE_MS
  for (const side of [a, b]) side.tunnel.handleTimeout(later)
  assert.equal(a.open(later, b.seal(later, 'y')), 'bad_tag')
  return { a, b, now: later }
}

test('ends that have come apart over a lost frame find together with one PILA, from either side', () => {
  for (const isFromA of [true, false]) {
    const { a, b, now } = divided()
    if (isFromA) a.sendAuth(now, b)
    b.sendAuth(now, a)
    settle(now, a, b)
    assert.equal(b.open(now + 20, a.seal(now + 20, 'x')), 'x')
    assert.equal(a.open(now + 20, b.seal(now + 20, 'y')), 'y')
  }
})

test('nor do they stay apart if one has drawn a new key meanwhile', () => {
  const { a, b, now } = divided()
  const later = now + REKEY_MS + REKEY_TURN_MS
  b.seal(later, 'x') // too old: b draws a key
  b.sendAuth(later, a)
  a.sendAuth(later, b)
  settle(later, a, b)
  assert.equal(b.open(later + 20, a.seal(later + 20, 'x')), 'x')
  assert.equal(a.open(later + 20, b.seal(later + 20, 'y')), 'y')
})

test('both ends may start at once', () => {
  const [a, b] = connected()
  settle(40, a, b)
  const now = REKEY_MS + REKEY_TURN_MS + 100
  for (const side of [a, b]) side.seal(now, 'x')
  const [ours, theirs] = [a.takeAuth(b), b.takeAuth(a)]
  assert.deepEqual([a.deliver(now, b, ours), b.deliver(now, a, theirs)], ['new_key', 'new_key'])
  assert.deepEqual(settle(now + 10, a, b), [0, 0])
  assert.equal(b.open(now + 20, a.seal(now + 20, 'x')), 'x')
  assert.equal(a.open(now + 20, b.seal(now + 20, 'y')), 'y')
})

test('a peer that restarts in the middle of it counts as restarted', () => {
  const [a, b] = connected()
  settle(40, a, b)
  const now = REKEY_MS + 100
  a.seal(now, 'x')
  a.sendAuth(now, b) // b's answer comes too late
  b.restart()
  b.tunnel.start(now + 10)
  b.sendAuth(now + 10, a)
  const [news] = settle(now + 20, a, b)
  assert.ok((news & TUNNEL_REKEYED) !== 0)
})

test('a continuation that is forged or taken from another exchange is rejected', () => {
  const [a, b] = connected()
  settle(40, a, b)
  const now = REKEY_MS + 100
  a.seal(now, 'x')
  const takeAuth = a.takeAuth.bind(a)
  a.takeAuth = (to) => {
    const frame = takeAuth(to).slice()
    assert.equal(frame.length, CONTINUED_AUTH_FRAME_BYTES)
    frame[BOUND_AUTH_FRAME_BYTES + 4]! ^= 1
    return frame
  }
  assert.equal(a.sendAuth(now, b), 'new_key')
  const [, news] = settle(now + 10, a, b)
  assert.ok((news & TUNNEL_REKEYED) !== 0, 'without a valid proof it counts as a restart')
})

test('a continuation of one key proves nothing about another: an attacker cannot hide a restart', () => {
  const [a, b] = connected()
  settle(40, a, b)
  const now = REKEY_MS + 100
  a.seal(now, 'x')
  const continued = a.takeAuth(b).slice() // anyone can get it: a frame in the peer's name makes a node show its key
  a.restart()
  a.tunnel.start(now + 10)
  const fresh = a.takeAuth(b)
  assert.equal(fresh.length, BOUND_AUTH_FRAME_BYTES)
  assert.equal(a.deliver(now + 10, b, Buffer.concat([fresh, continued.subarray(BOUND_AUTH_FRAME_BYTES)])), 'new_key')
  const [, news] = settle(now + 20, a, b)
  assert.ok((news & TUNNEL_REKEYED) !== 0)
})

test('a copy without its continuation that arrives first does not count as a restart', () => {
  const [a, b] = connected()
  settle(40, a, b)
  const now = REKEY_MS + 100
  a.seal(now, 'x')
  const frame = a.takeAuth(b).slice()
  assert.equal(a.deliver(now, b, frame.subarray(0, BOUND_AUTH_FRAME_BYTES)), 'new_key')
  assert.equal(a.deliver(now + 1, b, frame), 'known_key')
  assert.deepEqual(settle(now + 10, a, b), [0, 0])
})

test('a peer without bindings keeps its key, however old', () => {
  const [a, b] = [new Side(1), new Side(2)]
  const plain = (side: Side, to: Side): Uint8Array => side.takeAuth(to).subarray(0, AUTH_FRAME_BYTES)
  a.tunnel.start(0)
  a.deliver(0, b, plain(a, b))
  b.deliver(0, a, plain(b, a))
  assert.equal(b.open(10, a.seal(10, 'x')), 'x')
  assert.equal(a.open(10, b.seal(10, 'y')), 'y')
  a.takeAuth(b) // an answer that is still due
  for (let now = 1_000; now < 100 * REKEY_MS; now += REKEY_MS) {
    a.seal(now, 'x')
    assert.equal(a.tunnel.authDue, false)
  }
})

test('with bindings on both sides each direction has its own key', () => {
  const [a, b] = connected()
  settle(40, a, b)
  const own = a.seal(50, 'x')
  assert.equal(a.open(50, own), 'bad_tag', 'a reflected frame does not open')
  assert.equal(b.open(50, own), 'x')
})
