/**
 * The DatagramPort in native code: one call seals and sends a batch, runs of equal datagrams in one system call; one call
 * receives and opens everything that has arrived. On the wire it does what net/udp-socket.ts does.
 */
import type { Endpoint } from '../../base/types.ts'
import { formatEndpoint } from '../../base/types.ts'
import type { DatagramSlot } from '../../proto/node/datagram-slot.ts'
import { createSlot, sealSlot, SLOT_BYTES } from '../../proto/node/datagram-slot.ts'
import { decodeIp, encodeIp } from '../../wire/ip-address.ts'
import { MAGIC_SEALED, SEALED_OVERHEAD_BYTES, sealedSender } from '../../wire/tunnel-frames.ts'
import { readU32 } from '../../base/bytes.ts'
import type { DatagramPort, DatagramSink, Received } from '../net/datagram-port.ts'
import { SOCKET_BUFFER_BYTES } from '../net/datagram-port.ts'
import { listenError } from '../net/listen-error.ts'
import { UdpSocket } from '../net/udp-socket.ts'
import { YoungGarbage } from '../v8/young-garbage.ts'
import type { NativeAddon, NativePortHandle } from './addon.ts'
import { NativeAeadKey } from './key.ts'

export class NativePort implements DatagramPort {
  readonly local: Endpoint
  readonly receiveBufferBytes: number
  readonly slots: readonly DatagramSlot[]
  readonly #arena = new Uint8Array(BATCH * SLOT_BYTES)
  readonly #sending = new Uint32Array(BATCH * WORDS)
  readonly #receiving = new Uint32Array(MAX_RECEIVED * WORDS)
  readonly #handle: NativePortHandle
  readonly #sink: DatagramSink
  readonly #garbage = new YoungGarbage()
  readonly #batch: Received[] = []
  readonly #onBroken: (error: Error) => void
  /** After a fault of the native code: undefined until it is open. */
  #instead: DatagramPort | undefined
  #isBroken = false
  #key: NativeAeadKey | undefined // of the last frame
  /** Of the last slot, with its words. An endpoint may change in place: the beacon has several addresses. */
  #toAddress: string | undefined
  #toPort = 0
  readonly #toWords = new Uint32Array(WORDS)
  #from: Endpoint = { address: '', port: 0 } // of the last datagram, with its words
  readonly #fromWords = new Uint32Array(WORDS)

