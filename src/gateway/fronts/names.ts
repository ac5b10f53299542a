/**
 * What a peer's name means on this machine: its node, its loopback address, the ports mapped there. Looking up a name
 * can map the peer's usual ports. Above: gateway.ts, dns.ts. Below: loopback-pool.ts.
 */
import { formatAddress, parsePeerName } from '../../base/address.ts'
import { asPilotError, PilotError } from '../../base/errors.ts'
import type { NodeId } from '../../base/types.ts'
import type { Logger } from '../../base/logger.ts'
import type { Overlay } from '../../runtime/overlay.ts'
import { isPooled } from '../service/loopback-pool.ts'
import type { LoopbackPool } from '../service/loopback-pool.ts'
import { peerOfHost } from '../model/peer-host.ts'
import type { Service } from '../service/table.ts'
import { mapName, type MapSpec } from '../model/map-spec.ts'
import type { HostRecord, MappedRecord, ResolveRecord } from '../model/records.ts'

export interface PeerNamesDeps {
  readonly node: Overlay
  readonly pool: LoopbackPool
  readonly log: Logger
  readonly domain: () => string
  /** Ports mapped when a peer's name is looked up by DNS. */
  readonly ports: () => readonly number[]
  /** What the configuration maps. */
  readonly configured: () => readonly MappedRecord[]
  readonly makeMapping: (spec: MapSpec) => Service<MappedRecord>
  readonly onMapped: (record: MappedRecord) => void
}

export interface NamedPeer {
  readonly peer: string // as written: hostname, address or node id
  readonly node: NodeId | undefined // of a configured peer that cannot be looked up now
  readonly local: string // its loopback address
}

export class PeerNames {
  readonly #deps: PeerNamesDeps
  readonly #onDemand = new Map<string, { readonly spec: MapSpec; readonly service: Service<MappedRecord> }>() // by mapping name
  readonly #asked = new Map<string, Promise<void>>()
  #stopped = false

  constructor(deps: PeerNamesDeps) {
    this.#deps = deps
  }

  /** Mappings created because their name was looked up. */
  get onDemand(): readonly MappedRecord[] {
    return [...this.#onDemand.values()].map(({ service }) => service.record)
  }
  get domain(): string {
    return this.#deps.domain()
  }

  /** The peer that a host name means, whether or not it exists. */
  peerOf(host: string): string | undefined {
    return peerOfHost(host, this.#deps.domain(), (address) => this.peerAt(address))
  }
  peerAt(address: string): string | undefined {
    return this.#deps.pool.peerAt(address)
  }

  /**
   * @returns undefined if we have no such peer, or no trust with it. @throws PilotError if the registry cannot be
   *   asked.
   */
  async find(peer: string): Promise<NamedPeer | undefined> {
    const { pool } = this.#deps
    if (parsePeerName(peer) === undefined) return undefined
    const mapped = this.mappedOf(peer)
    const id = await this.#trustedNode(peer).catch((error: unknown) => {
      if (mapped.length > 0 || asPilotError(error).code === 'NOT_FOUND') return undefined
      throw error
    })
    if (id === undefined && mapped.length === 0) return undefined
    const own = mapped.map(({ local }) => hostOf(local)).find(isPooled)
    const local = own ?? pool.addressOf(peer)
    await this.#save()
    return { peer, node: id, local }
  }

