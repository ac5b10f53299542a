/**
 * Which way to one peer is used now. Candidates come from the registry, from punching and from where frames arrive;
 * the relay follows when they do not answer at once, and better ways take over when an answer has come along them.
 */
import { TokenBucket } from '../../base/token-bucket.ts'
import type { Endpoint, Instant } from '../../base/types.ts'
import { sameEndpoint } from '../../base/types.ts'
import {
  FOLLOW_MS,
  HINT_MS,
  LARGE_PROBE_STEP,
  LARGE_PROOF_PAUSE_MS,
  MAX_CANDIDATES,
  MAX_CANDIDATE_PROBES,
  NEWS_BURST,
  NEWS_PAUSE_MS,
  UPGRADE_PROBE_MS,
} from './constants.ts'
import type { PathKind } from './path.ts'
import { Path } from './path.ts'
import type { SizeMemory } from './size-memory.ts'

export class PathSelector {
  readonly #candidates: Path[] = [] // not the relay
  readonly #relay: Path | undefined
  readonly #maxDatagram: (endpoint: Endpoint) => number
  readonly #sizes: SizeMemory
  #current: Path | undefined
  #relayAdmitted = false
  #currentSince: Instant = -Infinity // when traffic along it could first be expected
  #isPunched: boolean | undefined
  /** A path that was not heard of before may be tried at once, but a NAT that draws a port for each of our probes makes one of each answer. */
  readonly #news = new TokenBucket(1_000 / NEWS_PAUSE_MS, NEWS_BURST)
  /** Ways that were named so far and not known before. */
  named = 0

  /** @param maxDatagram UDP payload that the local interface carries towards an endpoint in one piece, bytes. */
  constructor(beacon: Endpoint | undefined, maxDatagram: (endpoint: Endpoint) => number, sizes: SizeMemory) {
    this.#maxDatagram = maxDatagram
    this.#sizes = sizes
    this.#relay = beacon === undefined ? undefined : new Path('relay', beacon, maxDatagram(beacon), sizes)
  }

  /** The path in use; before anything is proven the most promising one. Undefined: no way is known. */
  get current(): Path | undefined {
    return this.#current
  }
  get relay(): Path | undefined {
    return this.#relay
  }

