/** Peers by name: the proxy, the DNS responder and what both know. Above: gateway.ts. Below: proxy.ts, dns.ts, names.ts. */
import { DnsResponder } from './dns.ts'
import { PeerNames } from './names.ts'
import type { PeerNamesDeps } from './names.ts'
import { Proxy } from './proxy.ts'
import type { ProxyDeps } from './proxy.ts'
import { parseListen } from './specs.ts'
import type { GatewayOptions } from './types.ts'

export type NameFrontsDeps = Omit<PeerNamesDeps, 'domain' | 'ports'> & Pick<ProxyDeps, 'connections'>

export class NameFronts {
  readonly names: PeerNames
  readonly #options: Pick<GatewayOptions, 'proxy' | 'dns' | 'allowLan'>
  readonly #proxy: Proxy
  readonly #dns: DnsResponder

  constructor (options: Pick<GatewayOptions, 'proxy' | 'dns' | 'allowLan'>, deps: NameFrontsDeps) {
    const domain = options.dns?.domain ?? DEFAULT_DOMAIN
    const names = new PeerNames({ ...deps, domain, ports: options.dns?.ports ?? [] })
    this.#options = options
    this.names = names
    this.#proxy = new Proxy({ ...deps, domain, peerAt: (address) => names.peerAt(address) })
    this.#dns = new DnsResponder({
      domain,
      find: (peer) => names.find(peer),
      mapUsualPorts: (peer) => names.mapUsualPorts(peer),
      mappedOf: (peer) => names.mappedOf(peer),
      peerAt: (address) => names.peerAt(address),
      dnsNameOf: (peer) => names.dnsNameOf(peer),
    }, deps.log)
  }

  /** Where they listen; absent: not asked for. */
  get locals (): { readonly proxy?: string, readonly dns?: string } {
    return { ...this.#options.proxy !== undefined && { proxy: this.#proxy.local }, ...this.#options.dns !== undefined && { dns: this.#dns.local } }
  }

  get counters (): Readonly<Record<string, number>> { return this.#options.dns === undefined ? {} : this.#dns.counters }

  /** @throws PilotError: whatever cannot be bound. */
  async start (): Promise<void> {
    const { proxy, dns, allowLan } = this.#options
    if (proxy !== undefined) await this.#proxy.start(parseListen(proxy.listen)!, allowLan)
    if (dns !== undefined) await this.#dns.start(parseListen(dns.listen)!, allowLan)
  }

  stop (): void {
    this.#proxy.stop()
    this.#dns.stop()
    this.names.stop()
  }
}

export const DEFAULT_DOMAIN = 'pilot'
