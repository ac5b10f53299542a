/**
 * Nodes without UDP: each holds one authenticated connection, and its frames go through it. Whatever is claimed by UDP
 * meanwhile, a proven connection counts for more; when it ends, UDP counts again.
 */
import type { NodeId } from '../../base/types.ts'

export interface Link {
  readonly node: NodeId // proven
  /** IP address of its other end: the node itself, or a proxy. */
  readonly address: string
  /** Takes ownership. @returns false if too much waits already: then it is dropped. */
  deliver(bytes: Uint8Array): boolean
  /** Another connection of the same node has replaced it. */
  displace(): void
}

export class Links {
  readonly #byNode = new Map<NodeId, Link>()

  get size(): number {
    return this.#byNode.size
  }

  of(node: NodeId): Link | undefined {
    return this.#byNode.get(node)
  }

  /** The newest of a node counts: it has just proven itself, and the older one may be dead without a word. */
  add(link: Link): void {
    const older = this.#byNode.get(link.node)
    this.#byNode.set(link.node, link)
    older?.displace()
  }

  remove(link: Link): void {
    if (this.#byNode.get(link.node) === link) this.#byNode.delete(link.node)
  }

  nodes(): IterableIterator<NodeId> {
    return this.#byNode.keys()
  }
}
