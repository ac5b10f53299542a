/** trust.json (trust.md §4.8): whom we trust and who has asked, in the form the reference daemon reads and writes. */
import type { NodeId } from '../base/types.ts'
import { asRecord, countField, formatGoJson, parseJsonObject, textField } from './go-json.ts'

export interface TrustedEntry {
  readonly nodeId: NodeId
  readonly publicKey: string // base64; '' if unknown
  readonly approvedAt: string // RFC 3339
  readonly mutual: boolean
  readonly hostname?: string // ours: the name that this key is bound to (decision 30); the reference ignores it
  readonly network: number // trusted as a member of this network; 0 otherwise
  readonly guest?: true // ours: trusted only for a ticket; the reference ignores it
  readonly displaced?: true // ours: the id now means another node, only the key holds; the reference ignores it
}

export interface PendingEntry {
  readonly nodeId: NodeId
  readonly publicKey: string // base64; '' if unknown
  readonly justification: string
  readonly receivedAt: string // RFC 3339
  readonly hostname?: string // ours: the registry's name for the sender at that time; unverified
  readonly source?: NodeId // daemons of today; kept for them
}

/** Ours, ignored by the reference: a trust request that a person has made and that is unanswered. */
export interface RequestedEntry {
  readonly peer: string // as the person wrote it
  readonly nodeId?: NodeId // this one, or the hostname
  readonly hostname?: string
  readonly reason: string
  readonly publicKey?: string // base64: the only key that satisfies it
}

/**
 * Ours: peers whose trust we revoked, so that no name in a configuration restores it. Daemons of today have a list of
 * the same name, of nodes that they do not hear for five minutes (quirk H8): to them, ours have no end.
 */
export interface RevokedEntry {
  readonly nodeId: NodeId
  readonly publicKey: string // base64
  readonly hostname?: string
}

/** What daemons of today keep for themselves: an id and a time (RFC 3339). We write it back, and make nothing of it. */
export interface DaemonEntry {
  readonly nodeId: NodeId
  readonly time: string
}

export interface TrustFile {
  readonly ownId?: NodeId // ours: our own id when this was trusted, `own_node_id`; the reference ignores it
  readonly trusted: readonly TrustedEntry[]
  readonly pending: readonly PendingEntry[]
  readonly revoked?: readonly RevokedEntry[]
  readonly requested?: readonly RequestedEntry[]
  readonly cooldowns?: readonly DaemonEntry[] // until when a node is not heard, in `revoked`
  readonly outgoing?: readonly DaemonEntry[] // when a node was asked for trust
}

export type TrustFileFault =
  | 'not_json'
  | 'bad_trusted'
  | 'bad_pending'
  | 'bad_revoked'
  | 'bad_requested'
  | 'bad_outgoing'

/** All or nothing: one bad entry is a fault, since silently losing or gaining trust would be worse. */
export function parseTrustFile(text: string): TrustFile | TrustFileFault {
  const record = parseJsonObject(text)
  if (record === undefined) return 'not_json'
  const trusted = parseList(record['trusted'], parseTrusted)
  if (trusted === undefined) return 'bad_trusted'
  const pending = parseList(record['pending'], parsePending)
  if (pending === undefined) return 'bad_pending'
  const listed = parseList(record['revoked'], parseRevoked)
  if (listed === undefined) return 'bad_revoked'
  const outgoing = parseList(record['outgoing'], (entry) => parseDaemonEntry(entry, 'sent_at'))
  if (outgoing === undefined) return 'bad_outgoing'
  const revoked = listed.filter((entry) => 'publicKey' in entry)
  const cooldowns = listed.filter((entry) => 'time' in entry)
  const requested = parseList(record['requested'], parseRequested)
  if (requested === undefined) return 'bad_requested'
  const ownId = countField(record, 'own_node_id', 0xffff_ffff)
  return {
    trusted,
    pending,
    ...(revoked.length > 0 && { revoked }),
    ...(requested.length > 0 && { requested }),
    ...(cooldowns.length > 0 && { cooldowns }),
    ...(outgoing.length > 0 && { outgoing }),
    ...(ownId !== undefined && ownId !== 0 && { ownId }),
  }
}

/**
 * Byte for byte as the reference writes it: two spaces, no newline at the end, empty fields omitted where the reference
 * omits them.
 */
export function formatTrustFile(file: TrustFile): string {
  return formatGoJson(
    {
      trusted:
        file.trusted.length === 0
          ? null
          : file.trusted.map((entry) => ({
              node_id: entry.nodeId,
              public_key: entry.publicKey,
              approved_at: entry.approvedAt,
              mutual: entry.mutual,
              network: entry.network === 0 ? undefined : entry.network,
              hostname: entry.hostname,
              guest: entry.guest,
              displaced: entry.displaced,
            })),
      pending:
        file.pending.length === 0
          ? undefined
          : file.pending.map((entry) => ({
              node_id: entry.nodeId,
              public_key: entry.publicKey === '' ? undefined : entry.publicKey,
              justification: entry.justification === '' ? undefined : entry.justification,
              received_at: entry.receivedAt,
              source: entry.source,
              hostname: entry.hostname,
            })),
      outgoing: file.outgoing?.map((entry) => ({ node_id: entry.nodeId, sent_at: entry.time })),
      revoked: formatRevoked(file),
      requested:
        (file.requested ?? []).length === 0
          ? undefined
          : file.requested!.map((entry) => ({
              peer: entry.peer,
              node_id: entry.nodeId,
              hostname: entry.hostname,
              reason: entry.reason === '' ? undefined : entry.reason,
              public_key: entry.publicKey,
            })),
      own_node_id: file.ownId,
    },
    2,
  )
}

