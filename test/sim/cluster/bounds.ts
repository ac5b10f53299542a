/** Limits on what a node may hold and do under any faults: tables, timers, streams, datagrams, events, busy loops. */
import { MAX_CANDIDATES } from '../../../src/proto/path/constants.ts'
import type { SimNode } from '../simulator/sim-node.ts'
import { Violation } from './conversation.ts'

interface Meter {
  life: number
  since: number
  wakes: number
  spins: number
  events: number
}

export class Bounds {
  readonly #meters = new Map<SimNode, Meter>()
  readonly #nodes: number
  /** Highest value seen of each, to show the distance to the limits. */
  readonly most: Record<string, number> = {}

  /** @param nodes in the whole cluster, not counting previous owners of an id. */
  constructor(nodes: number) {
    this.#nodes = nodes
  }

  /** @param dials of this node still in progress. */
  check(name: string, node: SimNode, talks: number): void {
    if (!node.alive) return
    const { peers, heap } = node.state
    let streams = 0
    let dials = 0
    let paths = 0
    let queued = 0
    for (const peer of peers.values()) {
      streams += peer.streams.size
      dials += peer.dials.size
      paths = Math.max(paths, peer.paths.all().length)
      queued = Math.max(queued, peer.control.size)
    }
    this.#holds(name, 'peers', peers.size, this.#nodes + EXTRA_PEERS)
    this.#holds(name, 'paths to one peer', paths, MAX_CANDIDATES + 1)
    this.#holds(name, 'waiting dials', dials, talks)
    this.#holds(name, 'streams', streams, talks + EXTRA_STREAMS)
    this.#holds(name, 'timers', heap.size, peers.size + streams + EXTRA_STREAMS)
    this.#holds(name, 'packets waiting for one peer', queued, MAX_QUEUED)
    this.#checkRates(name, node)
  }

  #checkRates(name: string, node: SimNode): void {
    const meter = this.#meters.get(node)
    const { nowMs, wakes, spins, lives } = node
    const events = node.events.length
    if (meter === undefined || meter.life !== lives) {
      this.#meters.set(node, { life: lives, since: nowMs, wakes, spins, events })
      return
    }
    const minutes = (nowMs - meter.since) / 60_000
    if (minutes < 1) return
    this.#holds(name, 'busy turns a minute', (spins - meter.spins) / minutes, MAX_SPINS_PER_MINUTE)
    this.#holds(name, 'events a minute', (events - meter.events) / minutes, MAX_EVENTS_PER_MINUTE)
    this.#holds(name, 'turns a minute', (wakes - meter.wakes) / minutes, MAX_TURNS_PER_MINUTE)
    this.#meters.set(node, { life: lives, since: nowMs, wakes, spins, events })
  }

  #holds(name: string, what: string, count: number, limit: number): void {
    this.most[what] = Math.max(this.most[what] ?? 0, count)
    if (count > limit) throw new Violation(`${name}: ${Math.round(count)} ${what}, at most ${limit} are right`)
  }
}

/** A peer's ids from before the registry forgot them: kept for FORGET_PEER_MS. */
const EXTRA_PEERS = 12
/** Ended streams that still answer late packets for a few seconds. */
const EXTRA_STREAMS = 40
const MAX_QUEUED = 64 // MAX_CONTROL_PER_PEER
const MAX_SPINS_PER_MINUTE = 100
/** A peer whose trust was revoked looks for us for PEER_DEAD_MS along up to nine paths, and each frame is an event. */
const MAX_EVENTS_PER_MINUTE = 1_000
const MAX_TURNS_PER_MINUTE = 30_000
