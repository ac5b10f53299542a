/**
 * Selects the path to one peer. Candidates come from the registry, from punching and from the source of frames. The
 * relay follows if they do not answer immediately, and better paths replace it once answered.
 */
import { TokenBucket } from '../../base/token-bucket.ts'
import type { Endpoint, Instant } from '../../base/types.ts'
import { sameEndpoint } from '../../base/types.ts'
import {
  FOLLOW_MS,
  HINT_MS,
  SIZE_PROBE_STEP,
  SIZE_PROOF_PAUSE_MS,
  MAX_CANDIDATES,
  MAX_CANDIDATE_PROBES,
  NEWS_BURST,
  NEWS_PAUSE_MS,
  UPGRADE_PROBE_MS,
} from './constants.ts'
import type { PathKind } from './path.ts'
import { Path } from './path.ts'
import type { PingSize } from './size-check.ts'
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
  /**
   * A new path may be tried immediately, but a NAT that uses a new port for each of our probes makes a new path of each
   * answer.
   */
  readonly #news = new TokenBucket(1_000 / NEWS_PAUSE_MS, NEWS_BURST)
  /** Number of newly named paths so far. */
  named = 0

  /**
   * @param maxDatagram UDP payload that the local interface carries towards an endpoint without fragmentation, bytes.
   */
  constructor(beacon: Endpoint | undefined, maxDatagram: (endpoint: Endpoint) => number, sizes: SizeMemory) {
    this.#maxDatagram = maxDatagram
    this.#sizes = sizes
    this.#relay = beacon === undefined ? undefined : new Path('relay', beacon, maxDatagram(beacon), sizes)
  }

  /** The path in use; before anything is proven, the most promising one. Undefined: no path is known. */
  get current(): Path | undefined {
    return this.#current
  }
  get relay(): Path | undefined {
    return this.#relay
  }

  /** Names a path to try. Naming it again makes it worth trying again. Port 0 is not a valid path. */
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

  /** The peer was heard from there before, in a frame that no one else could have sealed. */
  knows(source: Endpoint): boolean {
    return this.#candidates.some((path) => path.heard && sameEndpoint(path.endpoint, source))
  }

  /**
   * The path of an incoming frame; a new candidate if its source is unknown (the peer moved).
   * @param isReplayable anyone may have sent the frame again, from anywhere: it takes the place of no other candidate.
   */
  pathOf(source: Endpoint, byRelay: boolean, isReplayable = false): Path | undefined {
    if (byRelay) return this.#relay
    if (this.#current !== undefined && this.#current.kind !== 'relay' && sameEndpoint(this.#current.endpoint, source))
      return this.#current
    const known = this.#candidates.find((path) => sameEndpoint(path.endpoint, source))
    if (known !== undefined || (isReplayable && this.#candidates.length >= MAX_CANDIDATES)) return known
    return this.addCandidate(source, 'direct')
  }

  /**
   * An authenticated frame that is not a replay came along `path`: it works towards us. Only an answer shows whether it
   * works from us; but a peer that has left the current path is followed immediately.
   * @param isTraffic it is not a ping or pong. @returns true if the path changed.
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
    // Given up while nothing passed, and heard again: better than one that is also dead, or was never heard.
    if (path.dead && (current?.heard !== true || current.dead)) path.revive()
    if (path.sizeCheck.failed && current?.answered === true && !current.dead) {
      if (isUsedAnew) path.nextProbeAt = now // it may be whole again; we do not take the peer's word for it
      return false
    }
    if (current === undefined || !current.answered || current.dead) {
      if (first && !this.#news.take(now)) path.nextProbeAt = now + NEWS_PAUSE_MS
      return this.choose()
    }
    // Its traffic comes along this path: its probes on the other one mean nothing, because they use every path.
    const hasLeft =
      now - current.heardAt >= FOLLOW_MS ||
      (isTraffic && now - Math.max(current.usedAt, this.#currentSince) >= FOLLOW_MS)
    if (hasLeft && isTraffic) path.revive() // whatever its state: the peer uses it, and has left ours
    // A ping along an unproven path does not justify taking it: behind a NAT it may work in one direction only.
    if (!path.dead && hasLeft && (isTraffic || path.answered)) {
      current.suspect()
      if (!this.choose()) return false
      path.probes = 0 // until it answers, it may carry little
      path.nextProbeAt = now
      return true
    }
    if (first) path.nextProbeAt = this.#news.take(now) ? now : now + NEWS_PAUSE_MS
    return false
  }

  /**
   * The peer has restarted: its earlier endpoints say nothing about the current one, and it is followed immediately.
   */
  onPeerRestart(): void {
    for (const path of this.all()) path.heardAt = path.usedAt = -Infinity
  }

  /** A ping along `path` was answered along it. @param size if it was one of a pair. @returns true if the path changed. */
  onAnswer(path: Path, rttMs: number, size?: PingSize): boolean {
    if (size !== undefined && !path.onProof(size) && path !== this.#current) return false
    const news = !path.answered || path.dead
    path.onAnswer(rttMs)
    return news && this.choose()
  }

  /** Packets of one size are lost along `path`, others are not. @returns true when the path changed. */
  onSizeLost(now: Instant, path: Path): boolean {
    for (const other of this.all()) {
      other.nextProbeAt = now
      if (!other.answered) other.demandProof()
    }
    path.probes = Math.max(path.probes, SIZE_PROBE_STEP) // and as before, if it had come back only to fail again
    path.nextProbeAt = now + UPGRADE_PROBE_MS[SIZE_PROBE_STEP]!
    this.#relayAdmitted = true
    return this.choose()
  }

  /** One of a pair of pings along `path` was answered. @returns true when the path changed. */
  onSizeAnswer(now: Instant, path: Path, size: PingSize): boolean {
    if (path.sizeCheck.onProven(size)) return this.choose()
    if (path.sizeCheck.lost === size) path.nextProbeAt = now + SIZE_PROOF_PAUSE_MS
    return false
  }

  /** The source of an unauthenticated frame: worth an answer, but not worth evicting a path that the registry named. */
  addUnproven(source: Endpoint): void {
    if (this.#candidates.length < MAX_CANDIDATES / 2) this.addCandidate(source, 'direct')
  }

  /**
   * A signed key exchange came along `path`. @returns true if none did recently: the answer to the last one went
   * elsewhere.
   */
  onHint(now: Instant, path: Path): boolean {
    const isNews = now - path.hintedAt >= HINT_MS
    path.hintedAt = now
    this.choose()
    return isNews
  }

  /**
   * Direct paths have had their chance, or the peer itself used the relay. A Go peer that has received anything through
   * the relay sends everything through it until it restarts (tunnel.md §6.4), so a relayed frame must not arrive first.
   */
  admitRelay(): void {
    if (this.#relayAdmitted) return
    this.#relayAdmitted = true
    this.choose()
  }

  /** Our network has changed: every path is judged again, and keeps its state until then. */
  onLocalChange(): void {
    for (const path of this.all()) {
      path.onLocalChange(this.#maxDatagram(path.endpoint))
      path.probes = 0
      path.nextProbeAt = 0
    }
  }

  /**
   * The current knowledge of both NATs decides how paths other than LAN and relay are classified. @returns true if the
   * classification of the current one changes.
   */
  classify(isPunched: boolean): boolean {
    const before = this.#current?.kind
    this.#isPunched = isPunched
    for (const path of this.#candidates) if (path.kind !== 'lan') path.kind = isPunched ? 'punched' : 'direct'
    return this.#current?.kind !== before
  }

  /**
   * The paths for a PILA: the current path if it works, plus the source of the peer's last PILA if different (it may
   * have restarted on a new port, with nothing listening on the old one); otherwise every path. While the relay is not
   * admitted: the source of the peer's last PILA, or all direct paths.
   */
  handshakePaths(now: Instant): readonly Path[] {
    const hinted = this.#candidates.filter((path) => now - path.hintedAt < HINT_MS)
    const current = this.#current
    if (current !== undefined && current.heard && !current.dead) {
      const relay = this.#relay
      const isLast = relay !== undefined && hinted.every(({ hintedAt }) => hintedAt < relay.hintedAt)
      const last = isLast && now - relay.hintedAt < HINT_MS ? [...hinted, relay] : hinted
      return [current, ...last.filter((path) => path !== current)]
    }
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

  /** Picks the best usable path. @returns true if it changed. */
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

  /** A path that is better than the current one, or unproven, and due for a probe. */
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
    if (path.sizeCheck.failed) return true
    if (current?.sizeCheck.failed === true) return path.kind === 'relay' || mayAnswer
    if (path === current || path.kind === 'relay')
      return current?.answered !== true && (!path.answered || path.dead) && mayAnswer
    if (current?.answered === true && RANK[path.kind] <= RANK[current.kind] && !current.dead)
      return mayAnswer && !path.answered && path.heardAt - current.heardAt >= FOLLOW_MS // perhaps the peer has moved
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

/** A path on which the peer has sent nothing but pings for this long is not in use by the peer, ms. */
const UNUSED_MS = 5_000
/** Punched and direct are equally good, once they work. */
const RANK: Readonly<Record<PathKind, number>> = { relay: 0, punched: 2, direct: 2, lan: 3 }

/**
 * Alive before dead; proven both ways before proven for packets of one size only, that before heard of, heard of before
 * promised; then by kind. Where nothing is proven the relay comes first: what arrives direct may come through a NAT
 * that lets nothing back.
 */
function score(path: Path): number {
  const alive = path.dead ? 0 : 100
  if (path.answered) return alive + (path.sizeCheck.failed ? 46 : 50) + RANK[path.kind]
  const rank = path.kind === 'relay' ? 5 : RANK[path.kind]
  if (path.heard) return alive + 40 + rank
  if (path.hinted) return alive + 30 + rank
  return alive + (path.kind === 'relay' ? 20 : rank)
}
