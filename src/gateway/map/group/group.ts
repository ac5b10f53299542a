/**
 * Several nodes behind one mapping: which one gets a new connection, and which are skipped for a while. Above:
 * map/tcp.ts. Below: runtime/overlay.ts. Nothing has been sent when a dial fails, so another peer is asked instead.
 */
import { formatAddress } from '../../../base/address.ts'
import { asPilotError, PilotError } from '../../../base/errors.ts'
import type { NodeId } from '../../../base/types.ts'
import type { GivingUp } from '../../../runtime/giving-up.ts'
import type { Overlay, OverlayStream } from '../../../runtime/overlay.ts'
import { tagOf } from '../../model/allow.ts'
import type { ConfiguredTags } from '../../model/tags.ts'
import { type MapSpec, peersOf } from '../../model/map-spec.ts'
import type { GroupPeerRecord } from '../../model/records.ts'
import { checkHealth } from './health-check.ts'
import { admitDial } from '../../service/path-policy.ts'
import { TagMembers } from './tag-members.ts'
import type { TagNode } from './tag-members.ts'

export type GroupNode = Pick<Overlay, 'dial' | 'connect' | 'pathTo'> & TagNode

export interface GroupOptions {
  readonly now?: () => number // ms
  readonly patienceMs?: number
  readonly tags?: ConfiguredTags | undefined
  readonly onEjected?: (peer: string, reason: string) => void
  readonly onBack?: (peer: string) => void
}

interface Member {
  readonly peer: string // as written; of a node with a tag its name
  readonly target: string // what is dialled
  nodeId: NodeId | null
  open: number // connections
  failures: number // dials in a row
  ejectedUntil: number // 0: not ejected
}

export class PeerGroup {
  readonly #spec: MapSpec
  readonly #node: GroupNode
  readonly #options: GroupOptions
  readonly #now: () => number
  readonly #named: readonly Member[]
  readonly #tags: TagMembers | undefined
  /** The nodes with the tag, as last seen. */
  #tagged = new Map<NodeId, Member>()
  #turn = 0
  #timer: NodeJS.Timeout | undefined
  #probing = false

  constructor(spec: MapSpec, node: GroupNode, options: GroupOptions = {}) {
    this.#spec = spec
    this.#node = node
    this.#options = options
    this.#now = options.now ?? (() => performance.now())
    const written = peersOf(spec.peer)
    const tags = written.flatMap((peer) => tagOf(peer) ?? [])
    this.#named = written.filter((peer) => tagOf(peer) === undefined).map((peer) => member(peer, peer, null))
    if (tags.length > 0) this.#tags = new TagMembers(node, tags, options.tags ?? new Map(), this.#now)
  }

