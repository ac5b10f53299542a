/** The members of a cluster run: our gateways, each behind a NAT. */
import type { SimNode } from '../simulator/sim-node.ts'

export interface Member {
  readonly name: string
  readonly kind: string // of its NAT
  readonly isOpen: boolean
  readonly host: string // its address in the simulated network
  readonly node: SimNode
}
