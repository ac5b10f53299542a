/**
 * The ways to the rendezvous: which addresses of the registry are tried, directly or through a proxy, and the connection
 * that replaces UDP. Above: node.ts.
 */
import type { Endpoint, Instant } from '../../base/types.ts'
import { formatEndpoint } from '../../base/types.ts'
import type { OverlayCore } from '../../proto/node/core.ts'
import type { Logger } from '../../base/logger.ts'
import { CompatLink } from '../net/compat-link.ts'
import { parseFingerprint } from '../net/endpoints.ts'
import { proxyFor, type ProxySettings } from '../net/proxy.ts'
import type { RegistryWays } from '../net/registry-link.ts'
import { lookUpAll, type AddressesOf } from '../net/rotation.ts'
import type { BeaconStatus } from '../overlay.ts'
import type { OverlayNodeOptions } from './options.ts'
import type { NodeParts } from './parts.ts'

/**
 * A proxy that the environment names is for HTTPS: the registry, which is not, is tried without it first, as before
 * the variable was set. One that the configuration names is for everything.
 */
export function registryWays(
  { core, registry, wss, transport }: Pick<NodeParts, 'core' | 'registry' | 'wss' | 'transport'>,
  proxy: ProxySettings | undefined,
): RegistryWays {
  const through = registry.map((target) => ({ ...target, proxy }))
  const around = registry.map((target) => ({ ...target, proxy: undefined }))
  const [first] = registry
  const tls = wss.map(({ address, port }) => ({ ...first!, address, port, tls: true, proxy }))
  return {
    routes: proxy === undefined ? around : proxy.isFromEnvironment ? [...around, ...through] : through,
    fallbacks: transport === 'udp' ? [] : tls,
    addressesOf: (route) => addressesFor(route.proxy)(route),
    isConfined: () => core.link.way.wantsLink,
  }
}

export function openCompat(
  { core, identity, wss }: Pick<NodeParts, 'core' | 'identity' | 'wss'>,
  { outboundProxy: proxy, registryFingerprint }: OverlayNodeOptions,
  log: Logger,
  turn: (act: (now: Instant) => void) => void,
): CompatLink {
  const fingerprint = registryFingerprint === undefined ? undefined : parseFingerprint(registryFingerprint)
  return new CompatLink(
    { targets: wss, fingerprint, proxy, addressesOf: addressesFor(proxy), identity, log },
    {
      nodeId: () => core.nodeId ?? 0,
      onUp: (isOurs) => turn((now) => core.link.handleUp(now, isOurs)),
      onDown: (fault) => turn(() => core.link.handleDown(fault)),
      onRoom: (hasRoom) => turn(() => core.link.handleRoom(hasRoom)),
      onDatagram: (bytes) => turn((now) => core.link.handleDatagram(now, bytes)),
    },
  )
}

/** How the beacon is reached, and why. */
export function rendezvousStatus(
  { beacon, link: { way } }: OverlayCore,
  configured: string,
  endpoint: Endpoint,
  compat: CompatLink,
): BeaconStatus {
  const open = compat.description
  const isTcp = way.current === 'tcp'
  return {
    endpoint: configured,
    observed: beacon.observed === undefined || isTcp ? null : formatEndpoint(beacon.observed),
    transport: way.current,
    address: isTcp ? (open?.address ?? null) : endpoint.address === '' ? null : formatEndpoint(endpoint),
    proxy: isTcp ? (open?.proxy ?? null) : null,
    reason: reasonFor(way),
    dropped: compat.dropped,
  }
}

function reasonFor({ transport, current, isUp, fault }: OverlayCore['link']['way']): string {
  if (current === 'udp')
    return fault === undefined ? 'UDP is tried first' : `UDP is tried first; TCP does not work either: ${fault}`
  const why = transport === 'tcp' ? 'only TCP is allowed' : 'the beacon does not answer over UDP'
  return isUp ? why : `${why}; no connection${fault === undefined ? ' yet' : `: ${fault}`}`
}

/** Names that a proxy connects to are left to the proxy. */
function addressesFor(proxy: ProxySettings | undefined): AddressesOf<Endpoint> {
  return ({ address, port }) => (proxyFor(proxy, address, port) === undefined ? lookUpAll(address) : undefined)
}
