/** Forwards what happens on the overlay: as events for programs to follow, the rest as log lines. Above: gateway.ts. */
import { formatAddress } from '../base/address.ts'
import { ERRORS } from '../base/errors.ts'
import type { NodeId } from '../base/types.ts'
import type { Logger } from '../base/logger.ts'
import type { OverlayEvent, PathStatus } from '../runtime/overlay.ts'
import { describeNat } from './diagnose/doctor.ts'
import { SparseLog } from './service/sparse-log.ts'
import type { GatewayEvent } from './model/events.ts'

export class EventTeller {
  readonly #log: Logger
  readonly #onEvent: (event: GatewayEvent) => void
  readonly #sparse: SparseLog
  readonly #peers: SparseLog
  readonly #toldPaths = new Map<NodeId, string>()
  readonly #unmeasured = new Map<NodeId, NodeJS.Timeout>()

  constructor(log: Logger, onEvent: (event: GatewayEvent) => void) {
    this.#log = log
    this.#onEvent = onEvent
    this.#sparse = new SparseLog(log)
    this.#peers = new SparseLog(log, undefined, PEER_LINES)
  }

  tell(event: OverlayEvent): void {
    const log = this.#log
    switch (event.kind) {
      case 'registered':
        return log.info({ nodeId: event.nodeId, address: event.address }, 'registered')
      case 'registry_refused':
        return this.#onRefused(event.request, event.text)
      case 'hostname_refused':
        this.#onHostnameRefused(event.hostname, event.text)
        return
      case 'transport':
        return this.#onTransport(event.transport)
      case 'endpoint':
        return log.debug({ endpoint: event.endpoint }, 'public endpoint, as the beacon sees it')
      case 'turned_away':
        return this.#onTurnedAway(event)
      case 'auth_refused':
        this.#sparse.warn(
          `${event.node}:auth`,
          { nodeId: event.node, why: event.why, from: event.from },
          'refused a key exchange with a wrong identity',
        )
        return
      case 'wish_refused':
        log.warn(
          { peer: event.peer, text: event.text, code: 'REGISTRY_REFUSED' },
          'our trust request was not delivered; retrying',
        )
        return
      case 'trust':
        this.#onTrust(event)
        return
      case 'name_bound':
      case 'name_contested':
      case 'request_dropped':
        this.#onName(event)
        return
      case 'peer': {
        const about = { peer: event.peerName, nodeId: event.node }
        const kind = `${event.node}:${event.state}` // a peer can offer new keys many times a second
        if (event.state === 'unreachable')
          this.#peers.warn(kind, { ...about, code: 'PEER_UNREACHABLE' }, 'the peer has stopped answering')
        else this.#peers.info(kind, about, event.state === 'connected' ? 'tunnel is up' : 'the peer has new keys')
        return
      }
      case 'path':
        this.#onPath(event.node, event.peerName, event.path, event.reason)
        return
      case 'nat':
        log.info({ mapping: event.mapping, filtering: event.filtering }, `NAT: ${describeNat(event)}`)
        return
      case 'daemon':
        this.#onDaemon(event)
    }
  }

  /** The pair that we revoke may be gone already: the other side revoked it too, or it was never there (a guest). */
  #onRefused(request: string, text: string): void {
    const fields = { request, text, code: 'REGISTRY_REFUSED' }
    if (request === 'revoke' && /request failed|not found/.test(text))
      this.#log.debug(fields, 'the registry has no such trust to revoke')
    else this.#log.warn(fields, 'the registry refuses')
  }

  #onHostnameRefused(hostname: string, text: string): void {
    this.#log.warn(
      { hostname, text, code: 'CONFLICT', hint: HOSTNAME_HINT },
      'the registry refuses our hostname; running without it, retrying every minute',
    )
  }

  #onTurnedAway(event: Extract<OverlayEvent, { kind: 'turned_away' }>): void {
    // A stranger's node id is only a claim, and a peer may dial every port: as part of the kind, each would be a
    // separate line.
    this.#sparse.warn(
      event.why === 'stranger' ? 'stranger' : `${event.node}:${event.why}`,
      {
        nodeId: event.node,
        port: event.port,
        why: event.why,
        ...(event.from !== undefined && { from: event.from }),
      },
      TURNED_AWAY[event.why],
    )
  }

  #onDaemon(event: Extract<OverlayEvent, { kind: 'daemon' }>): void {
    if (event.state === 'lost')
      this.#log.error(
        { reason: event.text, code: 'DAEMON_UNREACHABLE' },
        'lost the daemon, and every connection with it; retrying',
      )
    else this.#log.info({}, 'the daemon is back')
  }

  #onTrust({ node: nodeId, hostname, isVerified, fingerprint, state }: Extract<OverlayEvent, { kind: 'trust' }>): void {
    const peer = hostname ?? formatAddress({ network: 0, node: nodeId })
    const about = { peer, nodeId, nameVerified: isVerified, fingerprint: fingerprint ?? null }
    if (state === 'key_changed') {
      this.#sparse.error(
        `${nodeId}:key_changed`,
        { ...about, code: 'KEY_CHANGED' },
        'a node claims to be a trusted peer but has another key: not answered. If the peer has a new key, revoke its trust and request it again',
      )
      return
    }
    this.#log.info({ ...about, state }, 'trust')
    this.#onEvent({ event: 'trust', ...about, state })
  }

  #onName(event: Extract<OverlayEvent, { kind: 'name_bound' | 'name_contested' | 'request_dropped' }>): void {
    const { hostname, node: nodeId } = event
    if (event.kind === 'request_dropped') {
      const why = event.why === 'full' ? 'too many are waiting' : 'it was neither decided nor repeated for 30 days'
      this.#log.warn({ hostname, nodeId }, `a trust request was discarded: ${why}`)
    } else if (event.kind === 'name_bound')
      this.#log.info(
        { hostname, nodeId, fingerprint: event.fingerprint },
        'a trusted peer has its first name, which means this key from now on',
      )
    else
      this.#log.error(
        {
          hostname,
          fingerprint: event.fingerprint,
          nodeId,
          otherFingerprint: event.otherFingerprint,
          code: 'KEY_CHANGED',
          hint: ERRORS.KEY_CHANGED.hint,
        },
        'the registry gives the name of a trusted peer to another key; nothing is sent to it',
      )
  }

  #onTransport(transport: 'udp' | 'tcp'): void {
    if (transport === 'udp') this.#log.info({ transport }, 'the beacon answers over UDP again')
    else this.#log.warn({ transport }, 'the beacon does not answer over UDP: peers are reached by relay over TCP')
  }

  #onPath(nodeId: NodeId, peer: string, path: PathStatus, reason: string | undefined): void {
    clearTimeout(this.#unmeasured.get(nodeId))
    this.#unmeasured.delete(nodeId)
    if (path.rttMs === null) {
      // just proven; it is reported again in a moment, with its round trip
      this.#unmeasured.set(nodeId, setTimeout(() => this.#tellPath(nodeId, peer, path, reason), MEASURE_MS).unref())
      return
    }
    this.#tellPath(nodeId, peer, path, reason)
  }

  #tellPath(nodeId: NodeId, peer: string, path: PathStatus, reason: string | undefined): void {
    const told = `${path.kind} ${path.transport} ${path.endpoint} ${path.mtu}`
    if (this.#toldPaths.get(nodeId) === told) return
    this.#toldPaths.set(nodeId, told)
    this.#onEvent({ event: 'path', peer, nodeId, ...path, ...(reason !== undefined && { reason }) })
  }
}

const HOSTNAME_HINT =
  'Choose another hostname, or ask its owner to give it up; peers that trust this node reach it by its key.'

/** Thousands of peers may come and go together: what is limited is each of them. */
const PEER_LINES = { perSecond: 1_000, atOnce: 100_000 }

/** How long a path may stay without a round-trip time before it is reported without one, ms. */
const MEASURE_MS = 500

const TURNED_AWAY = {
  stranger: 'a node that is not trusted tried to connect; it got no answer',
  no_listener: 'a trusted peer asked for a port that is not exposed',
  limit: 'a peer was refused: too many streams',
} as const

/** Once, at startup: a tag that peers claim is not our decision. */
export function warnOfTags(tags: readonly string[], log: Logger): void {
  if (tags.length > 0)
    log.warn(
      { tags },
      'no peer in the configuration has these tags: any trusted peer can claim them. To decide yourself, use `peers: { NAME: { key, tags } }`',
    )
}