  mappedOf(peer: string): readonly MappedRecord[] {
    return [...this.#deps.configured(), ...this.onDemand].filter((record) => record.peer === peer)
  }

  /** Maps the usual ports of a peer, once; ports that cannot be bound are left out and logged once. */
  mapUsualPorts(peer: string): Promise<void> {
    const known = this.#asked.get(peer)
    if (known !== undefined) return known
    if (this.#asked.size >= MAX_ON_DEMAND_PEERS) return Promise.resolve()
    const mapped = this.#mapUsualPorts(peer)
    this.#asked.set(peer, mapped)
    return mapped
  }

  /** What the configuration is about to map itself. */
  giveWay(specs: readonly MapSpec[]): void {
    for (const { name } of specs) this.#remove(name)
    for (const { peer, localPort } of specs)
      for (const [name, { spec }] of this.#onDemand)
        if (spec.peer === peer && spec.localPort === localPort) this.#remove(name)
  }

  /** The usual ports may change: peers looked up from now on get the new ones. */
  forgetAsked(): void {
    this.#asked.clear()
  }

  /** Stops mapping on demand, and removes what was mapped. */
  stop(): void {
    this.#stopped = true
    this.#asked.clear()
    for (const name of this.#onDemand.keys()) this.#remove(name)
  }

  resume(): void {
    this.#stopped = false
  }

  /** @throws PilotError NOT_FOUND, and what `find` throws. */
  async resolve(name: string): Promise<ResolveRecord> {
    const peer = this.peerOf(name)
    const found = peer === undefined ? undefined : await this.find(peer)
    if (found === undefined) throw new PilotError('NOT_FOUND', `${name}: no trusted peer has this name`, { name })
    const { node } = found
    return {
      name,
      peer: found.peer,
      nodeId: node ?? null,
      address: node === undefined ? null : formatAddress({ network: 0, node }),
      hostname: node === undefined ? null : (this.#deps.node.hostnameOf(node) ?? null),
      dnsName: this.dnsNameOf(found.peer) ?? null,
      local: found.local,
      ports: this.mappedOf(found.peer).map(({ local, remote, protocol }) => ({
        port: portOf(remote),
        protocol,
        local,
      })),
    }
  }

  /** Lines for a hosts file: every peer with its own address here. */
  hosts(): readonly HostRecord[] {
    const hosts = new Map<string, string[]>()
    for (const { peer, local } of [...this.#deps.configured(), ...this.onDemand]) {
      const name = this.dnsNameOf(peer)
      if (name !== undefined && isPooled(hostOf(local))) hosts.set(hostOf(local), [name, `${name}.localhost`])
    }
    return [...hosts].map(([address, names]) => ({ address, names }))
  }

  /** An overlay address contains a colon and dots: DNS uses the node id instead. */
  dnsNameOf(peer: string): string | undefined {
    const name = parsePeerName(peer)
    if (name === undefined) return undefined
    return `${name.kind === 'hostname' ? name.hostname : name.address.node}.${this.#deps.domain()}`
  }

  async #trustedNode(peer: string): Promise<NodeId | undefined> {
    const { node } = this.#deps
    const id = await node.resolve(peer)
    return (await node.isTrusted(id)) ? id : undefined
  }

  async #mapUsualPorts(peer: string): Promise<void> {
    const { ports, makeMapping, log, onMapped } = this.#deps
    for (const port of ports()) {
      if (this.mappedOf(peer).some(({ local, protocol }) => protocol === 'tcp' && portOf(local) === port)) continue
      const spec: MapSpec = { name: mapName(peer, port), peer, port, protocol: 'tcp', localPort: port }
      const service = makeMapping(spec)
      try {
        await service.start()
      } catch (error) {
        const { code, message, hint } = asPilotError(error)
        log.warn({ mapping: spec.name, code, hint }, `could not map a port on demand: ${message}`)
        continue
      }
      if (this.#stopped || this.#onDemand.has(spec.name)) {
        service.stop()
        continue
      }
      this.#onDemand.set(spec.name, { spec, service })
      await service.identify?.()
      onMapped(service.record)
    }
    await this.#save()
  }

  /** A table that cannot be saved does not block access: its addresses remain valid until the next start. */
  async #save(): Promise<void> {
    await this.#deps.pool
      .save()
      .catch((error: unknown) =>
        this.#deps.log.warn({ reason: String(error) }, 'could not save the table of loopback addresses'),
      )
  }

  #remove(name: string): void {
    this.#onDemand.get(name)?.service.stop()
    this.#onDemand.delete(name)
  }
}

export function hostOf(endpoint: string): string {
  return endpoint.slice(0, endpoint.lastIndexOf(':'))
}
export function portOf(endpoint: string): number {
  return Number(endpoint.slice(endpoint.lastIndexOf(':') + 1))
}

/** Trusted peers mapped on demand; beyond that a name still resolves, but only configured ports are mapped. */
const MAX_ON_DEMAND_PEERS = 1_024
