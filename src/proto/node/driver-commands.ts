/**
 * What programs on the driver socket may ask of the node beyond streams, datagrams and trust: requests to the registry in
 * their own words, a hostname and visibility until the next start, a better path. Part of core.ts, whose contract holds.
 */
import type { Instant, NodeId } from '../../base/types.ts'
import type { Chores } from './chores.ts'
import type { PathFinder } from './path-finder.ts'
import type { Registration } from './registration.ts'
import type { NodeState } from './state.ts'
import type { RegistryApp } from './views.ts'

export class DriverCommands {
  readonly #state: NodeState
  readonly #registration: Registration
  readonly #finder: PathFinder
  readonly #chores: Chores

  constructor(state: NodeState, registration: Registration, finder: PathFinder, chores: Chores) {
    this.#state = state
    this.#registration = registration
    this.#finder = finder
    this.#chores = chores
  }

  /** @param challenge what is signed, if anything. Answered by a `registry_answer` event. */
  askRegistry(now: Instant, request: object, challenge: string | undefined, app: RegistryApp): void {
    const signed = challenge === undefined ? request : { ...request, signature: this.#state.sign(challenge) }
    this.#state.ask(now, signed, { kind: 'driver', app })
  }

  /** The registry has accepted this hostname, or none: it is requested after each registration. */
  rename(hostname: string | undefined): void {
    this.#registration.rename(hostname)
  }

  /** The registry knows, and hears it after each registration. Strangers are answered from now on, or no longer. */
  setPublic(isPublic: boolean): void {
    this.#state.isPublic = isPublic
  }

  /** Datagrams to ports that are not open raise events too. */
  takeAllDatagrams(takes: boolean): void {
    this.#state.ports.takesAllDatagrams = takes
  }

  /**
   * A better path to this peer is wanted now. @returns undefined if there is no tunnel, otherwise whether the relay is in
   * use, and whether it is the only way that the peer offers.
   */
  preferDirect(now: Instant, node: NodeId): { readonly byRelay: boolean; readonly relayOnly: boolean } | undefined {
    const peer = this.#state.peers.get(node)
    if (peer?.connected !== true) return undefined
    this.#finder.seek(now, peer)
    this.#chores.afterTunnel(now, peer)
    return { byRelay: peer.paths.current?.kind === 'relay', relayOnly: peer.search.relayOnly }
  }
}
