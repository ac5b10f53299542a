/** What may be asked of a running gateway: the admin socket, the command line and the package all ask by this interface. */
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
  StatusRecord,
  TicketRecord,
  TicketUseRecord,
  TrustRecord,
  TrustRequestRecord,
  WhoisRecord,
} from './model/records.ts'

/** What the admin socket may ask of a running gateway. Every method may reject with a PilotError. */
export interface GatewayControl {
  status(): StatusRecord
  peers(): readonly PeerRecord[]
  mappings(): readonly MappedRecord[]
  exposes(): readonly ExposedRecord[]
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
  approveTrust(peer: string): Promise<TrustRecord>
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
  drain(expose?: string): Promise<DrainRecord>
  /** Takes them again. @throws PilotError NOT_FOUND, SHUTTING_DOWN, or what cannot be bound any more. */
  resume(expose?: string): Promise<DrainRecord>
}
