/** Who takes part in a cluster run: gateways of ours, behind a NAT each. */
import type { SimNode } from '../simulator/sim-node.ts'

export interface Member {
  readonly name: string
  readonly kind: string // of its NAT
  readonly isOpen: boolean
  readonly host: string // its address in the network of the simulator
  readonly node: SimNode
}
