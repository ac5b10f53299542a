/**
 * A connection between two in-memory nodes at startup: registration, names, keys, a stream, bytes in both directions,
 * the end. Code that runs for the first time must be compiled and costs ten times as much; a peer should not wait for
 * that. No socket, timer or clock: the two nodes exchange datagrams directly. Above: node/node.ts, while it waits for
 * the registry. Below: proto/node.
 */
import { formatAddress } from '../../base/address.ts'
import { fromBase64 } from '../../base/bytes.ts'
import type { Endpoint, Instant, NodeId } from '../../base/types.ts'
import { formatEndpoint } from '../../base/types.ts'
import { createIdentity, prepareKey } from '../../crypto/identity.ts'
import type { DatagramSlot } from '../../proto/node/datagram-slot.ts'
import { createSlot, sealSlot } from '../../proto/node/datagram-slot.ts'
import { drain, type Outside } from '../../proto/node/drain.ts'
import type { NodeEvent } from '../../proto/node/events.ts'
import { OverlayCore } from '../../proto/node/core.ts'
import type { NodeOptions } from '../../proto/node/options.ts'
import { RegistryFrameReader, STREAM_EXTENSIONS, encodeRegistryFrame } from '../../wire/registry-messages.ts'
import type { TrustedEntry } from '../../wire/trust-file.ts'
import type { StreamVerbs } from './stream.ts'
import { NodeStream } from './stream.ts'
import { StreamWaiter } from './waiters.ts'

/** The node options that do not depend on its network. */
export type RehearsalOptions = Pick<NodeOptions, 'crypto' | 'crc32' | 'random' | 'timestamp' | 'unixSeconds'>

/** Once per program: a second one would find everything compiled. Also prepares the keys of likely callers. */
export function rehearseOnce(options: RehearsalOptions, trusted: readonly TrustedEntry[]): void {
  for (const { publicKey } of trusted.slice(-MAX_KEYS)) prepareKey(fromBase64(publicKey) ?? NO_KEY)
  if (done) return
  done = true
  rehearse(options).catch(() => {}) // then the first connection is slower, and nothing else
}

/** @returns how many bytes the echo returned: all, or the rehearsal has failed. */
export async function rehearse(options: RehearsalOptions): Promise<number> {
  const [client, server] = [new Actor(options, 1), new Actor(options, 2)]
  client.knows(server)
  server.knows(client)
  for (const actor of [client, server]) actor.core.handleRegistryConnected(actor.now)
  server.core.listen(PORT)
  await exchange(client, server)
  for (const bytes of SIZES) await converse(client, server, bytes)
  return client.received
}

async function converse(client: Actor, server: Actor, bytes: number): Promise<void> {
  client.dial(server)
  await exchange(client, server)
  client.opened?.end(new Uint8Array(bytes))
  await exchange(client, server)
}

/**
 * Until neither has anything to send. Bounded: a failing rehearsal must not delay the program. Other work gets its
 * turns in between.
 */
async function exchange(a: Actor, b: Actor): Promise<void> {
  let quiet = 0
  for (let round = 0; round < MAX_ROUNDS && quiet < QUIET_ROUNDS; round++) {
    const busy = [a.step(), b.step()].includes(true)
    quiet = busy ? 0 : quiet + 1
    a.now += 1
    b.now += 1
    await new Promise((resolve) => setImmediate(resolve)) // Node's streams take their steps
  }
}

class Actor implements Outside {
  readonly core: OverlayCore
  readonly id: NodeId
  readonly hostname: string
  readonly endpoint: Endpoint
  now: Instant = 1
  received = 0
  /** The stream dialled last. */
  opened: NodeStream | undefined
  readonly #key: string
  readonly #verbs: StreamVerbs
  readonly backlog = 0
  readonly #batch = [createSlot()]
  #peer: Actor | undefined
  #replies: object[] = []
  #isBusy = false

