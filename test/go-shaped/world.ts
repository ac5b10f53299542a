/** What a Go-shaped node needs from its surroundings: a real socket and registry, or simulated ones. */
import type { Endpoint, NodeId } from '../../src/base/types.ts'

/** The node's surroundings. The registry may answer at any time; a Go daemon's loops would block meanwhile. */
export interface GoWorld {
  readonly beacon: Endpoint
  send(bytes: Uint8Array, to: Endpoint): void
  random(length: number): Uint8Array
  /** The registered Ed25519 key. */
  lookup(node: NodeId, then: (key: Uint8Array | undefined) => void): void
  /** The endpoint, or undefined if the registry refuses. */
  resolve(node: NodeId, then: (endpoint: Endpoint | undefined) => void): void
  checkTrust(node: NodeId, then: (trusted: boolean) => void): void
  reportTrust(node: NodeId): void
  unixSeconds(): number
}
