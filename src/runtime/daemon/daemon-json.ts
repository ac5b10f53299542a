/** The JSON answers of a daemon on its Unix socket (ipc.md §2.2, §2.4), as far as we need them. */
import { parseAddress } from '../../base/address.ts'
import type { NodeId } from '../../base/types.ts'
import { asRecord, countField, parseJsonObject, textField } from '../../wire/go-json.ts'
import type { PendingEntry, TrustedEntry } from '../../wire/trust-file.ts'

export interface DaemonInfo {
  readonly nodeId: NodeId // 0 while it is not registered
  readonly address: string
  readonly hostname: string // '': none
  readonly publicKey: string // base64
  readonly peers: readonly DaemonPeer[]
  readonly connections: readonly DaemonConnection[]
}

export interface DaemonPeer {
  readonly nodeId: NodeId
  readonly authenticated: boolean
}

/** An entry of `conn_list`. */
export interface DaemonConnection {
  readonly id: number
  readonly node: NodeId | undefined
  readonly state: string // SYN_SENT, ESTABLISHED, TIME_WAIT, …
  readonly unackedBytes: number
  readonly peerWindowBytes: number
  readonly bytesSent: number
  readonly bytesReceived: number
}

export function parseDaemonInfo(text: string): DaemonInfo | 'malformed' {
  const record = parseJsonObject(text)
  const nodeId = record && countField(record, 'node_id', MAX_NODE)
  if (record === undefined || nodeId === undefined) return 'malformed'
  const [address, hostname, publicKey] = [
    textField(record, 'address'),
    textField(record, 'hostname'),
    textField(record, 'public_key'),
  ]
  if (address === undefined || hostname === undefined || publicKey === undefined) return 'malformed'
  return {
    nodeId,
    address,
    hostname,
    publicKey,
    peers: entries(record['peer_list'], parsePeer),
    connections: entries(record['conn_list'], parseConnection),
  }
}

export function parseTrustedReply(text: string): readonly TrustedEntry[] | 'malformed' {
  const record = parseJsonObject(text)
  if (record === undefined) return 'malformed'
  return entries(record['trusted'], (entry) => {
    const [nodeId, publicKey, approvedAt] = [
      countField(entry, 'node_id', MAX_NODE),
      textField(entry, 'public_key'),
      countField(entry, 'approved_at', MAX_UNIX_S),
    ]
    if (nodeId === undefined || nodeId === 0 || publicKey === undefined || approvedAt === undefined) return undefined
    return {
      nodeId,
      publicKey,
      approvedAt: fromUnix(approvedAt),
      mutual: entry['mutual'] === true,
      network: countField(entry, 'network', 0xffff) ?? 0,
    }
  })
}

export function parsePendingReply(text: string): readonly PendingEntry[] | 'malformed' {
  const record = parseJsonObject(text)
  if (record === undefined) return 'malformed'
  return entries(record['pending'], (entry) => {
    const [nodeId, publicKey, justification, receivedAt] = [
      countField(entry, 'node_id', MAX_NODE),
      textField(entry, 'public_key'),
      textField(entry, 'justification'),
      countField(entry, 'received_at', MAX_UNIX_S),
    ]
    if (
      nodeId === undefined ||
      nodeId === 0 ||
      publicKey === undefined ||
      justification === undefined ||
      receivedAt === undefined
    )
      return undefined
    return { nodeId, publicKey, justification, receivedAt: fromUnix(receivedAt) }
  })
}

function parsePeer(entry: Fields): DaemonPeer | undefined {
  const nodeId = countField(entry, 'node_id', MAX_NODE)
  return nodeId === undefined ? undefined : { nodeId, authenticated: entry['authenticated'] === true }
}

function parseConnection(entry: Fields): DaemonConnection | undefined {
  const count = (key: string): number => countField(entry, key, Number.MAX_SAFE_INTEGER) ?? 0
  return {
    id: count('id'),
    node: parseAddress(textField(entry, 'remote_addr') ?? '')?.node,
    state: textField(entry, 'state') ?? '',
    unackedBytes: Math.max(count('unacked'), count('in_flight')),
    peerWindowBytes: count('peer_recv_win'),
    bytesSent: count('bytes_sent'),
    bytesReceived: count('bytes_recv'),
  }
}

/** An entry that cannot be parsed is left out; the rest of the list is used. */
function entries<T>(list: unknown, parse: (entry: Fields) => T | undefined): readonly T[] {
  if (!Array.isArray(list)) return []
  return list.flatMap((item: unknown): T[] => {
    const record = asRecord(item)
    const entry = record && parse(record)
    return entry === undefined ? [] : [entry]
  })
}

function fromUnix(seconds: number): string {
  return new Date(seconds * 1_000).toISOString()
}

type Fields = Readonly<Record<string, unknown>>

const MAX_NODE = 0xffff_ffff
const MAX_UNIX_S = 253_402_300_799 // the last second that RFC 3339 can write
