/**
 * The local ports that lead to every peer by its name: HTTP front, proxy, DNS responder. Each is optional, and can be
 * added, moved and removed while the gateway runs. Above: gateway.ts. Below: http/front.ts, proxy.ts, dns.ts, names.ts;
 * service/table.ts.
 */
import { formatEndpoint } from '../../base/types.ts'
import { Front } from './front.ts'
import type { FrontRecord, FrontSpec, Running } from './front.ts'
import { DnsResponder, dnsCounters } from './dns.ts'
import type { Zone } from './dns-answers.ts'
import { HttpFront } from '../http/front.ts'
import type { HttpFrontDeps } from '../http/front.ts'
import { PeerNames } from './names.ts'
import type { PeerNamesDeps } from './names.ts'
import { Proxy } from './proxy.ts'
import { ServiceTable } from '../service/table.ts'
import type { Undo } from '../service/table.ts'
import type { GatewayOptions } from '../model/options.ts'
import { DEFAULT_DOMAIN } from '../model/peer-host.ts'
import type { WhoisEntry } from '../model/records.ts'

export type FrontsDeps = Omit<PeerNamesDeps, 'domain' | 'ports'> &
  Omit<HttpFrontDeps, 'domain' | 'origins' | 'peerOf'> &
  Pick<GatewayOptions, 'allowLan'>

export class Fronts {
  readonly names: PeerNames
  readonly #deps: FrontsDeps
  readonly #zone: Zone
  readonly #counters = dnsCounters()
  readonly #table = new ServiceTable<FrontSpec, FrontRecord>('front', (spec) => this.#make(spec))

  constructor(deps: FrontsDeps) {
    const dns = (): FrontSpec | undefined => this.#table.specs.find(({ name }) => name === 'dns')
    const domain = (): string => dns()?.domain ?? DEFAULT_DOMAIN
    const names = new PeerNames({ ...deps, domain, ports: () => dns()?.ports ?? [] })
    this.#deps = deps
    this.names = names
    this.#zone = {
      get domain() {
        return domain()
      },
      find: (peer) => names.find(peer),
      mapUsualPorts: (peer) => names.mapUsualPorts(peer),
      mappedOf: (peer) => names.mappedOf(peer),
      peerAt: (address) => names.peerAt(address),
      dnsNameOf: (peer) => names.dnsNameOf(peer),
    }
  }

  get specs(): readonly FrontSpec[] {
    return this.#table.specs
  }

  /** Where they listen; absent: off. */
  get locals(): { readonly http: string | null; readonly proxy?: string; readonly dns?: string } {
    return { http: null, ...Object.fromEntries(this.#table.records.map(({ name, local }) => [name, local])) }
  }

  get counters(): Readonly<Record<string, number>> {
    return this.#table.specs.some(({ name }) => name === 'dns') ? this.#counters : {}
  }

  /** All or nothing; open connections continue. @throws PilotError: if something cannot be bound. */
  async become(wanted: readonly FrontSpec[]): Promise<Undo> {
    const undo = await this.#table.become(wanted)
    this.names.forgetAsked()
    return undo
  }

  /** A client of the HTTP front, by its ip:port. */
  findClient(end: string): WhoisEntry | undefined {
    const front = this.#table.service('http')
    return front instanceof Front && front.running instanceof HttpFront ? front.running.findClient(end) : undefined
  }

  /** No new clients; open connections continue. */
  drain(): void {
    for (const { name } of this.#table.specs) this.#table.drain(name)
    this.names.stop()
  }

  /** @throws PilotError: if something can no longer be bound. */
  async resume(): Promise<void> {
    this.names.resume()
    for (const { name } of this.#table.specs) await this.#table.resume(name)
  }

  stop(): void {
    this.#table.stop()
    this.names.stop()
  }

  #make(spec: FrontSpec): Front {
    const { allowLan, log } = this.#deps
    const { names } = this
    const domain = (): string => names.domain
    const named = { ...this.#deps, domain, peerOf: (host: string) => names.peerOf(host) }
    return new Front(spec, async (at) => {
      switch (spec.name) {
        case 'http':
          return await started(new HttpFront({ ...named, origins: spec.origins ?? [] }), (front) =>
            front.start(at.address, at.port),
          )
        case 'proxy':
          return await started(new Proxy({ ...named, http: new HttpFront({ ...named, origins: [] }) }), (proxy) =>
            proxy.start(at, allowLan),
          )
        case 'dns':
          return await started(new DnsResponder(this.#zone, log, this.#counters), (dns) => dns.start(at, allowLan))
        case 'observe':
          throw new RangeError('observe has a table of its own')
      }
    })
  }
}

/** The fronts that the options request. */
export function frontsOf({ http, proxy, dns }: Pick<GatewayOptions, 'http' | 'proxy' | 'dns'>): FrontSpec[] {
  return [
    ...(http === undefined
      ? []
      : [{ name: 'http' as const, listen: formatEndpoint(http), origins: http.origins ?? [] }]),
    ...(proxy === undefined ? [] : [{ name: 'proxy' as const, ...proxy }]),
    ...(dns === undefined ? [] : [{ name: 'dns' as const, ...dns }]),
  ]
}

async function started<T extends Running>(front: T, start: (front: T) => Promise<void>): Promise<T> {
  await start(front)
  return front
}
