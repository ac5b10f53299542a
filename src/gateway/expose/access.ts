/**
 * Who may use an exposed service. A denial is an answer to us alone: the peer sees a port where nothing listens, and as
 * soon as it would see that. Names, tags and networks are therefore found out ahead and kept fresh, not when somebody knocks.
 */
import { parsePeerName } from '../../base/address.ts'
import type { NodeId } from '../../base/types.ts'
import type { AboutNode } from '../../runtime/overlay.ts'
import { type Allowed, parseAllow } from '../model/allow.ts'

/** What access needs to know of the overlay. */
export interface AccessNode {
  isTrusted(node: NodeId): Promise<boolean>
  trusted(): Promise<ReadonlyArray<{ readonly nodeId: NodeId; readonly publicKey: string }>>
  /** Rejects when the name is unknown: then it names nobody. */
  resolve(peer: string): Promise<NodeId>
  about(node: NodeId): Promise<AboutNode | null>
}

export class AccessList {
  readonly #node: AccessNode
  readonly #entries: readonly Allowed[]
  readonly #names: readonly string[]
  readonly #resolved = new Map<string, NodeId>()
  readonly #about = new Map<NodeId, { readonly about: AboutNode | null; readonly at: number }>()
  /** Who has been looked for: for these, names that mean nobody are asked about once a while only. */
  readonly #knocked = new Set<NodeId>()
  #refreshing: Promise<void> | undefined
  #refreshedAt = -Infinity
  #timer: NodeJS.Timeout | undefined

  /** @param allow entries that `parseAllow` reads. */
  constructor(node: AccessNode, allow: readonly string[]) {
    this.#node = node
    this.#entries = allow.flatMap((entry) => parseAllow(entry) ?? [])
    this.#names = this.#entries.flatMap((entry) =>
      entry.kind === 'peer' && parsePeerName(entry.peer)?.kind === 'hostname' ? [entry.peer] : [],
    )
  }

  start(): void {
    if (this.#names.length === 0 && !this.#asksAbout) return
    void this.#refresh()
    this.#timer = setInterval(() => {
      this.#knocked.clear()
      void this.#refresh()
    }, REFRESH_MS).unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /**
   * The node was authenticated by its tunnel.
   * @param guest what its ticket says of this exposure: 'granted' lets it in whatever the list says; 'restricted' (a
   * ticket for something else) makes it nobody whom a person chose to trust, so 'trusted' does not mean it.
   */
  async allows(node: NodeId, guest?: 'granted' | 'restricted'): Promise<boolean> {
    if (guest === 'granted') return true
    if (!(await this.#node.isTrusted(node))) return false // a public node talks to everybody, and still serves only whom it trusts
    if (await this.#matches(node, guest)) return true
    if (this.#names.length === 0) return false
    const isOld = performance.now() - this.#refreshedAt >= REFRESH_AT_MOST_MS
    if (this.#names.every((name) => this.#resolved.has(name))) {
      // a name may mean another node by now: then that counts for the next attempt
      if (isOld) void this.#refresh()
      return false
    }
    const isNew = !this.#knocked.has(node)
    if (!isOld && !isNew && this.#refreshing === undefined) return false
    if (this.#knocked.size >= MAX_ABOUT) this.#knocked.clear()
    this.#knocked.add(node)
    if (isNew) await this.#refreshing // which may have asked before this node was there
    await this.#refresh() // a name that meant nobody yet: its node, just trusted, may be the one that knocks
    return await this.#matches(node, guest)
  }

  get #asksAbout(): boolean {
    return this.#entries.some(({ kind }) => kind === 'tag' || kind === 'network')
  }

  async #matches(node: NodeId, guest: 'restricted' | undefined): Promise<boolean> {
    for (const entry of this.#entries) {
      switch (entry.kind) {
        case 'trusted':
          if (guest === undefined) return true
          break
        case 'invited':
          break // tickets were looked at before
        case 'peer': {
          const name = parsePeerName(entry.peer)
          if ((name?.kind === 'address' ? name.address.node : this.#resolved.get(entry.peer)) === node) return true
          break
        }
        case 'key':
          if ((await this.#node.trusted()).some(({ nodeId, publicKey }) => nodeId === node && publicKey === entry.key))
            return true
          break
        case 'network':
          if ((await this.#aboutOf(node))?.networks.includes(entry.network) === true) return true
          break
        case 'tag':
          if ((await this.#aboutOf(node))?.tags.includes(entry.tag) === true) return true
          break
      }
    }
    return false
  }

  /** What was found out last; asks only about a node that nobody has asked about. */
  async #aboutOf(node: NodeId): Promise<AboutNode | null> {
    const known = this.#about.get(node)
    if (known !== undefined) {
      if (performance.now() - known.at >= ABOUT_MS) void this.#learn(node)
      if (performance.now() - known.at < ABOUT_TOO_OLD_MS) return known.about
    }
    return await this.#learn(node)
  }

  async #learn(node: NodeId): Promise<AboutNode | null> {
    const about = await this.#node.about(node).catch(() => undefined)
    if (about === undefined) return this.#about.get(node)?.about ?? null // the registry does not answer: what it said last counts a while
    if (this.#about.size >= MAX_ABOUT) this.#about.delete(this.#about.keys().next().value!)
    this.#about.delete(node)
    this.#about.set(node, { about, at: performance.now() })
    return about
  }

  #refresh(): Promise<void> {
    this.#refreshing ??= this.#look().finally(() => {
      this.#refreshing = undefined
      this.#refreshedAt = performance.now()
    })
    return this.#refreshing
  }

  async #look(): Promise<void> {
    await Promise.all(
      this.#names.map(async (name) => {
        const node = await this.#node.resolve(name).catch(() => undefined)
        if (node === undefined) this.#resolved.delete(name)
        else this.#resolved.set(name, node)
      }),
    )
    if (!this.#asksAbout) return
    const nodes = await this.#node.trusted().catch(() => [])
    const unknown = nodes.filter(({ nodeId }) => !this.#about.has(nodeId)).slice(0, MAX_ABOUT_AHEAD)
    await Promise.all(unknown.map(({ nodeId }) => this.#learn(nodeId)))
  }
}

/** As long as a node remembers the registry's answer about a name; asking more often would learn nothing. */
const REFRESH_MS = 30_000
/** Knocking more often than this makes us ask no more often. */
const REFRESH_AT_MOST_MS = 1_000
/** A tag that was taken away counts so much longer at most, while the registry answers. */
const ABOUT_MS = 10_000
const ABOUT_TOO_OLD_MS = 600_000
const MAX_ABOUT = 4_096
/** Trusted nodes asked about ahead at a time: the registry grants us 500 questions a minute for everything. */
const MAX_ABOUT_AHEAD = 20
