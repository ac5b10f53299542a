/**
 * Messages of real daemons to an April 2026 registry, from start to stop, replayed to ours with its defaults: every
 * answer must match the recording. And the August 2026 wire format, as far as it concerns a registry.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fromHex, toBase64, toHex, utf8 } from '../../src/base/bytes.ts'
import { createIdentity } from '../../src/crypto/identity.ts'
import { Beacon } from '../../src/server/beacon/beacon.ts'
import { Registry } from '../../src/server/registry/registry.ts'
import { MemoryStore } from '../../src/server/store/memory-store.ts'
import { challenges, RegistryFrameReader } from '../../src/wire/registry-messages.ts'
import { hex, loadVectors } from './load.ts'

type Message = Record<string, unknown>

interface Event {
  readonly type: string
  readonly daemon?: string
  readonly direction?: 'request' | 'response'
  readonly message?: Message
}

interface Sequence {
  readonly name: string
  readonly nodes?: readonly {
    readonly name: string
    readonly node_id: number
    readonly public: boolean
    readonly ed25519_seed: string
  }[]
  readonly events: readonly Event[]
}

const {
  daemon_sequences: daemons,
  trust_handshake_sequences: handshakes,
  admin_token: adminToken,
} = loadVectors<{
  daemon_sequences: Sequence[]
  trust_handshake_sequences: Sequence[]
  admin_token: string
}>('registry-transcript')
const NOW = 1_795_341_353_000 // unix ms

for (const sequence of daemons) {
  test(`a daemon's life: ${sequence.name}`, () => {
    // Where the daemon became node 2, someone with a network was there before.
    const others = (registry: Registry): void => {
      const first = sequence.events.find(({ message }) => message?.['type'] === 'register_ok')?.message?.['node_id']
      if (first !== 2) return
      registry.handle(NOW, '127.0.0.1', 1, {
        type: 'register',
        listen_addr: '127.0.0.1:9',
        public_key: createIdentity(new Uint8Array(32).fill(200)).publicKeyBase64,
      })
      registry.handle(NOW, '127.0.0.1', 1, { type: 'create_network', node_id: 1, name: 'lab', admin_token: adminToken })
    }
    let registry = new Registry(new MemoryStore(), 0, { adminToken })
    others(registry)
    const forgets = (reply: Message): boolean =>
      reply['type'] === 'error' && String(reply['error']).includes('node not found')
    let forgotten = false
    compare(sequence, (request, expected) => {
      if (forgets(expected) && !forgotten) {
        // the recorded registry was restarted with an empty state here
        registry = new Registry(new MemoryStore(), 0, { adminToken })
        forgotten = true
      }
      return registry.handle(NOW, '127.0.0.1', 1, request)
    })
  })
}

for (const sequence of handshakes) {
  test(`two daemons and trust: ${sequence.name}`, () => {
    const registry = new Registry(new MemoryStore(), 0)
    const trusting: object[] = []
    for (const { node_id: id, ed25519_seed: seed, public: isPublic } of sequence.nodes ?? []) {
      const identity = createIdentity(hex(seed))
      const registered = registry.handle(NOW, '127.0.0.1', 1, {
        type: 'register',
        listen_addr: `127.0.0.1:${18_100 + id}`,
        public_key: identity.publicKeyBase64,
      })
      assert.equal((registered as Message)['node_id'], id)
      const signature = toBase64(identity.sign(utf8(challenges.setVisibility(id))))
      registry.handle(NOW, '127.0.0.1', 1, { type: 'set_visibility', node_id: id, public: isPublic, signature })
      // The recording continues where two had come to trust each other.
      const trust = {
        type: 'report_trust',
        node_id: id,
        peer_id: 3 - id,
        signature: toBase64(identity.sign(utf8(challenges.reportTrust(id, 3 - id)))),
      }
      if (sequence.name === 'revoke-delivered') trusting.push(trust)
    }
    for (const trust of trusting)
      assert.equal((registry.handle(NOW, '127.0.0.1', 1, trust) as Message)['type'], 'report_trust_ok')
    compare(sequence, (request) => registry.handle(NOW, '127.0.0.1', 1, request))
  })
}

const august = loadVectors<{
  signer: { ed25519_seed: string }
  registry_register_signature: { challenge: string; signature: string }
  registry_binary: { preamble: string; frames: { name: string; frame: string }[] }
}>('extra-2026-08')

test('a signed registration from newer daemons is accepted, and protects the key from then on', () => {
  const { challenge, signature } = august.registry_register_signature
  const [, address = '', key = ''] = /^register:(.*):([^:]+)$/.exec(challenge) ?? []
  assert.equal(challenges.register(address, key), challenge)
  assert.equal(toBase64(createIdentity(fromHex(august.signer.ed25519_seed)!).sign(utf8(challenge))), signature)
  const registry = new Registry(new MemoryStore(), 0)
  const request = {
    type: 'register',
    listen_addr: address,
    public_key: key,
    signature,
    version: '1.9',
    relay_only: false,
  }
  assert.equal((registry.handle(NOW, '127.0.0.1', 1, request) as Message)['node_id'], 1)
  assert.deepEqual(registry.handle(NOW, '127.0.0.1', 1, { ...request, signature: '' }), {
    type: 'error',
    error: 'signature required to register this key',
  })
})

test('the preamble of the binary wire is refused immediately, so that newer clients use JSON', () => {
  for (const { name, frame } of august.registry_binary.frames) {
    const reader = new RegistryFrameReader()
    reader.push(hex(august.registry_binary.preamble + frame))
    assert.equal(reader.next(), 'too_long', name)
  }
})

test('the newer discover that requests another kind of delivery is ignored, as by April beacons', () => {
  const sent: string[] = []
  const beacon = new Beacon()
  beacon.handle(0, hex('0800000001'), { address: '127.0.0.1', port: 5 }, (bytes) => sent.push(toHex(bytes)))
  assert.deepEqual(sent, [])
  assert.equal(beacon.entryCount, 0)
})

/** Each request with the next response to the same daemon. */
function compare({ name, events }: Sequence, ask: (request: Message, expected: Message) => object): void {
  let compared = 0
  for (const [index, { type, direction, daemon, message }] of events.entries()) {
    if (type !== 'registry' || direction !== 'request' || message === undefined) continue
    const response = events
      .slice(index + 1)
      .find((event) => event.type === 'registry' && event.direction === 'response' && event.daemon === daemon)?.message
    if (response === undefined) continue
    assert.deepEqual(comparable(ask(message, response)), comparable(response), `${name}: ${JSON.stringify(message)}`)
    compared++
  }
  assert.ok(compared > 0, `${name}: nothing was compared`)
}

/** Without times, without what daemons of today read in addition, and without the sender's fields that ours adds to polled entries; it keeps one answer of a node, the reference each of them. */
function comparable(reply: object): unknown {
  const polled = 'requests' in reply
  return JSON.parse(JSON.stringify(reply), (key, value: unknown) => {
    if (key === 'responses' && Array.isArray(value))
      return [...new Set(value.map((entry) => JSON.stringify(entry)))].map((text) => JSON.parse(text) as unknown)
    return ['time', 'timestamp', ...SINCE_APRIL].includes(key) ||
      (polled && (key === 'hostname' || key === 'public_key'))
      ? undefined
      : value
  })
}

/** Of look-ups. */
const SINCE_APRIL = ['key_generation', 'last_seen_unix']
