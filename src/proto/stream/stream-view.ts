/** A stream as seen from above the core: read-only, except for the application's own fields. */
import type { NodeId } from '../../base/types.ts'
import type { StreamEnd, StreamPhase } from './lifecycle.ts'

/**
 * Identifies a stream in commands. The application may use two members: `app`, and `read`, which `afterRead` must
 * follow.
 */
export interface StreamView {
  readonly peer: NodeId
  readonly localPort: number
  readonly remotePort: number
  readonly dialled: boolean
  readonly phase: StreamPhase
  /** How it ended; undefined until then. */
  readonly end: StreamEnd | undefined
  /** The peer is a pilotgate: each direction ends on its own. */
  readonly extended: boolean
  /** Offsets, bytes since the first one of the stream. */
  readonly sender: {
    readonly drained: boolean
    readonly una: number
    readonly buffer: { readonly end: number }
    readonly peerRoomBytes: number // beyond `una`
  }
  readonly receiver: { readonly queuedBytes: number }
  /** The peer's direction has ended and everything before it was read. */
  readonly readEnded: boolean
  app: StreamApp | undefined
  read(): Uint8Array | undefined
}

/** The user of a stream, stored with it. */
export interface StreamApp {
  /** @param news bits NEWS_…. */
  onNews(stream: StreamView, news: number): void
}

/** Bits of `onNews`. */
export const NEWS_OPEN = 1
export const NEWS_READABLE = 2 // bytes, or the end of the peer's direction
export const NEWS_WRITABLE = 4
export const NEWS_ENDED = 8
