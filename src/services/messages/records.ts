/** What commands and programs learn about messages, and ask for. */
import type { NodeId } from '../../base/types.ts'

export type MessageType = 'text' | 'binary' | 'json' | 'file'

/** Something that arrived. */
export interface InboxRecord {
  readonly id: string // name of its file
  readonly type: MessageType
  readonly from: string | null // address; null: unknown, as of files that others put there
  readonly fromName: string | null
  readonly nodeId: NodeId | null
  readonly bytes: number // of the content
  readonly receivedAt: string
  readonly name: string | null // of a file, as its sender called it
  readonly messageId: string | null
  readonly replyTo: string | null
  readonly path: string // a message is JSON there, a file itself
}

export type Ending = 'delivered' | 'expired' | 'refused' | 'cancelled'

/** Something that is sent, or was. */
export interface OutgoingRecord {
  readonly id: string
  readonly peer: string
  readonly type: MessageType
  readonly name: string | null
  readonly bytes: number
  readonly replyTo: string | null
  /** waiting: for the peer. expired: the time is up. refused: the peer cannot take it. */
  readonly state: 'waiting' | 'sending' | Ending
  readonly deliveredBytes: number
  readonly attempts: number
  readonly createdAt: string
  readonly expiresAt: string
  readonly error: string | null // of the last attempt
  readonly nextAttemptMs: number | null
}

export type EndedRecord = OutgoingRecord & { readonly state: Ending }

export interface SendRequest {
  readonly peer: string
  readonly type: MessageType
  /** Of the content, either. A file is copied: it may change or go afterwards. */
  readonly content?: Uint8Array
  readonly path?: string
  readonly name?: string | undefined // of a file; default: that of `path`
  readonly replyTo?: string | undefined
  readonly forMs?: number | undefined // given up after this time; default: DEFAULT_TTL_MS
}

export interface InboxFilter {
  readonly from?: string | undefined // a peer
  readonly replyTo?: string | undefined
  readonly after?: string | undefined // only what came after this one
}
