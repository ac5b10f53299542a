/**
 * Trust at our own node: decisions, which are on disk before they are answered, requests, and tickets. Above: node.ts.
 * Below: the core, trust-keeper.ts.
 */
import { formatAddress, type PeerName } from '../../base/address.ts'
import { PilotError } from '../../base/errors.ts'
import type { NodeId } from '../../base/types.ts'
import type { OverlayCore } from '../../proto/node/core.ts'
import { parseTrustRequest } from '../../proto/node/trust-exchange.ts'
import type { HandshakeMessage } from '../../wire/handshake-message.ts'
import type { Logger } from '../../base/logger.ts'
import type { GuestDesk } from '../overlay.ts'
import type { KeyOfPeer, OutgoingRequest } from '../../proto/trust/requests.ts'
import type { NodeParts } from './parts.ts'
import type { TrustCourier } from './trust-courier.ts'
import type { Pins } from './pinned.ts'
import type { TrustKeeper } from './trust-keeper.ts'

/** Calls the core, whose drain follows. */
export type Turn = <T>(act: (now: number) => T) => T

export class NodeTrust implements GuestDesk {
  /** Set by services/handshake.ts, which knows how to reach peers. */
  courier: TrustCourier | undefined
  readonly #core: OverlayCore
  readonly #turn: Turn
  readonly #keeper: TrustKeeper
  readonly #pins: Pins
  readonly #log: Logger

  constructor(core: OverlayCore, turn: Turn, { keeper, pins }: Pick<NodeParts, 'keeper' | 'pins'>, log: Logger) {
    this.#core = core
    this.#turn = turn
    this.#keeper = keeper
    this.#pins = pins
    this.#log = log
  }

  /** As the configuration wants it: does not lift a revocation. */
  requestAtStart(peer: string, name: PeerName): void {
    const request = this.#requestTo(name, 'asked at start', false)
    if (!this.#core.trust.isRevoked(request)) return this.#turn((now) => this.#core.requestTrust(now, request))
    this.#log.warn(
      { peer, code: 'NOT_TRUSTED' },
      'trust of this peer was revoked here, so the configuration does not request it again; use `pilotgate trust request`',
    )
  }

  /**
   * @param kept it survives a restart. @throws PilotError STATE_UNWRITABLE: it would not, or a lifted revocation would
   *   return.
   */
  async request(peer: string, name: PeerName, reason: string, kept: boolean): Promise<void> {
    const request = this.#requestTo(name, reason, kept)
    const mustSave = kept || this.#core.trust.isRevoked(request)
    this.#turn((now) => this.#core.requestTrust(now, request))
    if (mustSave) await this.#keeper.settled()
    void this.courier?.ask(peer, reason)
  }

  async drop(name: PeerName): Promise<boolean> {
    return await this.#decide(() => this.#core.withdrawRequest(textOf(name)))
  }

  async revokeDisplaced(who: PeerName | KeyOfPeer): Promise<boolean> {
    return await this.#decide(() => this.#core.revokeDisplaced(who))
  }

  async approve(node: NodeId): Promise<boolean> {
    return await this.#decide((now) => this.#core.approveTrust(now, node))
  }

  async reject(node: NodeId): Promise<boolean> {
    return await this.#decide((now) => this.#core.rejectTrust(now, node))
  }

  async revoke(node: NodeId): Promise<boolean> {
    // Sent while the tunnel is up: afterwards neither side could open what the other sends.
    if (this.#core.peers.get(node)?.connected === true && this.#core.trust.isTrusted(node)) {
      this.#turn((now) => this.#core.resetStreams(now, node))
      await this.courier?.revoke(node)
    }
    return await this.#decide((now) => this.#core.revokeTrust(now, node))
  }

  /** A handshake message of a peer, over its own tunnel. @returns why it is ignored, or undefined. @throws PilotError STATE_UNWRITABLE. */
  async handleHandshake(from: NodeId, message: HandshakeMessage): Promise<string | undefined> {
    return await this.#decide((now) => this.#core.handleHandshake(now, from, message))
  }

  /** Registered: peers that can be reached without the registry are asked again. */
  onRegistered(): void {
    for (const { peer, reason } of this.#core.trust.outgoing) void this.courier?.ask(peer, reason)
    this.#keeper.keepUp()
  }

  onAcceptDue(node: NodeId): void {
    void this.courier?.accept(node)
  }

  // ---- guests: trust by ticket

  judge(judge: Parameters<GuestDesk['judge']>[0]): void {
    this.#core.setJudge(judge)
  }

  expect(forMs: number): void {
    this.#turn((now) => this.#core.expectGuests(forMs <= 0 ? -Infinity : now + Math.min(forMs, MAX_EXPECTING_MS)))
  }

  ask(node: NodeId, key: Uint8Array, reason: string): void {
    const peer = formatAddress({ network: 0, node })
    this.#turn((now) => this.#core.requestTrust(now, { peer, node, hostname: undefined, reason, key }))
    void this.courier?.ask(peer, reason)
  }

  mark(key: Uint8Array, isOurs: boolean): void {
    this.#turn(() => this.#core.markGuest(key, isOurs))
    this.#keeper.keepUp()
  }

  /** With a pin, only the pinned key satisfies it. */
  #requestTo(name: PeerName, reason: string, kept: boolean): OutgoingRequest {
    const request = requestTo(name, reason)
    const { names, keys } = this.#pins
    const key = name.kind === 'hostname' ? names.get(name.hostname) : keys.get(name.address.node)
    return { ...request, kept, ...(key !== undefined && { key }) }
  }

  /** In force immediately, answered when it is on disk. */
  async #decide<T>(act: (now: number) => T): Promise<T> {
    const result = this.#turn(act)
    await this.#keeper.settled()
    return result
  }
}

function requestTo(name: PeerName, reason: string): OutgoingRequest {
  const request = parseTrustRequest(textOf(name), reason)
  if (request !== undefined) return request
  throw new PilotError('USAGE', `${textOf(name)}: not a hostname, an address or a node id`)
}

function textOf(name: PeerName): string {
  return name.kind === 'address' ? formatAddress(name.address) : name.hostname
}

/**
 * Guests usually come within minutes; later ones wait a few seconds for an idle poll, so that the registry is not
 * polled twice a second for days.
 */
const MAX_EXPECTING_MS = 600_000