  /** @throws PilotError PORT_IN_USE, ADDRESS_UNAVAILABLE or PORT_FORBIDDEN. */
  constructor(addon: NativeAddon, listen: Endpoint, sink: DatagramSink, onBroken: (error: Error) => void) {
    this.#sink = sink
    this.#onBroken = onBroken
    this.slots = Array.from({ length: BATCH }, (_, i) =>
      createSlot(this.#arena.subarray(i * SLOT_BYTES, (i + 1) * SLOT_BYTES)),
    )
    try {
      this.#handle = new addon.NativePort(listen.address, listen.port, SOCKET_BUFFER_BYTES, () => this.#onReadable())
    } catch (error) {
      const { message } = error as Error
      const code = /\bE[A-Z]+\b/.exec(message)?.[0]
      throw listenError(Object.assign(new Error(message), { code }), 'UDP', formatEndpoint(listen))
    }
    this.local = { address: this.#handle.localAddress, port: this.#handle.localPort }
    this.receiveBufferBytes = this.#handle.receiveBufferBytes
  }

  get kind(): 'native' | 'node' {
    return this.#isBroken ? 'node' : 'native'
  }

  get backlog(): number {
    return this.#instead?.backlog ?? this.#handle.backlog
  }

  get sendErrors(): number {
    return this.#instead?.sendErrors ?? this.#handle.sendErrors
  }

  send(batch: readonly DatagramSlot[], count: number): void {
    if (this.#isBroken) return this.#instead?.send(batch, count)
    const about = this.#sending
    for (let i = 0; i < count; i++) {
      const slot = batch[i]!
      const { key, endpoint } = slot
      if (endpoint.address !== this.#toAddress || endpoint.port !== this.#toPort) this.#aim(endpoint)
      const at = i * WORDS
      about.set(this.#toWords, at)
      about[at] = slot.buffer.byteOffset
      about[at + 1] = slot.length
      about[at + 2] = slot.sealFrom
      if (key instanceof NativeAeadKey) about[at + 3] = key.id
      else sealSlot(slot)
    }
    try {
      this.#handle.send(this.#arena, about, count)
    } catch (error) {
      this.#break(error as Error)
    }
    this.#garbage.collect()
  }

  async close(): Promise<void> {
    this.#handle.close()
    await this.#instead?.close()
  }

  #onReadable(): void {
    for (let round = 0; round < MAX_ROUNDS && !this.#isBroken; round++) {
      try {
        const bytes = this.#handle.receive()
        if (bytes === 0) return
        this.#garbage.add(bytes)
        this.#open(bytes)
      } catch (error) {
        return this.#break(error as Error)
      }
      const { length } = this.#batch
      if (length > 0) this.#sink.onBatch(this.#batch, length)
      this.#batch.length = 0
    }
  }

  /** Into several arrays: bytes that wait for a slow reader keep the whole array that they lie in. */
  #open(bytes: number): void {
    let size = Math.min(bytes, SLAB_BYTES)
    for (;;) {
      const slab = new Uint8Array(size)
      const count = this.#handle.take(slab, this.#receiving)
      for (let i = 0; i < count; i++) {
        const received = this.#received(slab, i * WORDS)
        if (received !== undefined) this.#batch.push(received)
      }
      const next = count === 0 ? this.#receiving[1]! : 0
      if (count === 0 && next === 0) return
      size = Math.max(next, Math.min(bytes, SLAB_BYTES))
    }
  }

  /** A fault in native code, which only a mistake in it can cause: node:dgram continues at the same address. */
  #break(error: Error): void {
    if (this.#isBroken) return
    this.#isBroken = true
    this.#handle.close()
    this.#onBroken(error)
    void this.#replace()
  }

  async #replace(): Promise<void> {
    try {
      this.#instead = await UdpSocket.open(this.local, this.#sink)
    } catch (error) {
      this.#onBroken(error as Error)
    }
  }

  #received(slab: Uint8Array, at: number): Received | undefined {
    const about = this.#receiving
    const begin = about[at]!
    const length = about[at + 1]!
    const source = this.#sourceOf(at)
    if (source.port === 0) return undefined // forged: no one can be reached there
    const bytes = new Uint8Array(slab.buffer, begin, length)
    const key = about[at + 3] === 0 ? undefined : this.#keyOf(about[at + 3]!)
    if (key === undefined) {
      this.#learnKeys(bytes)
      return { bytes, source, opened: undefined }
    }
    const from = about[at + 2]!
    const packet = new Uint8Array(slab.buffer, begin + from, length - SEALED_OVERHEAD_BYTES)
    return { bytes, source, opened: { key, packet } }
  }

  /** A frame that nothing opened: perhaps its sender has new keys. The core opens this one itself. */
  #learnKeys(bytes: Uint8Array): void {
    if (bytes.length < SEALED_OVERHEAD_BYTES || readU32(bytes, 0) !== MAGIC_SEALED) return
    const sender = sealedSender(bytes)
    const ids = this.#sink.keysOf(sender).flatMap((key) => (key instanceof NativeAeadKey ? [key.id] : []))
    this.#handle.setKeys(sender, ids)
  }

  #keyOf(id: number): NativeAeadKey | undefined {
    if (this.#key?.id !== id) this.#key = NativeAeadKey.of(id)
    return this.#key
  }

  #aim(endpoint: Endpoint): void {
    this.#toAddress = endpoint.address
    this.#toPort = endpoint.port
    this.#toWords.fill(0)
    const bytes = encodeIp(endpoint.address)
    if (bytes === undefined) return // nowhere: a beacon whose name does not resolve yet
    this.#toWords[4] = (endpoint.port << 8) | (bytes.length === 4 ? 4 : 6)
    for (let i = 0; i < bytes.length / 4; i++) this.#toWords[5 + i] = readU32(bytes, 4 * i)
    const zone = /%(\d+)$/.exec(endpoint.address)?.[1]
    if (zone !== undefined) this.#toWords[9] = Number(zone)
  }

  /** Consecutive datagrams mostly come from one place. */
  #sourceOf(at: number): Endpoint {
    const about = this.#receiving
    const last = this.#fromWords
    let isSame = true
    for (let i = 4; i < WORDS; i++) if (about[at + i] !== last[i]) isSame = false
    if (isSame) return this.#from
    for (let i = 4; i < WORDS; i++) last[i] = about[at + i]!
    const isV4 = (last[4]! & 0xff) === 4
    for (let i = 0; i < 4; i++) view.setUint32(4 * i, last[5 + i]!)
    const zone = last[9] === 0 ? '' : `%${last[9]}`
    this.#from = { address: decodeIp(ip, 0, isV4 ? 4 : 16) + zone, port: last[4]! >>> 8 }
    return this.#from
  }
}

const ip = new Uint8Array(16) // scratch of one call
const view = new DataView(ip.buffer)

/** Datagrams of one call: what leaves in one system call at an MTU of 1,500. */
const BATCH = 64
/** What native/src/lib.rs says of a datagram. */
const WORDS = 10
/** 16 buffers, in each of which the kernel joins at most 64 datagrams. */
const MAX_RECEIVED = 1_024
/** Some datagrams at an MTU of 1,500; a larger one has an array of its own. */
const SLAB_BYTES = 8_192
/** Then the event loop gets a turn. */
const MAX_ROUNDS = 4
