/**
 * The trusted nodes with one of some tags: according to the configuration, or, for tags not used there, the registry.
 * Looked up in advance and kept fresh, so that a client of a mapping to `tag:NAME` need not wait. Above:
 * map/group/group.ts. Below: runtime/overlay.ts.
 */
import { formatAddress } from '../../../base/address.ts'
import type { NodeId } from '../../../base/types.ts'
import type { Overlay } from '../../../runtime/overlay.ts'
import type { ConfiguredTags } from '../../model/tags.ts'

export type TagNode = Pick<Overlay, 'trusted' | 'about' | 'hostnameOf'>

export interface TagMember {
  readonly nodeId: NodeId
  readonly label: string // its hostname, otherwise its address
}

export class TagMembers {
  readonly #node: TagNode
  readonly #selfAssigned: readonly string[]
  readonly #keys: ReadonlySet<string> // that have one of the others, base64
  readonly #now: () => number
  /** The answer for each trusted node, and when it came. A node that could not be looked up keeps its last answer. */
  #known = new Map<NodeId, { readonly fits: boolean; readonly at: number }>()
  #refreshing: Promise<void> | undefined
  #refreshedAt = -Infinity
  #timer: NodeJS.Timeout | undefined

  constructor(node: TagNode, tags: readonly string[], configured: ConfiguredTags, now: () => number) {
    this.#node = node
    this.#selfAssigned = tags.filter((tag) => !configured.has(tag))
    this.#keys = new Set(tags.flatMap((tag) => [...(configured.get(tag) ?? [])]))
    this.#now = now
  }

  get members(): readonly TagMember[] {
    return [...this.#known]
      .filter(([, { fits }]) => fits)
      .map(([nodeId]) => ({
        nodeId,
        label: this.#node.hostnameOf(nodeId) ?? formatAddress({ network: 0, node: nodeId }),
      }))
  }

  start(): void {
    void this.refresh()
    this.#timer ??= setInterval(() => void this.refresh(), REFRESH_MS).unref()
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  /** Asks again, unless that was just done. Never rejects. */
  async refreshIfOld(): Promise<void> {
    if (this.#refreshing !== undefined || this.#now() - this.#refreshedAt >= REFRESH_AT_MOST_MS) await this.refresh()
  }

  /** Never rejects: while the registry does not answer, its last answer counts. */
  refresh(): Promise<void> {
    this.#refreshing ??= this.#look().finally(() => {
      this.#refreshing = undefined
      this.#refreshedAt = this.#now()
    })
    return this.#refreshing
  }

  /** Unknown ones first, then the oldest answers: with many trusted nodes, each gets its turn. */
  async #look(): Promise<void> {
    const trusted = await this.#node.trusted().catch(() => undefined)
    if (trusted === undefined) return
    // A person has chosen these; guests and members of a network could claim any tag.
    const chosen = trusted.filter(({ guest, network }) => guest !== true && network === 0)
    const fitting = new Set(chosen.filter(({ publicKey }) => this.#keys.has(publicKey)).map(({ nodeId }) => nodeId))
    const nodes = this.#selfAssigned.length > 0 ? chosen.map(({ nodeId }) => nodeId) : [...fitting]
    this.#known = new Map(nodes.flatMap((node) => (this.#known.has(node) ? [[node, this.#known.get(node)!]] : [])))
    const at = (node: NodeId): number => this.#known.get(node)?.at ?? -Infinity
    for (const node of fitting) this.#known.set(node, { fits: true, at: this.#now() })
    const asked = nodes
      .filter((node) => !fitting.has(node))
      .toSorted((a, b) => at(a) - at(b))
      .slice(0, MAX_ASKED)
    await Promise.all(
      asked.map(async (node) => {
        const about = await this.#node.about(node).catch(() => undefined)
        if (about === undefined) return
        this.#known.set(node, {
          fits: about?.tags.some((tag) => this.#selfAssigned.includes(tag)) === true,
          at: this.#now(),
        })
      }),
    )
  }
}

/** How long it takes until an added or removed tag counts. */
const REFRESH_MS = 15_000
const REFRESH_AT_MOST_MS = 1_000
/** Per round: the registry grants us 500 requests a minute in total. */
const MAX_ASKED = 40
