/** One wish to open a stream. The node keeps it until the stream exists or it failed. */
import type { NodeId } from '../../base/types.ts'
import type { Stream } from '../stream/stream.ts'

export interface Dial {
  readonly label: string // for messages: the peer as the user wrote it
  readonly port: number // 0: only the tunnel
  /** What the application keeps for it. */
  readonly app: unknown
  node: NodeId
  redials: number
  cancelled: boolean
  stream: Stream | undefined
}