  constructor(options: RehearsalOptions, id: NodeId) {
    this.id = id
    this.hostname = `rehearsal-${id}`
    this.endpoint = { address: `192.0.2.${id}`, port: 1 } // RFC 5737: documentation addresses
    const identity = createIdentity(options.random(32))
    this.#key = identity.publicKeyBase64
    const core = (this.core = new OverlayCore(
      {
        ...options,
        identity,
        beacon: undefined,
        fixedEndpoint: this.endpoint,
        localEndpoint: this.endpoint,
        network: { lanEndpoints: [], worldEndpoints: [], ownEndpoints: [] },
        hostname: this.hostname,
        public: true,
        networks: [],
        pinnedKeys: new Map(),
        maxDatagram: () => 1_400,
        maxSegment: 4_096,
      },
      { trusted: [], pending: [] },
      this.now,
    ))
    this.#verbs = {
      write: (stream, bytes) => core.write(this.now, stream, bytes),
      shutdown: (stream) => core.shutdown(this.now, stream),
      close: (stream) => core.close(this.now, stream),
      reset: (stream) => core.reset(this.now, stream),
      afterRead: (stream) => core.afterRead(this.now, stream),
      refuseRelay: (stream) => core.refuseRelay(stream),
    }
  }

  knows(peer: Actor): void {
    this.#peer = peer
  }

  dial(peer: Actor): void {
    const target = { kind: 'hostname', hostname: peer.hostname } as const
    const waiter = new StreamWaiter(peer.hostname, PORT, this.#verbs, {
      resolve: (stream) => this.#onOpen(stream),
      reject: () => {}, // then the first connection is slower, and nothing else
    })
    this.core.dial(this.now, target, peer.hostname, PORT, waiter)
  }

  /** @returns false if nothing happened. */
  step(): boolean {
    const { core, now } = this
    this.#isBusy = false
    for (const reply of this.#replies.splice(0)) core.handleRegistryReply(now, throughTheWire(reply))
    core.handleTimeout(now)
    drain(core, this, this.#batch, now)
    return this.#isBusy
  }

  send(batch: readonly DatagramSlot[], count: number): void {
    this.#isBusy = true
    const peer = this.#peer!
    for (const slot of batch.slice(0, count)) {
      sealSlot(slot)
      peer.core.handleDatagram(peer.now, slot.buffer.slice(0, slot.length), this.endpoint)
    }
  }

  holdLink(): void {}

  sendRegistry(request: object): void {
    this.#isBusy = true
    this.#replies.push(this.#answer(request as { type: string; node_id?: NodeId }))
  }

  dropRegistry(): void {}

  /** Echoes everything. */
  onEvent(event: NodeEvent): void {
    if (event.kind === 'dial_failed') return event.dial.app.onFailed(event.code, event.text)
    if (event.kind !== 'incoming') return
    const stream = new NodeStream(event.stream, this.#verbs, 'rehearsal')
    this.core.accept(this.now, event.stream)
    stream.on('error', () => {})
    stream.pipe(stream)
  }

  #onOpen(stream: NodeStream): void {
    this.opened = stream
    stream.on('error', () => {})
    stream.on('data', (chunk: Uint8Array) => {
      this.received += chunk.length
    })
  }

  /** Acts as a registry that knows no other nodes. */
  #answer({ type, node_id: asked }: { readonly type: string; readonly node_id?: NodeId }): object {
    const about = (actor: Actor): object => ({
      node_id: actor.id,
      address: formatAddress({ network: 0, node: actor.id }),
      hostname: actor.hostname,
      public_key: actor.#key,
      public: true,
      networks: [0],
    })
    const peer = this.#peer!
    switch (type) {
      case 'register':
        return { ...about(this), type: 'register_ok', observed_addr: formatEndpoint(this.endpoint) }
      case 'resolve_hostname':
        return { ...about(peer), type: 'resolve_hostname_ok' }
      case 'lookup':
        return { ...about(asked === this.id ? this : peer), type: 'lookup_ok' }
      case 'resolve':
        return {
          type: 'resolve_ok',
          node_id: peer.id,
          real_addr: formatEndpoint(peer.endpoint),
          lan_addrs: [],
          extensions: [STREAM_EXTENSIONS],
        }
      case 'poll_handshakes':
        return { type: 'poll_handshakes_ok', requests: [], responses: [] }
      default:
        return { type: `${type}_ok`, node_id: this.id }
    }
  }
}

/** Both directions of the framing and the JSON, as net/registry-link.ts has them. */
function throughTheWire(message: object): object {
  const reader = new RegistryFrameReader()
  reader.push(encodeRegistryFrame(message))
  return reader.next() as object
}

let done = false

const PORT = 80
/** One segment; several, with acknowledgements. */
const SIZES: readonly number[] = [1, 8_000]
const MAX_ROUNDS = 64
/** Node's streams need turns in which nothing is sent. */
const QUIET_ROUNDS = 3
/** A key takes 0.3 ms: the number prepared at startup, most recent first. */
const MAX_KEYS = 32
const NO_KEY = new Uint8Array(0)
