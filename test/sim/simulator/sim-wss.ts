/**
 * The rendezvous' TCP port for nodes without UDP, and the connections to it: in order, without loss, with a queue that
 * has a limit. TLS and the proof of the id are the business of runtime and server; here a connection is proven when it
 * is open.
 */
import type { Link } from '../../../src/server/beacon/links.ts'
import type { NodeId } from '../../../src/base/types.ts'
import type { SimOverlay } from './overlay.ts'

export class SimWss {
  readonly #overlay: SimOverlay
  readonly connections = new Set<SimLink>()
  /** Accepts connections; false: new ones are refused. */
  up = true
  isOurs = true
  delayMs = 20 // each way
  /** Each way, bits per second. */
  rateBps = 100_000_000
  /** What waits for a node at most, bytes: more is dropped. */
  queueBytes = 1_048_576
  /** A server that lies: what a node gets instead of a datagram. */
  lie: ((bytes: Uint8Array) => readonly Uint8Array[]) | undefined
  opened = 0

  constructor(overlay: SimOverlay) {
    this.#overlay = overlay
  }

  /** Every connection ends, as when the process does. */
  drop(): void {
    for (const connection of this.connections) connection.close('the connection was reset')
  }

  take(bytes: Uint8Array, link: SimLink): void {
    const { beacon, world } = this.#overlay
    beacon.handleFromLink(world.nowMs, bytes, link, (out, to) => this.#overlay.sendFromBeacon(out, to))
  }
}

export interface SimLinkEvents {
  onUp(isOurs: boolean): void
  onDown(fault: string | undefined): void
  onDatagram(bytes: Uint8Array): void
  onRoom(hasRoom: boolean): void
}

export class SimLink implements Link {
  readonly node: NodeId
  readonly address: string
  readonly #overlay: SimOverlay
  readonly #events: SimLinkEvents
  #isOpen = false
  #isClosed = false
  #freeAt = 0 // towards the server
  #freeBackAt = 0
  #isFull = false

  constructor(overlay: SimOverlay, node: NodeId, address: string, events: SimLinkEvents) {
    this.#overlay = overlay
    this.node = node
    this.address = address
    this.#events = events
    const { wss, world } = overlay
    world.after(6 * wss.delayMs, () => {
      if (this.#isClosed) return
      if (!wss.up) return this.close('connection refused')
      this.#isOpen = true
      wss.opened += 1
      wss.connections.add(this)
      overlay.beacon.attach(this)
      events.onUp(wss.isOurs)
    })
  }

  /** From the node. */
  send(bytes: Uint8Array): void {
    const { wss, world } = this.#overlay
    if (!this.#isOpen) return
    const copy = bytes.slice()
    this.#freeAt = Math.max(world.nowMs, this.#freeAt) + (copy.length * 8_000) / wss.rateBps
    const queuedBytes = ((this.#freeAt - world.nowMs) * wss.rateBps) / 8_000
    if (queuedBytes > HIGH_BYTES && !this.#isFull) {
      this.#isFull = true
      this.#events.onRoom(false)
      this.#roomLater()
    }
    world.at(this.#freeAt + wss.delayMs, () => this.#isOpen && wss.take(copy, this))
  }

  #roomLater(): void {
    this.#overlay.world.after(5, () => {
      const queuedMs = this.#freeAt - this.#overlay.world.nowMs
      if ((queuedMs * this.#overlay.wss.rateBps) / 8_000 > HIGH_BYTES / 2) return this.#roomLater()
      this.#isFull = false
      if (this.#isOpen) this.#events.onRoom(true)
    })
  }

  /** From the beacon. */
  deliver(bytes: Uint8Array): boolean {
    const { wss, world } = this.#overlay
    const at = Math.max(world.nowMs, this.#freeBackAt)
    if (((at - world.nowMs) * wss.rateBps) / 8_000 > wss.queueBytes) return false
    this.#freeBackAt = at + (bytes.length * 8_000) / wss.rateBps
    const copies = wss.lie?.(bytes.slice()) ?? [bytes.slice()]
    world.at(this.#freeBackAt + wss.delayMs, () => {
      if (!this.#isClosed) for (const copy of copies) this.#events.onDatagram(copy)
    })
    return true
  }

  displace(): void {
    this.close('connected again')
  }

  /** The node wants it no more: what is on the way in still arrives, then the answer to the close. */
  end(): void {
    if (!this.#isOpen) return this.close(undefined)
    const { wss, world, beacon } = this.#overlay
    this.#isOpen = false
    world.at(Math.max(this.#freeAt, world.nowMs) + wss.delayMs, () => {
      beacon.detach(this)
      world.at(Math.max(this.#freeBackAt, world.nowMs) + wss.delayMs, () => this.close(undefined))
    })
  }

  close(fault: string | undefined): void {
    if (this.#isClosed) return
    this.#isOpen = false
    this.#isClosed = true
    this.#overlay.wss.connections.delete(this)
    this.#overlay.beacon.detach(this)
    this.#events.onDown(fault)
  }
}

const HIGH_BYTES = 262_144
