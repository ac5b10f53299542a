/**
 * Which way to one peer is used now. Candidates come from the registry, from punching and from where frames arrive;
 * the relay follows when they do not answer at once, and better ways take over when an answer has come along them.
 */
import type { Endpoint, Instant } from '../../base/types.ts'
import { sameEndpoint } from '../../base/types.ts'
import { FOLLOW_MS, MAX_CANDIDATES, MAX_CANDIDATE_PROBES, UPGRADE_PROBE_MS } from './constants.ts'
import type { PathKind } from './path.ts'
import { Path } from './path.ts'

export class PathSelector {
  readonly #candidates: Path[] = [] // not the relay
  readonly #relay: Path | undefined
  readonly #maxDatagram: (endpoint: Endpoint) => number
  #current: Path | undefined
  #relayAdmitted = false

  /** @param maxDatagram UDP payload that the local interface carries towards an endpoint in one piece, bytes. */
  constructor (beacon: Endpoint | undefined, maxDatagram: (endpoint: Endpoint) => number) {
    this.#maxDatagram = maxDatagram
    this.#relay = beacon === undefined ? undefined : new Path('relay', beacon, maxDatagram(beacon))
  }

  /** The path in use; before anything is proven the most promising one. Undefined: no way is known. */
  get current (): Path | undefined { return this.#current }
  get relay (): Path | undefined { return this.#relay }

  /** Names a way to try. Naming it again makes it worth trying again. Port 0 is no way to anywhere. */
  addCandidate (endpoint: Endpoint, kind: Exclude<PathKind, 'relay'>): Path | undefined {
    if (endpoint.port === 0) return undefined
    const known = this.#candidates.find((path) => sameEndpoint(path.endpoint, endpoint))
    if (known !== undefined) {
      known.probes = 0
      known.nextProbeAt = 0
      return known
    }
    if (this.#candidates.length >= MAX_CANDIDATES) this.#dropWorst()
    const path = new Path(kind, endpoint, this.#maxDatagram(endpoint))
    this.#candidates.push(path)
    this.choose()
    return path
  }

  /** The path by which a frame came; a new candidate when it came from somewhere unknown (the peer moved). */
  pathOf (source: Endpoint, byRelay: boolean): Path | undefined {
    if (byRelay) return this.#relay
    if (this.#current !== undefined && this.#current.kind !== 'relay' && sameEndpoint(this.#current.endpoint, source)) return this.#current
    return this.#candidates.find((path) => sameEndpoint(path.endpoint, source)) ?? this.addCandidate(source, 'direct')
  }

  /**
   * An authenticated, not replayed frame came along `path`: it works towards us. Whether it works from us only an
   * answer tells; but a peer that has left the current path is followed at once. @returns true when the path changed.
   */
  onHeard (now: Instant, path: Path): boolean {
    const current = this.#current
    if (path === current) {
      path.onHeard(now)
      return false
    }
    const first = !path.heard
    path.onHeard(now)
    // Given up while nothing passed, and heard again: better than one that is dead too, or was never heard of.
    if (path.dead && (current?.answered !== true || current.dead)) path.revive()
    if (current === undefined || !current.heard || current.dead) return this.choose()
    if (!path.dead && now - current.heardAt >= FOLLOW_MS) {
      current.suspect = true
      return this.choose()
    }
    if (first) path.nextProbeAt = now
    return false
  }

  /** A ping along `path` was answered along it. @returns true when the path changed. */
  onAnswer (path: Path, rttMs: number): boolean {
    const news = !path.answered || path.dead
    path.onAnswer(rttMs)
    return news && this.choose()
  }

  /** Where an unauthenticated frame came from: worth an answer, but not worth forgetting a way that the registry told. */
  addUnproven (source: Endpoint): void {
    if (this.#candidates.length < MAX_CANDIDATES / 2) this.addCandidate(source, 'direct')
  }

  onHint (path: Path): void {
    path.hinted = true
    this.choose()
  }

  /**
   * The direct ways have had their chance, or the peer itself came by the relay. A Go peer that has once received
   * anything by the relay sends everything by it until it restarts (tunnel.md §6.4): it must not be the first to arrive.
   */
  admitRelay (): void {
    this.#relayAdmitted = true
  }

  /** Where a PILA goes: the current path if it works, else everywhere. */
  handshakePaths (): readonly Path[] {
    if (this.#current !== undefined && this.#current.heard && !this.#current.dead) return [this.#current]
    return this.#relayAdmitted || this.#candidates.length === 0 ? this.all() : this.#candidates
  }

  all (): readonly Path[] {
    return this.#relay === undefined ? this.#candidates : [...this.#candidates, this.#relay]
  }

  /** Picks the best usable path. @returns true when it is another one than before. */
  choose (): boolean {
    let best: Path | undefined
    for (const path of this.all()) {
      if (best === undefined || score(path) > score(best)) best = path
    }
    const changed = best !== this.#current
    this.#current = best
    return changed
  }

  /** A better way than the current one whose turn to be probed it is. */
  takeUpgradeProbe (now: Instant): Path | undefined {
    for (const path of this.#candidates) {
      if (path === this.#current || !this.#worthProbing(path) || now < path.nextProbeAt) continue
      path.nextProbeAt = now + UPGRADE_PROBE_MS[Math.min(path.probes, UPGRADE_PROBE_MS.length - 1)]!
      path.probes += 1
      return path
    }
    return undefined
  }

  nextUpgradeProbe (): Instant {
    let at = Infinity
    for (const path of this.#candidates) {
      if (path !== this.#current && this.#worthProbing(path)) at = Math.min(at, path.nextProbeAt)
    }
    return at
  }

  #worthProbing (path: Path): boolean {
    if (this.#current !== undefined && RANK[path.kind] <= RANK[this.#current.kind] && !this.#current.dead) return false
    return path.heard || path.probes < MAX_CANDIDATE_PROBES
  }

  #dropWorst (): void {
    let worst = -1
    for (let i = 0; i < this.#candidates.length; i++) {
      const path = this.#candidates[i]!
      if (path !== this.#current && (worst < 0 || path.heardAt < this.#candidates[worst]!.heardAt)) worst = i
    }
    if (worst >= 0) this.#candidates.splice(worst, 1)
  }
}

const RANK: Readonly<Record<PathKind, number>> = { relay: 0, punched: 1, direct: 2, lan: 3 }

/** Alive before dead, proven both ways before heard of, heard of before promised; then by kind. An untried relay beats a dead path. */
function score (path: Path): number {
  const alive = path.dead ? 0 : 100
  if (path.answered) return alive + 50 + RANK[path.kind]
  if (path.heard) return alive + 40 + RANK[path.kind]
  if (path.hinted) return alive + 30 + RANK[path.kind]
  return alive + (path.kind === 'relay' ? 20 : RANK[path.kind])
}
