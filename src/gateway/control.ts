/**
 * The operations of a running gateway. `Gateway` is one in this process; `AdminControl` is what its admin socket
 * offers: the gateway's operations and those of its live configuration.
 */
import type { Overlay, OverlayStream } from '../runtime/overlay.ts'
import type { EventControl } from '../services/events/desk.ts'
import type { MessageControl } from '../services/messages/desk.ts'
import type { Changes, ReadyEvent } from './model/events.ts'
import type { Desired } from './model/options.ts'
import type {
  BenchOptions,
  BenchRecord,
  ConnectionRecord,
  DoctorRecord,
  DrainRecord,
  ExplainRecord,
  ExposedRecord,
  HostRecord,
  MappedRecord,
  OpenTicketRecord,
  PeerRecord,
  PendingTrustRecord,
  PingRecord,
  RecentRecord,
  ResolveRecord,
  SettingRecord,
  StatusRecord,
  TicketRecord,
  TicketUseRecord,
  TrustRecord,
  TrustRequestRecord,
  WhoisRecord,
} from './model/records.ts'

/** Every method may reject with a PilotError. */
export interface GatewayControl {
  status(): StatusRecord
  peers(): readonly PeerRecord[]
  mappings(): readonly MappedRecord[]
  exposures(): readonly ExposedRecord[]
  connections(): readonly ConnectionRecord[]
  /** What passed lately, the newest last: for people to look at. */
  recent(): RecentRecord
  /** @param local ip:port of a connection between us and a local program. Rejects with NOT_FOUND if it is not ours. */
  whois(local: string): Promise<WhoisRecord>
  /** One echo; resolves when the answer arrives. */
  ping(peer: string, seq: number, timeoutMs: number): Promise<PingRecord>
  /**
   * Measures the path to the peer's echo service; takes slightly more than 1.25 × `forMs`, or as long as a dial.
   * @throws PilotError: like `ping`, FAILED, PEER_RESET.
   */
  bench(peer: string, options: BenchOptions): Promise<BenchRecord>
  doctor(): DoctorRecord
  /** `PEER[:PORT]`, or the name or local address of a mapping. */
  explain(target: string): Promise<ExplainRecord>
  /** What a name means here. @throws PilotError NOT_FOUND, REGISTRY_UNREACHABLE, DAEMON_UNREACHABLE. */
  resolve(name: string): Promise<ResolveRecord>
  /** The mapped peers, for a hosts file. */
  hosts(): readonly HostRecord[]
  trusted(): Promise<readonly TrustRecord[]>
  pending(): Promise<readonly PendingTrustRecord[]>
  requestTrust(peer: string, reason: string): Promise<TrustRequestRecord>
  /** @param forMs trust is revoked after this time; absent: it has no end. */
  approveTrust(peer: string, forMs?: number): Promise<TrustRecord>
  rejectTrust(peer: string): Promise<TrustRecord>
  revokeTrust(peer: string): Promise<TrustRecord>
  /**
   * A ticket for one exposure, the only one if none is named. @param forMs how long it is valid. @param label what its
   *   holder is called here.
   * @throws PilotError NOT_FOUND, USAGE with several exposures or under --daemon, REGISTRY_UNREACHABLE, TOO_MANY.
   */
  invite(service: string | undefined, forMs: number, label?: string): Promise<TicketRecord>
  /** Those that are open. */
  tickets(): readonly OpenTicketRecord[]
  /** Withdraws open tickets by id or label. @throws PilotError NOT_FOUND, STATE_UNWRITABLE. */
  cancelTicket(which: string): readonly OpenTicketRecord[]
  /**
   * Uses another node's ticket. Resolves when trust is mutual.
   * @throws PilotError TICKET_INVALID, TICKET_EXPIRED, TICKET_USED, USAGE, CONFLICT, REGISTRY_UNREACHABLE, TIMED_OUT.
   */
  redeem(ticket: string): Promise<TicketUseRecord>
  readonly messages: MessageControl
  /** Accepts no new connections, at all or at one exposure; open ones continue. @throws PilotError NOT_FOUND. */
  drain(exposure?: string): Promise<DrainRecord>
  /** Accepts them again. @throws PilotError NOT_FOUND, SHUTTING_DOWN, or if something can no longer be bound. */
  resume(exposure?: string): Promise<DrainRecord>
}

