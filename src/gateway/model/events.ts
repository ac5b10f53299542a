/** What a running gateway prints under --json, and what a change of the configuration did. */
import type { NodeId } from '../../base/types.ts'
import type {
  ConnectionRecord,
  EndedConnectionRecord,
  ExposedRecord,
  MappedRecord,
  NodeRecord,
  PathRecord,
} from './records.ts'

/** What a running gateway prints under --json, one object per line, with `v: 1` first. */
export type GatewayEvent =
  | ({ readonly event: 'mapped' } & MappedRecord)
  | ({ readonly event: 'exposed' } & ExposedRecord)
  /** It no longer listens, or is about to be replaced by one of the same name; its open connections continue. */
  | ({ readonly event: 'unmapped' } & MappedRecord)
  | ({ readonly event: 'unexposed'; readonly reason?: 'for' | 'once' } & ExposedRecord) // reason: its time is up, or its one connection was made
  /** A new configuration is in force. */
  | ({ readonly event: 'reloaded'; readonly version: number } & Changes)
  | ReadyEvent
  | {
      readonly event: 'trust'
      readonly peer: string
      readonly nodeId: NodeId
      readonly state: 'pending' | 'approved' | 'rejected' | 'revoked'
      readonly nameVerified: boolean // false: `peer` is an address, or only the registry's name for the node
      readonly fingerprint: string | null // of its key
    }
  | ({
      readonly event: 'path'
      readonly peer: string
      readonly nodeId: NodeId
      readonly reason?: string // for this path
    } & PathRecord)
  /** One of our tickets has been used. */
  | {
      readonly event: 'ticket'
      readonly state: 'used'
      readonly service: string
      readonly peer: string
      readonly nodeId: NodeId
      readonly label?: string // given to the ticket here
    }
  /** A connection of a mapping or exposure is established, or has ended. */
  | ({ readonly event: 'connection'; readonly state: 'opened' } & Omit<ConnectionRecord, 'state' | 'openedMs'>)
  | ({ readonly event: 'connection'; readonly state: 'ended' } & EndedConnectionRecord)
  /** A peer sent a message or a file over data exchange (port 1001); it is kept at `path`. */
  | {
      readonly event: 'message'
      readonly peer: string
      readonly nodeId: NodeId
      readonly type: string
      readonly bytes: number
      readonly path: string
      readonly id: string // in the inbox
      readonly messageId: string | null // given by its sender
      readonly replyTo: string | null
    }
  /** A message or file of our outbox was delivered, or given up. */
  | {
      readonly event: 'sent'
      readonly id: string
      readonly peer: string
      readonly state: 'delivered' | 'expired' | 'refused' | 'cancelled'
      readonly bytes: number
      readonly error: string | null
    }

export interface ReadyEvent {
  readonly event: 'ready'
  readonly node: NodeRecord
  readonly udp: string | null // null under --daemon
  readonly admin: string
  readonly observe?: string // where metrics, health and the dashboard are
  readonly http: string | null // ip:port of the HTTP front
  readonly proxy?: string
  readonly dns?: string
  readonly mappings: readonly MappedRecord[]
  readonly exposures: readonly ExposedRecord[]
  readonly elapsedMs: number
}

/**
 * Names that were added, removed, and replaced by one of the same name; `trust`: peers asked for trust; `sections`: of
 * the configuration.
 */
export interface Changes {
  readonly mapped: readonly string[]
  readonly unmapped: readonly string[]
  readonly remapped: readonly string[]
  readonly exposed: readonly string[]
  readonly unexposed: readonly string[]
  readonly reexposed: readonly string[]
  readonly trust: readonly string[]
  readonly sections: readonly string[] // http, proxy, dns, observe: its listener was added, removed or replaced
}
