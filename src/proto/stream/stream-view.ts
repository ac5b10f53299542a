/** A stream as those above the core see it: to read, but for what is theirs. */
import type { NodeId } from '../../base/types.ts'
import type { StreamEnd, StreamPhase } from './lifecycle.ts'

/** Names a stream in commands. Two things are the application's: `app`, and `read`, which `afterRead` must follow. */
export interface StreamView {
  readonly peer: NodeId
  readonly localPort: number
  readonly remotePort: number
  readonly dialled: boolean
  readonly phase: StreamPhase
  /** Why it is over; undefined while it is not. */
  readonly end: StreamEnd | undefined
  /** The peer is one of us: each direction ends by itself. */
  readonly extended: boolean
  /** Offsets, bytes since the first one of the stream. */
  readonly sender: { readonly drained: boolean; readonly una: number; readonly buffer: { readonly end: number } }
  readonly receiver: { readonly queuedBytes: number }
  /** The peer's direction has ended and everything before it was read. */
  readonly readEnded: boolean
  app: StreamApp | undefined
  read(): Uint8Array | undefined
}

/** Whoever uses a stream, kept with it. */
export interface StreamApp {
  /** @param news bits NEWS_…. */
  onNews(stream: StreamView, news: number): void
}

/** Bits of `onNews`. */
export const NEWS_OPEN = 1
export const NEWS_READABLE = 2 // bytes, or the end of the peer's direction
export const NEWS_WRITABLE = 4
export const NEWS_ENDED = 8