/** The configuration while the gateway runs. Every method may reject with a PilotError. */
export interface ConfigControl {
  config(): ConfigRecord
  /** The same, value by value, with where each comes from. */
  settings(): readonly SettingRecord[]
  /**
   * Reloads the file. @throws PilotError USAGE without one, CONFIG_INVALID, RESTART_NEEDED, or if something cannot be
   * bound.
   */
  reload(): Promise<ConfigChange>
  /** What this text would change if it were our file. @throws PilotError CONFIG_INVALID. */
  diff(file: string, text: string): Promise<ConfigChange>
  /**
   * Replaces the live part with this, in the notation of the file. @throws PilotError CONFLICT if `version` is not the
   * one in force.
   */
  replace(version: number, wanted: Wanted): Promise<ConfigChange>
  map(spec: string, edit: Edit): Promise<MappedRecord>
  unmap(name: string, edit: Edit): Promise<MappedRecord>
  expose(spec: string, edit: Edit): Promise<ExposedRecord>
  unexpose(name: string, edit: Edit): Promise<ExposedRecord>
  /** Stops the gateway gracefully; answers before that. */
  down(): Promise<{ readonly state: 'draining'; readonly connections: number }>
}

/** Everything that the admin socket offers; `status` includes the configuration. */
export interface AdminControl extends GatewayControl, ConfigControl {}

/** The sections of a file that may change while it runs, as values. */
export interface Wanted {
  readonly map?: unknown // absent: none, as for expose
  readonly expose?: unknown
  readonly trust?: unknown // absent: unchanged, as for those below; null: none
  readonly http?: unknown
  readonly proxy?: unknown
  readonly dns?: unknown
  readonly observe?: unknown
}

export interface Edit {
  readonly name?: string | undefined // of the new mapping or exposure
  readonly save?: boolean | undefined // write it into the file
  readonly ifVersion?: number | undefined // CONFLICT unless this version is in force
}

/** The configuration in force: the desired state, as records. */
export interface ConfigRecord extends Omit<Desired, 'maps' | 'exposes'> {
  readonly mappings: Desired['maps']
  readonly exposures: Desired['exposes']
  readonly version: number // number of configurations applied since the start
  readonly file: string | null
  readonly error: string | null // why the file, as it is now, is not in force
}

export interface ConfigChange {
  readonly version: number
  readonly changes: Changes
  readonly restart: readonly string[] // keys that differ and cannot change while it runs
}

/** A gateway in this process. */
export interface Gateway extends GatewayControl, AsyncDisposable {
  ready(): ReadyEvent
  readonly events: EventControl
  /** A stream to `PEER:PORT`. @throws PilotError: like `dial` of the overlay. */
  dial(target: string, signal?: AbortSignal): Promise<OverlayStream>
  /** Its overlay, to dial and listen in addition to its mappings and exposures. */
  readonly overlay: Overlay
  /** An uncaught exception: logged and counted; everything else continues. */
  fault(error: unknown): void
  /** The running state, which `apply` can change. */
  readonly desired: Desired
  /** What `apply` would change. */
  changes(desired: Desired): Changes
  /**
   * Changes mappings, exposures, local ports and trust requests to those of `desired`, all or none; equal ones are not
   * touched. Connections of removed ones stay open until they end on their own.
   * @param renewed an exposure that a person requests again after it expired.
   * @throws PilotError: if something cannot be bound; SHUTTING_DOWN while it drains.
   */
  apply(desired: Desired, renewed?: string): Promise<Changes>
  /** Accepts no new connections, waits at most `graceMs` for open ones, ends the rest, and frees everything. */
  stop(graceMs: number): Promise<void>
}
