/** What a running gateway prints under --json, and what a change of the configuration did. */
import type { NodeId } from '../../base/types.ts'
import type { ExposedRecord, MappedRecord, NodeRecord, PathRecord } from './records.ts'

/** What a running gateway prints under --json, one object a line, `v: 1` in front. */
export type GatewayEvent =
  | ({ readonly event: 'mapped' } & MappedRecord)
  | ({ readonly event: 'exposed' } & ExposedRecord)
  /** It listens no more, or is about to be replaced by another of that name; its open connections go on. */
  | ({ readonly event: 'unmapped' } & MappedRecord)
  | ({ readonly event: 'unexposed'; readonly reason?: 'for' | 'once' } & ExposedRecord) // reason: its time, or its one connection, is over
  /** Another configuration is in force. */
  | ({ readonly event: 'reloaded'; readonly version: number } & Changes)
  | ReadyEvent
  | {
      readonly event: 'trust'
      readonly peer: string
      readonly nodeId: NodeId
      readonly state: 'pending' | 'approved' | 'rejected' | 'revoked'
      readonly nameVerified: boolean // false: `peer` is an address, or only what the registry calls the node
      readonly fingerprint: string | null // of its key
    }
  | ({ readonly event: 'path'; readonly peer: string; readonly nodeId: NodeId } & PathRecord)
  /** A ticket of ours has been used. */
  | {
      readonly event: 'ticket'
      readonly state: 'used'
      readonly service: string
      readonly peer: string
      readonly nodeId: NodeId
    }
  /** A peer sent a message or a file over data exchange (port 1001); it is kept at `path`. */
  | {
      readonly event: 'message'
      readonly peer: string
      readonly nodeId: NodeId
      readonly type: string
      readonly bytes: number
      readonly path: string
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

/** Names of what came, went, and was replaced by another of the same name; `trust`: peers asked for trust; `sections`: of the configuration. */
export interface Changes {
  readonly mapped: readonly string[]
  readonly unmapped: readonly string[]
  readonly remapped: readonly string[]
  readonly exposed: readonly string[]
  readonly unexposed: readonly string[]
  readonly reexposed: readonly string[]
  readonly trust: readonly string[]
  readonly sections: readonly string[] // http, proxy, dns, observe: what listens there came, went or is another
}