  /** Names a way to try. Naming it again makes it worth trying again. Port 0 is no way to anywhere. */
  addCandidate(endpoint: Endpoint, kind: Exclude<PathKind, 'relay'>): Path | undefined {
    if (endpoint.port === 0) return undefined
    const already = this.#candidates.find((path) => sameEndpoint(path.endpoint, endpoint))
    if (already !== undefined) {
      if (kind === 'lan') already.kind = kind // heard from before it was named
      already.probes = 0
      already.nextProbeAt = 0
      return already
    }
    if (this.#candidates.length >= MAX_CANDIDATES) this.#dropWorst()
    const known = kind === 'lan' || this.#isPunched === undefined ? kind : this.#isPunched ? 'punched' : 'direct'
    const path = new Path(known, endpoint, this.#maxDatagram(endpoint), this.#sizes)
    this.#candidates.push(path)
    this.named += 1
    this.choose()
    return path
  }

  /** It was heard from there before, in a frame that nobody else could have sealed. */
  knows(source: Endpoint): boolean {
    return this.#candidates.some((path) => path.heard && sameEndpoint(path.endpoint, source))
  }

  /** The path by which a frame came; a new candidate when it came from somewhere unknown (the peer moved). */
  pathOf(source: Endpoint, byRelay: boolean): Path | undefined {
    if (byRelay) return this.#relay
    if (this.#current !== undefined && this.#current.kind !== 'relay' && sameEndpoint(this.#current.endpoint, source))
      return this.#current
    return this.#candidates.find((path) => sameEndpoint(path.endpoint, source)) ?? this.addCandidate(source, 'direct')
  }

  /**
   * An authenticated, not replayed frame came along `path`: it works towards us. Whether it works from us only an
   * answer tells; but a peer that has left the current path is followed at once.
   * @param isTraffic it is no ping or pong. @returns true when the path changed.
   */
  onHeard(now: Instant, path: Path, isTraffic: boolean): boolean {
    const current = this.#current
    const isUsedAnew = isTraffic && now - path.usedAt >= UNUSED_MS
    if (isTraffic) path.usedAt = now
    if (path === current) {
      path.onHeard(now)
      return false
    }
    if (this.#currentSince === -Infinity) this.#currentSince = now
    const first = !path.heard
    path.onHeard(now)
    // Given up while nothing passed, and heard again: better than one that is dead too, or was never heard of.
    if (path.dead && (current?.heard !== true || current.dead)) path.revive()
    if (path.large.failed && current?.answered === true && !current.dead) {
      if (isUsedAnew) path.nextProbeAt = now // it may be whole again; we do not take the peer's word for it
      return false
    }
    if (current === undefined || !current.answered || current.dead) {
      if (first && !this.#news.take(now)) path.nextProbeAt = now + NEWS_PAUSE_MS
      return this.choose()
    }
    // What it really sends comes this way: that probes of it still come the other way says nothing, they go every way.
    const hasLeft =
      now - current.heardAt >= FOLLOW_MS ||
      (isTraffic && now - Math.max(current.usedAt, this.#currentSince) >= FOLLOW_MS)
    if (hasLeft && isTraffic) path.revive() // whatever was thought of it: the peer uses it, and has left ours
    if (!path.dead && hasLeft) {
      current.suspect = true
      if (!this.choose()) return false
      path.probes = 0 // until it answers it carries little
      path.nextProbeAt = now
      return true
    }
    if (first) path.nextProbeAt = this.#news.take(now) ? now : now + NEWS_PAUSE_MS
    return false
  }

  /** The peer has restarted: where it was heard before says nothing of where it is now, and it is followed at once. */
  onPeerRestart(): void {
    for (const path of this.all()) path.heardAt = path.usedAt = -Infinity
  }

  /** A ping along `path` was answered along it. @returns true when the path changed. */
  onAnswer(path: Path, rttMs: number): boolean {
    const news = !path.answered || path.dead
    path.onAnswer(rttMs)
    return news && this.choose()
  }

  /** Large packets are lost along `path`, small ones are not. @returns true when the path changed. */
  onLargeLost(now: Instant, path: Path): boolean {
    for (const other of this.all()) other.nextProbeAt = now
    path.probes = Math.max(path.probes, LARGE_PROBE_STEP) // and as before, if it had come back only to fail again
    path.nextProbeAt = now + UPGRADE_PROBE_MS[LARGE_PROBE_STEP]!
    this.#relayAdmitted = true
    return this.choose()
  }

  /** A large ping along `path` was answered. @returns true when the path changed. */
  onLargeAnswer(now: Instant, path: Path): boolean {
    if (path.large.onLargeAnswer()) return this.choose()
    if (path.large.failed) path.nextProbeAt = now + LARGE_PROOF_PAUSE_MS
    return false
  }

  /** Where an unauthenticated frame came from: worth an answer, but not worth forgetting a way that the registry told. */
  addUnproven(source: Endpoint): void {
    if (this.#candidates.length < MAX_CANDIDATES / 2) this.addCandidate(source, 'direct')
  }

  /** A signed key exchange came along `path`. @returns true when none did lately: an answer to the last one went elsewhere. */
  onHint(now: Instant, path: Path): boolean {
    const isNews = now - path.hintedAt >= HINT_MS
    path.hintedAt = now
    this.choose()
    return isNews
  }

  /**
   * The direct ways have had their chance, or the peer itself came by the relay. A Go peer that has once received
   * anything by the relay sends everything by it until it restarts (tunnel.md §6.4): it must not be the first to arrive.
   */
  admitRelay(): void {
    if (this.#relayAdmitted) return
    this.#relayAdmitted = true
    this.choose()
  }

  /** We are on another network: every way is judged anew, and stays what it is until then. */
  onLocalChange(): void {
    for (const path of this.all()) {
      path.onLocalChange(this.#maxDatagram(path.endpoint))
      path.probes = 0
      path.nextProbeAt = 0
    }
  }

  /** What is known now of the NATs between tells how the ways that are no LAN and no relay are to be called. @returns true when the current one is called otherwise. */
  classify(isPunched: boolean): boolean {
    const before = this.#current?.kind
    this.#isPunched = isPunched
    for (const path of this.#candidates) if (path.kind !== 'lan') path.kind = isPunched ? 'punched' : 'direct'
    return this.#current?.kind !== before
  }

  /**
   * Where a PILA goes: the current path if it works, and where the peer's own came from lately, if that is elsewhere (it
   * may have restarted on another port, and nobody listens at the old one); else everywhere; while the relay is not
   * admitted where the peer's own came from lately, or all direct ways.
   */
  handshakePaths(now: Instant): readonly Path[] {
    const hinted = this.#candidates.filter((path) => now - path.hintedAt < HINT_MS)
    const current = this.#current
    if (current !== undefined && current.heard && !current.dead)
      return [current, ...hinted.filter((path) => path !== current)]
    if (this.#mayRelay) return this.all()
    return hinted.length > 0 ? hinted : this.#candidates
  }

  get #mayRelay(): boolean {
    return (
      this.#relayAdmitted ||
      this.#relay?.heard === true ||
      this.#relay?.hinted === true ||
      this.#candidates.every(({ dead }) => dead)
    )
  }

  all(): readonly Path[] {
    return this.#relay === undefined ? this.#candidates : [...this.#candidates, this.#relay]
  }

  /** Picks the best usable path. @returns true when it is another one than before. */
  choose(): boolean {
    let best: Path | undefined
    for (const path of this.all()) {
      if (path === this.#relay && !this.#mayRelay) continue
      if (best === undefined || score(path) > score(best) || (score(path) === score(best) && path === this.#current))
        best = path
    }
    const changed = best !== this.#current
    if (changed) this.#currentSince = -Infinity
    this.#current = best
    return changed
  }

  /** A way that is better than the current one, or not proven yet, whose turn to be probed it is. */
  takeUpgradeProbe(now: Instant): Path | undefined {
    for (const path of this.all()) {
      if (!this.#worthProbing(path) || now < path.nextProbeAt) continue
      path.nextProbeAt = now + UPGRADE_PROBE_MS[Math.min(path.probes, UPGRADE_PROBE_MS.length - 1)]!
      path.probes += 1
      return path
    }
    return undefined
  }

  nextUpgradeProbe(): Instant {
    let at = Infinity
    for (const path of this.all()) {
      if (this.#worthProbing(path)) at = Math.min(at, path.nextProbeAt)
    }
    return at
  }

  #worthProbing(path: Path): boolean {
    const current = this.#current
    const mayAnswer = path.heard || path.probes < MAX_CANDIDATE_PROBES
    if (path.kind === 'relay' && !this.#mayRelay) return false
    if (path.large.failed) return true
    if (current?.large.failed === true) return path.kind === 'relay' || mayAnswer
    if (path === current || path.kind === 'relay')
      return current?.answered !== true && (!path.answered || path.dead) && mayAnswer
    if (current?.answered === true && RANK[path.kind] <= RANK[current.kind] && !current.dead) return false
    return mayAnswer
  }

  #dropWorst(): void {
    let worst = -1
    for (let i = 0; i < this.#candidates.length; i++) {
      const path = this.#candidates[i]!
      if (path !== this.#current && (worst < 0 || path.heardAt < this.#candidates[worst]!.heardAt)) worst = i
    }
    if (worst >= 0) this.#candidates.splice(worst, 1)
  }
}

/** A path on which the peer sent nothing but pings for so long is not in use by it, ms. */
const UNUSED_MS = 5_000
/** Punched and direct are equally good, once they work. */
const RANK: Readonly<Record<PathKind, number>> = { relay: 0, punched: 2, direct: 2, lan: 3 }

/**
 * Alive before dead; proven both ways before proven for small packets only, that before heard of, heard of before
 * promised; then by kind. Where nothing is proven the relay comes first: what arrives straight may come through a NAT
 * that lets nothing back.
 */
function score(path: Path): number {
  const alive = path.dead ? 0 : 100
  if (path.answered) return alive + (path.large.failed ? 46 : 50) + RANK[path.kind]
  const rank = path.kind === 'relay' ? 5 : RANK[path.kind]
  if (path.heard) return alive + 40 + rank
  if (path.hinted) return alive + 30 + rank
  return alive + (path.kind === 'relay' ? 20 : rank)
}
