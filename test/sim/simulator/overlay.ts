/** A whole overlay in virtual time: nodes, the network between them, one registry, one beacon. One seed decides everything. */
import assert from 'node:assert/strict'
import type { Endpoint } from '../../../src/base/types.ts'
import { Beacon } from '../../../src/server/beacon/beacon.ts'
import type { Send } from '../../../src/server/beacon/probes.ts'
import { handleAtSecond } from '../../../src/server/beacon/probes.ts'
import type { RegistryOptions } from '../../../src/server/registry/options.ts'
import { ForeignLimits } from './foreign-limits.ts'
import type { Datagram, PathOptions } from './network.ts'
import { Network } from './network.ts'
import { Random } from './random.ts'
import { SimNode } from './sim-node.ts'
import type { SimNodeOptions } from './sim-node.ts'
import { SimRegistry } from './sim-registry.ts'
import { SimWss } from './sim-wss.ts'
import { World } from './world.ts'

export interface SimOverlayOptions {
  readonly seed: number
  readonly path?: PathOptions
  readonly registryLatencyMs?: number
  readonly registry?: Partial<RegistryOptions>
  /** The beacon is like a different implementation: it reveals nothing about NATs, and has the limits of today's. */
  readonly foreignBeacon?: boolean
}

export class SimOverlay {
  readonly world = new World()
  readonly random: Random
  readonly network: Network
  readonly registry: SimRegistry
  beacon = new Beacon()
  readonly beaconEndpoint: Endpoint = { address: '198.51.100.1', port: 9001 }
  readonly nodes: SimNode[] = []
  readonly limits = new ForeignLimits()
  readonly wss = new SimWss(this)
  /** What the beacon sends to a node by UDP. */
  readonly sendFromBeacon: Send
  readonly #seed: number

  constructor(options: SimOverlayOptions) {
    this.#seed = options.seed
    this.random = new Random(options.seed)
    this.network = new Network(this.world, this.random, options.path ?? { delayMs: 10 })
    this.registry = new SimRegistry(this.world, options.registryLatencyMs ?? 5, options.registry)
    this.network.audits.push(refusePlaintext)
    const second = { address: this.beaconEndpoint.address, port: this.beaconEndpoint.port + 1 }
    const send: Send = (out, to, how) => this.network.send(how === 'second' ? second : this.beaconEndpoint, to, out)
    this.sendFromBeacon = send
    this.network.attach(this.beaconEndpoint, (bytes, source) => {
      if (options.foreignBeacon !== true) this.beacon.secondPort = second.port
      else if (!this.limits.admits(this.world.nowMs, bytes, source)) return
      const isQuestion = options.foreignBeacon === true && bytes[0] === 0x01
      this.beacon.handle(this.world.nowMs, isQuestion ? bytes.subarray(0, 5) : bytes, source, send) // it knows no more
    })
    this.network.attach(second, (bytes, source) => void handleAtSecond(bytes, source, second.port, send))
  }

  /** Creates and starts a node. The first has the address 203.0.113.1, and so on. */
  node(hostname: string | undefined, options: SimNodeOptions = {}): SimNode {
    const index = this.nodes.length + 1
    const endpoint = options.behind?.inside ?? { address: `203.0.113.${index}`, port: 4_000 + index }
    const node = new SimNode(this, endpoint, this.#seed * 1_000 + index, {
      ...options,
      ...(hostname !== undefined && { hostname }),
    })
    this.nodes.push(node)
    node.start()
    return node
  }

  run(ms: number): void {
    this.world.run({ untilMs: this.world.nowMs + ms })
  }

  /** Runs until `done`, which must come within `ms`. */
  until(what: string, ms: number, done: () => boolean): void {
    const limit = this.world.nowMs + ms
    assert.ok(this.world.run({ untilMs: limit, done }), `${what}: not within ${ms} virtual ms`)
  }

  /** Two private nodes that trust each other, connected or not. */
  pair(options: { a?: SimNodeOptions; b?: SimNodeOptions } = {}): [SimNode, SimNode] {
    const a = this.node('agent-a', { trust: ['agent-b'], ...options.a })
    const b = this.node('agent-b', { trust: ['agent-a'], ...options.b })
    this.until('mutual trust', 60_000, () => trusts(a, b) && trusts(b, a))
    this.run(1_000) // the registry has it from both
    return [a, b]
  }

  record(): Datagram[] {
    const records: Datagram[] = []
    this.network.audits.push((datagram) => records.push(datagram))
    return records
  }
}

export function trusts(a: SimNode, b: SimNode): boolean {
  return b.nodeId !== 0 && a.state.trust.isTrusted(b.nodeId)
}

/** Text that tests put into their payloads: it must never appear on the wire. */
export const MARKER = 'PLAINTEXT-MARKER'

const MARKER_BYTES = Buffer.from(MARKER)

function refusePlaintext({ bytes, from, to }: Datagram): void {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  for (const at of [0, 5, 9]) {
    if (view.toString('latin1', at, at + 4) === 'PILT' && (at === 0 || view[0]! < 0x10))
      throw new Error(`PILT from ${from.address} to ${to.address}`)
  }
  if (view.includes(MARKER_BYTES)) throw new Error(`plaintext from ${from.address} to ${to.address}`)
}
