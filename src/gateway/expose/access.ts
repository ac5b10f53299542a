/**
 * Who may use an exposed service. A denial is visible only here: the peer sees a port without a listener, and just as
 * quickly. A name means a key, which needs no look-up; claimed tags and networks are looked up in advance and kept
 * fresh, not when a peer connects.
 */
import { parsePeerName } from '../../base/address.ts'
import type { NodeId } from '../../base/types.ts'
import type { AboutNode, Overlay } from '../../runtime/overlay.ts'
import { type Allowed, parseAllow } from '../model/allow.ts'
import type { ConfiguredTags } from '../model/tags.ts'

/** What access needs from the overlay. */
export type AccessNode = Pick<Overlay, 'trustOf' | 'trusted' | 'means' | 'about'>

/** How a node is trusted. */
type Standing = NonNullable<Awaited<ReturnType<AccessNode['trustOf']>>>

export class AccessList {
  readonly #node: AccessNode
  readonly #entries: readonly Allowed[]
  readonly #tags: ConfiguredTags
  readonly #about = new Map<NodeId, { readonly about: AboutNode | null; readonly at: number }>()
  #timer: NodeJS.Timeout | undefined

  /** @param allow entries that `parseAllow` reads. */
  constructor(node: AccessNode, allow: readonly string[], tags: ConfiguredTags = new Map()) {
    this.#node = node
    this.#entries = allow.flatMap((entry) => parseAllow(entry) ?? [])
    this.#tags = tags
  }

  start(): void {
    const asks = this.#entries.some((entry) => entry.kind === 'network' || this.#isSelfAssigned(entry))
    if (!asks) return
    void this.#lookAhead()
    this.#timer = setInterval(() => void this.#lookAhead(), LOOK_AHEAD_MS).unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /**
   * The node was authenticated by its tunnel.
   * @param guest what its ticket says of this exposure: 'granted' admits it whatever the list says; 'restricted' (a
   *   ticket for something else) means that no person chose to trust it.
   */
  async allows(node: NodeId, guest?: 'granted' | 'restricted'): Promise<boolean> {
    if (guest === 'granted') return true
    const standing = await this.#node.trustOf(node)
    if (standing === undefined) return false // a public node talks to everyone, but serves only trusted nodes
    for (const entry of this.#entries) if (await this.#matches(entry, standing, guest)) return true
    return false
  }

  /** No person chose guests, or members that only a network vouches for: no name, tag or 'trusted' matches them. */
  async #matches(entry: Allowed, standing: Standing, guest: 'restricted' | undefined): Promise<boolean> {
    const { nodeId, publicKey } = standing
    const isChosen = guest === undefined && standing.guest !== true && standing.network === 0
    switch (entry.kind) {
      case 'trusted':
        return isChosen
      case 'invited':
        return false // tickets were checked before
      case 'peer': {
        const name = parsePeerName(entry.peer)
        if (name?.kind === 'address') return name.address.node === nodeId
        return isChosen && name !== undefined && (await this.#node.means(name.hostname, nodeId))
      }
      case 'key':
        return publicKey === entry.key
      case 'network':
        return (await this.#aboutOf(nodeId))?.networks.includes(entry.network) === true
      case 'tag':
        if (!isChosen) return false
        if (!this.#isSelfAssigned(entry)) return this.#tags.get(entry.tag)!.has(publicKey)
        return (await this.#aboutOf(nodeId))?.tags.includes(entry.tag) === true
    }
  }

  #isSelfAssigned(entry: Allowed): boolean {
    return entry.kind === 'tag' && !this.#tags.has(entry.tag)
  }

  /** The last known answer; asks only about a node that was never asked about. */
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
    if (about === undefined) return this.#about.get(node)?.about ?? null // the registry does not answer: its last answer counts for a while
    if (this.#about.size >= MAX_ABOUT) this.#about.delete(this.#about.keys().next().value!)
    this.#about.delete(node)
    this.#about.set(node, { about, at: performance.now() })
    return about
  }

  async #lookAhead(): Promise<void> {
    const nodes = await this.#node.trusted().catch(() => [])
    const unknown = nodes.filter(({ nodeId }) => !this.#about.has(nodeId)).slice(0, MAX_ABOUT_AHEAD)
    await Promise.all(unknown.map(({ nodeId }) => this.#learn(nodeId)))
  }
}

/** How long a newly trusted peer may have to wait for its first connection by tag. */
const LOOK_AHEAD_MS = 30_000
/** How long at most a removed tag still counts while the registry answers. */
const ABOUT_MS = 10_000
const ABOUT_TOO_OLD_MS = 600_000
const MAX_ABOUT = 4_096
/** Trusted nodes looked up in advance at a time: the registry grants us 500 requests a minute in total. */
const MAX_ABOUT_AHEAD = 20
