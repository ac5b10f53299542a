/**
 * What may be asked of a running gateway. `Gateway` is one in this process; `AdminControl` is what its admin socket offers,
 * which is the gateway's own part and that of its live configuration.
 */
import type { Overlay } from '../runtime/overlay.ts'
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
  PeerRecord,
  PendingTrustRecord,
  PingRecord,
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
  /** @param local ip:port of a connection between us and a local program. Rejects with NOT_FOUND when it is none of ours. */
  whois(local: string): Promise<WhoisRecord>
  /** One echo; resolves when the answer is here. */
  ping(peer: string, seq: number, timeoutMs: number): Promise<PingRecord>
  /** Measures the way to the peer's echo service; takes a little longer than `forMs` and a quarter of it, or as long as a dial. @throws PilotError: as `ping`, FAILED, PEER_RESET. */
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
  /** @param forMs trust is revoked after so long; absent: it has no end. */
  approveTrust(peer: string, forMs?: number): Promise<TrustRecord>
  rejectTrust(peer: string): Promise<TrustRecord>
  revokeTrust(peer: string): Promise<TrustRecord>
  /**
   * A ticket for one exposure, the only one if none is named. @param forMs it is good for so long.
   * @throws PilotError NOT_FOUND, USAGE with several exposures or under --daemon, REGISTRY_UNREACHABLE, TOO_MANY.
   */
  invite(service: string | undefined, forMs: number): Promise<TicketRecord>
  /**
   * Uses a ticket of somebody else. Resolves when trust is mutual.
   * @throws PilotError TICKET_INVALID, TICKET_EXPIRED, TICKET_USED, USAGE, CONFLICT, REGISTRY_UNREACHABLE, TIMED_OUT.
   */
  redeem(ticket: string): Promise<TicketUseRecord>
  /** Takes no new connections, at all or at one exposure; the open ones go on. @throws PilotError NOT_FOUND. */
  drain(exposure?: string): Promise<DrainRecord>
  /** Takes them again. @throws PilotError NOT_FOUND, SHUTTING_DOWN, or what cannot be bound any more. */
  resume(exposure?: string): Promise<DrainRecord>
}

/** The configuration while the gateway runs. Every method may reject with a PilotError. */
export interface ConfigControl {
  config(): ConfigRecord
  /** The same, value by value, with where each comes from. */
  settings(): readonly SettingRecord[]
  /** Reads the file again. @throws PilotError USAGE without one, CONFIG_INVALID, RESTART_NEEDED, or what cannot be bound. */
  reload(): Promise<ConfigChange>
  /** What this text, as our file, would change. @throws PilotError CONFIG_INVALID. */
  diff(file: string, text: string): Promise<ConfigChange>
  /** The live part becomes this, in the notation of the file. @throws PilotError CONFLICT when `version` is not the one in force. */
  replace(version: number, wanted: Wanted): Promise<ConfigChange>
  map(spec: string, edit: Edit): Promise<MappedRecord>
  unmap(name: string, edit: Edit): Promise<MappedRecord>
  expose(spec: string, edit: Edit): Promise<ExposedRecord>
  unexpose(name: string, edit: Edit): Promise<ExposedRecord>
  /** Ends the gateway, gracefully; the answer comes before that. */
  down(): Promise<{ readonly state: 'draining'; readonly connections: number }>
}

/** Everything that the admin socket offers; `status` includes the configuration. */
export interface AdminControl extends GatewayControl, ConfigControl {}

/** The sections of a file that may change while it runs, as values. */
export interface Wanted {
  readonly map?: unknown // absent: none, as of expose
  readonly expose?: unknown
  readonly trust?: unknown // absent: as it is, as of those below; null: none
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

/** What is in force: the desired state, in the words of the records. */
export interface ConfigRecord extends Omit<Desired, 'maps' | 'exposes'> {
  readonly mappings: Desired['maps']
  readonly exposures: Desired['exposes']
  readonly version: number // counts what has been applied since the start
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
  /** What it stands on, to dial and listen beside its mappings and exposures. */
  readonly overlay: Overlay
  /** An exception that no handler caught: logged and counted, and everything else goes on. */
  fault(error: unknown): void
  /** What runs now, and may be changed by `apply`. */
  readonly desired: Desired
  /** What `apply` would change. */
  changes(desired: Desired): Changes
  /**
   * Makes mappings, exposures, local ports and trust requests those of `desired`, all of them or none; what stays equal is
   * not touched. Connections of what goes stay open until they end by themselves.
   * @param renewed an exposure that a person asks for again, after its time was over.
   * @throws PilotError: whatever cannot be bound, SHUTTING_DOWN while it drains.
   */
  apply(desired: Desired, renewed?: string): Promise<Changes>
  /** Takes no new connections, waits for those inside at most `graceMs`, ends the rest, frees everything. */
  stop(graceMs: number): Promise<void>
}