function formatRevoked({ revoked = [], cooldowns = [] }: TrustFile): object[] | undefined {
  if (revoked.length + cooldowns.length === 0) return undefined
  return [
    ...cooldowns.map((entry) => ({ node_id: entry.nodeId, until: entry.time })),
    ...revoked.map((entry) => ({
      node_id: entry.nodeId,
      until: NO_END,
      public_key: entry.publicKey,
      hostname: entry.hostname,
    })),
  ]
}

function parseTrusted(record: Readonly<Record<string, unknown>>): TrustedEntry | undefined {
  const nodeId = countField(record, 'node_id', 0xffff_ffff)
  const publicKey = textField(record, 'public_key')
  const approvedAt = textField(record, 'approved_at')
  const mutual = record['mutual'] ?? false
  const network = countField(record, 'network', 0xffff)
  const hostname = textField(record, 'hostname')
  if (nodeId === undefined || nodeId === 0 || publicKey === undefined || approvedAt === undefined) return undefined
  if (typeof mutual !== 'boolean' || network === undefined) return undefined
  return {
    nodeId,
    publicKey,
    approvedAt,
    mutual,
    network,
    ...named(hostname),
    ...(record['guest'] === true && { guest: true }),
    ...(record['displaced'] === true && { displaced: true }),
  }
}

function parsePending(record: Readonly<Record<string, unknown>>): PendingEntry | undefined {
  const nodeId = countField(record, 'node_id', 0xffff_ffff)
  const publicKey = textField(record, 'public_key')
  const justification = textField(record, 'justification')
  const receivedAt = textField(record, 'received_at')
  const hostname = textField(record, 'hostname')
  if (nodeId === undefined || nodeId === 0 || publicKey === undefined) return undefined
  const source = countField(record, 'source', 0xffff_ffff)
  if (justification === undefined || receivedAt === undefined || source === undefined) return undefined
  return { nodeId, publicKey, justification, receivedAt, ...named(hostname), ...(source !== 0 && { source }) }
}

/** Ours has the key of the peer; a daemon's only says until when. */
function parseRevoked(record: Readonly<Record<string, unknown>>): RevokedEntry | DaemonEntry | undefined {
  const nodeId = countField(record, 'node_id', 0xffff_ffff)
  const publicKey = textField(record, 'public_key')
  const hostname = textField(record, 'hostname')
  if (publicKey === '') return parseDaemonEntry(record, 'until')
  if (nodeId === undefined || nodeId === 0 || publicKey === undefined) return undefined
  return { nodeId, publicKey, ...named(hostname) }
}

function parseDaemonEntry(
  record: Readonly<Record<string, unknown>>,
  field: 'until' | 'sent_at',
): DaemonEntry | undefined {
  const nodeId = countField(record, 'node_id', 0xffff_ffff)
  const time = textField(record, field)
  return nodeId === undefined || nodeId === 0 || time === undefined || time === '' ? undefined : { nodeId, time }
}

function parseRequested(record: Readonly<Record<string, unknown>>): RequestedEntry | undefined {
  const peer = textField(record, 'peer')
  const nodeId = countField(record, 'node_id', 0xffff_ffff)
  const hostname = textField(record, 'hostname')
  const reason = textField(record, 'reason')
  const publicKey = textField(record, 'public_key')
  if (peer === undefined || peer === '' || nodeId === undefined || reason === undefined) return undefined
  if (nodeId === 0 && (hostname === undefined || hostname === '')) return undefined
  return {
    peer,
    reason,
    ...(nodeId !== 0 && { nodeId }),
    ...named(hostname),
    ...(publicKey !== undefined && publicKey !== '' && { publicKey }),
  }
}

function named(hostname: string | undefined): { readonly hostname?: string } {
  return hostname === undefined || hostname === '' ? {} : { hostname }
}

/** Absent and null are an empty list. */
function parseList<Entry>(
  value: unknown,
  parse: (record: Readonly<Record<string, unknown>>) => Entry | undefined,
): readonly Entry[] | undefined {
  if (value === undefined || value === null) return []
  if (!Array.isArray(value)) return undefined
  const entries: Entry[] = []
  for (const item of value) {
    const record = asRecord(item)
    const entry = record === undefined ? undefined : parse(record)
    if (entry === undefined) return undefined
    entries.push(entry)
  }
  return entries
}

/** `until` of our own entries, for daemons. */
const NO_END = '9999-12-31T23:59:59Z'