  get records(): readonly GroupPeerRecord[] {
    return this.#update().map(({ peer, nodeId, open, failures, ejectedUntil }) => ({
      peer,
      nodeId,
      state: ejectedUntil === 0 ? 'up' : 'ejected',
      connections: open,
      failures,
      retryMs: ejectedUntil === 0 ? null : Math.max(0, Math.round(ejectedUntil - this.#now())),
    }))
  }

  /** The current dial targets. */
  get targets(): readonly string[] {
    return this.#update().map(({ target }) => target)
  }

  /** Probes, if the mapping requests them, and the search for nodes with a tag. */
  start(): void {
    this.#tags?.start()
    const { probe } = this.#spec
    if (probe === undefined || this.#timer !== undefined) return
    this.#timer = setInterval(() => void this.probe(), probe * 1_000)
    this.#timer.unref()
  }

  stop(): void {
    this.#tags?.stop()
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  /**
   * A stream to the first peer that accepts one. @throws PilotError: the last one's error; FAILED if `signal` is
   * aborted.
   */
  async dial(signal: GivingUp): Promise<OverlayStream> {
    let failure = new PilotError(
      'PEER_UNREACHABLE',
      `${this.#spec.peer}: no trusted peer has this tag`,
      { peer: this.#spec.peer },
      undefined,
      'A peer sets its tags with `node.tags`, and the registry reports them. `pilotgate trust list` shows who is trusted.',
    )
    if (this.#update().length === 0) await this.#tags?.refreshIfOld()
    const { members, trial } = this.#order()
    for (const member of members) {
      try {
        const last = member === members.at(-1)
        const stream = await this.#try(member, signal, last ? Infinity : this.#patienceMs, member === trial)
        member.open += 1
        stream.once('close', () => {
          member.open -= 1
        })
        return stream
      } catch (error) {
        failure = asPilotError(error)
        if (signal.aborted) throw failure
      }
    }
    throw failure
  }

  /** Opens a connection to every peer, and closes it immediately. Never rejects. */
  async probe(): Promise<void> {
    if (this.#probing) return
    this.#probing = true
    await Promise.all(this.#update().map((member) => this.#probe(member)))
    this.#probing = false
  }

  async #probe(member: Member): Promise<void> {
    const { check } = this.#spec
    const stream = await this.#try(member, NEVER, this.#patienceMs, true).catch(() => undefined)
    if (stream === undefined) return
    stream.on('error', () => {})
    const late = setTimeout(() => stream.resetAndDestroy(), this.#patienceMs)
    try {
      if (check === undefined) return
      await checkHealth(stream, check, `${member.peer}:${this.#spec.port}`)
      this.#back(member)
    } catch (error) {
      this.#eject(member, asPilotError(error).message, true)
    } finally {
      clearTimeout(late)
      stream.resetAndDestroy()
    }
  }

  /** The named ones, plus the nodes with a tag; uses the current tags. */
  #update(): readonly Member[] {
    if (this.#tags === undefined) return this.#named
    const named = new Set<NodeId | string | null>(this.#named.flatMap(({ peer, nodeId }) => [peer, nodeId]))
    const now = this.#tags.members.filter(
      ({ nodeId, label }) =>
        !named.has(nodeId) &&
        !named.has(String(nodeId)) &&
        !named.has(label) &&
        !named.has(formatAddress({ network: 0, node: nodeId })),
    )
    this.#tagged = new Map(
      now.map(({ nodeId, label }) => [
        nodeId,
        this.#tagged.get(nodeId) ?? member(label, formatAddress({ network: 0, node: nodeId }), nodeId),
      ]),
    )
    return [...this.#named, ...this.#tagged.values()]
  }

  /**
   * Working ones in policy order, then ejected ones as a last resort, soonest due first. One that is due gets one try,
   * before all others; but if probes check the service itself, only they can clear it.
   */
  #order(): { readonly members: readonly Member[]; readonly trial: Member | undefined } {
    const now = this.#now()
    const all = this.#update()
    const start = this.#turn++ % Math.max(1, all.length)
    const rotated = [...all.slice(start), ...all.slice(0, start)]
    const up = rotated.filter(({ ejectedUntil }) => ejectedUntil === 0)
    if (this.#spec.balance === 'least-connections') up.sort((a, b) => a.open - b.open)
    const ejected = rotated
      .filter(({ ejectedUntil }) => ejectedUntil > 0)
      .sort((a, b) => a.ejectedUntil - b.ejectedUntil)
    const due =
      this.#spec.check === undefined && up.length > 0 && ejected[0] !== undefined && ejected[0].ejectedUntil <= now
        ? ejected.shift()
        : undefined
    if (due === undefined) return { members: [...up, ...ejected], trial: undefined }
    due.ejectedUntil = now + this.#patienceMs // the others need not wait for it too
    return { members: [due, ...up, ...ejected], trial: due }
  }

  async #try(member: Member, client: GivingUp, patienceMs: number, trial: boolean): Promise<OverlayStream> {
    const giveUp = new AbortController()
    const { signal } = giveUp
    const abort = (): void => giveUp.abort()
    client.addEventListener('abort', abort, { once: true })
    if (client.aborted) abort()
    const timer = patienceMs === Infinity ? undefined : setTimeout(abort, patienceMs)
    try {
      const stream = await orAborted(this.#open(member.target, signal), signal, `${member.peer}: no connection in time`)
      member.nodeId = stream.peer
      if (this.#spec.check === undefined) this.#back(member)
      return stream
    } catch (error) {
      const { code, message } = asPilotError(error)
      if (!client.aborted && !OUR_OWN.has(code)) this.#eject(member, message, trial)
      throw error
    } finally {
      clearTimeout(timer)
      client.removeEventListener('abort', abort)
    }
  }

  async #open(peer: string, signal: AbortSignal): Promise<OverlayStream> {
    const { port, path = 'any' } = this.#spec
    if (path !== 'any') await admitDial(this.#node, peer, path, signal)
    return await this.#node.dial(`${peer}:${port}`, signal)
  }

  #back(member: Member): void {
    if (member.ejectedUntil > 0) this.#options.onBack?.(member.peer)
    Object.assign(member, { failures: 0, ejectedUntil: 0 })
  }

  /**
   * @param trial of an ejected one. Other failures in the meantime began earlier or as a last resort, and say nothing
   *   new.
   */
  #eject(member: Member, reason: string, trial: boolean): void {
    if (member.ejectedUntil > 0 && !trial) return
    if (member.ejectedUntil === 0) this.#options.onEjected?.(member.peer, reason)
    member.failures += 1
    member.ejectedUntil = this.#now() + Math.min(FIRST_EJECTION_MS * 2 ** (member.failures - 1), MAX_EJECTION_MS)
  }

  get #patienceMs(): number {
    const { patienceMs = PATIENCE_MS } = this.#options
    return this.#spec.path === undefined || this.#spec.path === 'any' ? patienceMs : patienceMs + DIRECT_MORE_MS
  }
}

function member(peer: string, target: string, nodeId: NodeId | null): Member {
  return { peer, target, nodeId, open: 0, failures: 0, ejectedUntil: 0 }
}

/** A stream that arrives after all is reset: nothing waits for it. */
function orAborted(opening: Promise<OverlayStream>, signal: AbortSignal, text: string): Promise<OverlayStream> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(new PilotError('PEER_UNREACHABLE', text))
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    opening.then(
      (stream) => {
        signal.removeEventListener('abort', onAbort)
        if (!signal.aborted) return resolve(stream)
        stream.on('error', () => {})
        stream.resetAndDestroy()
      },
      (error: unknown) => {
        signal.removeEventListener('abort', onAbort)
        reject(signal.aborted ? new PilotError('PEER_UNREACHABLE', text) : error)
      },
    )
  })
}

const NEVER = new AbortController().signal
/** Failures that say nothing about the peer. */
const OUR_OWN: ReadonlySet<string> = new Set([
  'TOO_MANY',
  'SHUTTING_DOWN',
  'REGISTRY_UNREACHABLE',
  'DAEMON_UNREACHABLE',
  'USAGE',
])
/**
 * For a peer while there is another: a key exchange over a bad path takes a second or two, and clients do not like to
 * wait longer.
 */
const PATIENCE_MS = 3_000
const DIRECT_MORE_MS = 5_000 // the wait of service/path-policy.ts for a direct path
/** A restart takes about a second; the doubling keeps a dead peer from costing every client its patience. */
const FIRST_EJECTION_MS = 1_000
const MAX_EJECTION_MS = 60_000
