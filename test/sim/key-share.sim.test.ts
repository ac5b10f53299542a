/**
 * Mallory, known to bob but not to alice, carries each one's key exchange to the other: she presents alice's X25519 key
 * to bob as her own (an unknown key-share attack). She can decrypt nothing, and must not get one of alice's tunnels
 * routed through her.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readU32, toBase64, utf8 } from '../../src/base/bytes.ts'
import type { Endpoint, NodeId } from '../../src/base/types.ts'
import { createIdentity } from '../../src/crypto/identity.ts'
import { x25519PublicKey } from '../../src/crypto/key-agreement.ts'
import { RELAY_HEADER_BYTES } from '../../src/wire/beacon-messages.ts'
import { challenges } from '../../src/wire/registry-messages.ts'
import {
  AUTH_FRAME_BYTES,
  MAGIC_AUTH,
  MAGIC_SEALED,
  authChallenge,
  decodeAuthFrame,
  encodeAuthFrame,
} from '../../src/wire/tunnel-frames.ts'
import type { Datagram } from './simulator/network.ts'
import { SimOverlay } from './simulator/overlay.ts'
import type { SimNode } from './simulator/sim-node.ts'

/** In front of a frame that the beacon delivers: type(1) sender(4). */
const RELAY_DELIVER_HEADER_BYTES = 5

class Mallory {
  readonly endpoint: Endpoint = { address: '192.0.2.66', port: 666 }
  /** Alice's sealed frames that reached her: each one is missing at bob. */
  diverted = 0
  readonly #sim: SimOverlay
  readonly #identity
  readonly #nodeId: NodeId
  readonly #alice: SimNode
  readonly #bob: SimNode
  readonly #isStripping: boolean

  /** @param isStripping she strips the recipient from bob's frames. */
  constructor(sim: SimOverlay, alice: SimNode, bob: SimNode, isStripping: boolean) {
    this.#sim = sim
    this.#alice = alice
    this.#bob = bob
    this.#isStripping = isStripping
    this.#identity = createIdentity(sim.random.bytes(32))
    const key = this.#identity.publicKeyBase64
    const reply = sim.registry.handle(this.endpoint.address, {
      type: 'register',
      listen_addr: `${this.endpoint.address}:${this.endpoint.port}`,
      public_key: key,
      signature: toBase64(
        this.#identity.sign(utf8(challenges.register(`${this.endpoint.address}:${this.endpoint.port}`, key))),
      ),
    })
    this.#nodeId = Number((reply as Record<string, unknown>)['node_id'])
    sim.network.attach(this.endpoint, (bytes, source) => this.#onDatagram(bytes, source))
  }

  /** Makes bob show her a key that only she sees. */
  knock(): void {
    this.#showBob(x25519PublicKey(this.#sim.random.bytes(32)))
  }

  #onDatagram(bytes: Uint8Array, source: Endpoint): void {
    const isBob = source.address === this.#bob.endpoint.address
    const magic = readU32(bytes, 0)
    if (isBob && magic === MAGIC_AUTH)
      this.#forward(this.#alice, this.#isStripping ? bytes.subarray(0, AUTH_FRAME_BYTES) : bytes)
    else if (isBob && magic === MAGIC_SEALED) this.#forward(this.#alice, bytes)
    else if (magic === MAGIC_AUTH) {
      const frame = decodeAuthFrame(bytes)
      if (typeof frame !== 'string') this.#showBob(frame.x25519)
    } else if (magic === MAGIC_SEALED) this.diverted += 1
  }

  #forward(to: SimNode, bytes: Uint8Array): void {
    this.#sim.network.send(this.endpoint, to.endpoint, bytes)
  }

  #showBob(x25519: Uint8Array): void {
    const signature = this.#identity.sign(authChallenge(this.#nodeId, x25519))
    this.#forward(
      this.#bob,
      encodeAuthFrame({ sender: this.#nodeId, x25519, ed25519: this.#identity.publicKey, signature }),
    )
  }
}

/** A wire on which keys name no recipient, as sent by Go daemons and older pilotgates. */
function stripAll(sim: SimOverlay): void {
  sim.network.drops = ({ from, to, bytes }: Datagram): boolean => {
    const at = [0, RELAY_DELIVER_HEADER_BYTES, RELAY_HEADER_BYTES].find(
      (start) => bytes.length > start + AUTH_FRAME_BYTES && readU32(bytes, start) === MAGIC_AUTH,
    )
    if (at === undefined) return false
    sim.network.inject(from, to, bytes.subarray(0, at + AUTH_FRAME_BYTES), 10)
    return true
  }
}

for (const [name, isStripping, isPlain] of [
  ['that name their recipient', false, false],
  ['with the recipient cut off', true, false],
  ['that never named their recipient', true, true],
] as const) {
  for (const seed of [1, 2, 3, 4]) {
    test(`key exchanges ${name}, relayed by a third party, neither re-key nor divert a tunnel (seed ${seed})`, () => {
      const sim = new SimOverlay({ seed, path: { delayMs: 10, jitterMs: 5 } })
      if (isPlain) stripAll(sim)
      const [alice, bob] = sim.pair({ b: { public: true } })
      bob.listen(80, (stream) => {
        stream.echo = true
      })
      const stream = alice.dial('agent-b', 80)
      stream.write(sim.random.bytes(1_000))
      sim.until('first echo', 5_000, () => stream.receivedBytes === 1_000)
      sim.run(2_000)
      const mallory = new Mallory(sim, alice, bob, isStripping)
      for (let i = 0; i < 40; i++) {
        mallory.knock()
        stream.write(sim.random.bytes(1_000))
        sim.run(250)
      }
      assert.equal(mallory.diverted, 0, 'sealed frames of alice go to mallory')
      assert.deepEqual(alice.peer(bob)?.paths.current?.endpoint, bob.endpoint)
      // Without recipients alice checks with the real bob, and they agree on new keys: no harm done.
      const restarts = alice.eventsOf('peer').filter(({ state }) => state === 'restarted')
      if (!isPlain) assert.deepEqual(restarts, [], 'bob seems to have restarted')
      sim.until('everything echoed', 1_000, () => stream.receivedBytes === 41_000)
      assert.equal(stream.end, undefined)
    })
  }
}
