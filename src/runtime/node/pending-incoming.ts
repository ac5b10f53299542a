/** An undecided connection request. Above: node/node.ts, which creates it and carries out the decision. */
import type { NodeId } from '../../base/types.ts'
import type { StreamApp, StreamView } from '../../proto/stream/stream-view.ts'
import type { RefusalReason } from '../../wire/refusal.ts'
import type { Incoming, OverlayStream } from '../overlay.ts'

interface Verbs {
  accept(): OverlayStream
  refuse(reason: RefusalReason | undefined): void
}

export class PendingIncoming implements Incoming, StreamApp {
  readonly peer: NodeId
  readonly peerName: string
  readonly port: number
  readonly isReply: boolean
  gone: boolean
  readonly #verbs: Verbs

  constructor(stream: StreamView, peerName: string, isReply: boolean, verbs: Verbs) {
    this.peer = stream.peer
    this.peerName = peerName
    this.port = stream.localPort
    this.isReply = isReply
    this.#verbs = verbs
    this.gone = stream.end !== undefined // a SYN and its RST can arrive in one turn, and news comes before events
    stream.app = this
  }

  onNews(stream: StreamView): void {
    if (stream.end !== undefined) this.gone = true
  }

  accept(): OverlayStream {
    return this.#verbs.accept()
  }
  refuse(reason?: RefusalReason): void {
    this.#verbs.refuse(reason)
  }
}
