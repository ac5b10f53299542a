/**
 * docs/limits.md against the constants it describes: each value of LIMITS is read from its source file, and the row must
 * show it in one of the ways in which people write it. A row that is renamed, or a constant that is gone, fails too.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { ROOT } from '../architecture/source.ts'

/** Beginning of the row, file below src, constants whose values the row shows. */
const LIMITS: readonly (readonly [string, string, readonly string[]])[] = [
  ['Programs on the driver socket', 'runtime/driver-socket/server.ts', ['MAX_CLIENTS']],
  ['Open requests of one of them', 'proto/driver/constants.ts', ['MAX_REQUESTS']],
  ['Streams of one of them', 'proto/driver/constants.ts', ['MAX_CONNECTIONS']],
  ['What it sends on one stream', 'proto/driver/constants.ts', ['MAX_HELD_BYTES', 'STALLED_MS']],
  ['Answers, events and datagrams', 'proto/driver/constants.ts', ['MAX_OUT_BYTES']],
  ['A program that reads nothing', 'proto/driver/constants.ts', ['UNREAD_MS']],
  ['One of its streams whose peer', 'proto/driver/constants.ts', ['LINGER_MS']],
  ['Datagrams of it that wait', 'runtime/driver-socket/client.ts', ['MAX_SENDING']],
  ['Policy of a network for daemons', 'server/registry/constants.ts', ['MAX_EXPR_POLICY_CHARS']],
  ['Mappings of one gateway', 'config/options.ts', ['MAX_MAPPINGS']],
  ['Ports of a range', 'gateway/model/spec-text.ts', ['MAX_RANGE_PORTS']],
  ['Length of a Unix socket path', 'gateway/model/listen.ts', ['MAX_SOCKET_PATH_BYTES']],
  ['Time to drain after the first signal', 'cli/serve.ts', ['GRACE_MS']],
  ['Request body on the admin socket', 'admin/routes.ts', ['MAX_BODY_BYTES']],
  ['Commands at the admin socket at once', 'admin/server.ts', ['MAX_CONNECTIONS']],
  [
    'Answer of the admin socket',
    'admin/client.ts',
    ['ANSWER_TIMEOUT_MS', 'TRUST_TIMEOUT_MS', 'CHANGE_TIMEOUT_MS', 'EXPLAIN_TIMEOUT_MS', 'REDEEM_TIMEOUT_MS'],
  ],
  ['Peers, and services, with their own metrics', 'observe/metrics.ts', ['MAX_SERIES']],
  ['Rows of a table of the dashboard', 'observe/page-data.ts', ['MAX_ROWS']],
  ['Connections to the observer', 'observe/server.ts', ['MAX_CONNECTIONS']],
  ['Connections that ended, and HTTP requests', 'gateway/service/connections.ts', ['MAX_RECENT']],
  ['Processes of one exposure', 'gateway/expose/command.ts', ['MAX_PROCESSES']],
  ['A process whose connection has ended', 'gateway/expose/command.ts', ['PATIENCE_MS', 'KILL_MS']],
  ['Entries of a listed folder', 'gateway/folder/folder-server.ts', ['MAX_ENTRIES']],
  ['Open tickets', 'gateway/tickets/book.ts', ['MAX_OPEN', 'MAX_GUESTS']],
  ['Peers whose trust has an end', 'gateway/trust-terms.ts', ['MAX_TERMS']],
  ['Time of a ticket', 'admin/routes.ts', ['MIN_TICKET_MS', 'MAX_TICKET_MS']],
  ['Trusted nodes asked for their tags', 'gateway/map/group/tag-members.ts', ['MAX_ASKED', 'REFRESH_MS']],
  ['A dial of one of several peers', 'gateway/map/group/group.ts', ['PATIENCE_MS']],
  ['Reason of a trust request', 'admin/routes.ts', ['MAX_REASON_CHARS']],
  ['UDP sessions of one mapping', 'gateway/udp/sessions.ts', ['MAX_UDP_SESSIONS', 'UDP_IDLE_MS']],
  ['Datagrams that wait while', 'gateway/udp/sessions.ts', ['MAX_UDP_WAITING']],
  ['Datagrams that wait for their turn', 'proto/node/constants.ts', ['MAX_DATAGRAMS_PER_PEER']],
  ['Clients of the proxy', 'gateway/fronts/proxy.ts', ['MAX_HEADS', 'HEAD_MS']],
  ['Destinations of one UDP association', 'gateway/fronts/socks-udp.ts', ['MAX_FLOWS']],
  ['DNS questions waiting', 'gateway/fronts/dns.ts', ['MAX_PENDING', 'MAX_TCP_CLIENTS']],
  ['Peers mapped on demand', 'gateway/fronts/names.ts', ['MAX_ON_DEMAND_PEERS']],
  ['Header section of one message', 'gateway/http/limits.ts', ['MAX_HEADER_BYTES', 'MAX_HEADERS']],
  ['Open connections and UDP sessions', 'runtime/net/descriptors.ts', ['MAX_CONNECTIONS']],
  ['Local clients of the front', 'runtime/net/descriptors.ts', ['MAX_CLIENTS']],
  ['Idle connection of a client or peer', 'gateway/http/limits.ts', ['KEEP_ALIVE_MS']],
  ['Safe requests without a body', 'gateway/http/limits.ts', ['MAX_ATTEMPTS']],
  ['HTTP/2: streams of one connection', 'gateway/http/limits.ts', ['MAX_STREAMS', 'SESSION_MEMORY_MB']],
  ['Head of an HTTP/1.1 request', 'gateway/http/limits.ts', ['HEAD_MS', 'HEAD_CHECK_MS']],
  ['Idle connection of a `PilotAgent`', 'api/pilot-agent.ts', ['IDLE_MS']],
  ['`pilot://` targets', 'api/grpc-resolver.ts', ['MAX_TARGETS']],
  ['Received bytes that wait', 'proto/stream/constants.ts', ['RECEIVE_INITIAL_BYTES', 'RECEIVE_LIMIT_BYTES']],
  ['Written bytes not yet acknowledged', 'proto/stream/constants.ts', ['SEND_INITIAL_BYTES']],
  ['The same, of all streams', 'proto/stream/constants.ts', ['RECEIVE_BUDGET_BYTES', 'SEND_BUDGET_BYTES']],
  ['No acknowledgement of sent data', 'proto/stream/constants.ts', ['GIVE_UP_MS', 'GIVE_UP_TIMEOUTS']],
  ['Answer to a SYN', 'proto/stream/constants.ts', ['SYN_TRANSMISSIONS']],
  ['End of a stream whose remaining data', 'runtime/node/stream.ts', ['LINGER_MS']],
  ['Half-close towards a peer', 'proto/stream/constants.ts', ['HELD_FIN_MS']],
  ['A peer that vanished', 'proto/node/constants.ts', ['KEEPALIVE_MS', 'PEER_DEAD_MS']],
  ['A silent peer', 'proto/node/constants.ts', ['PEER_SILENT_MS']],
  ['Key exchange without an answer', 'proto/tunnel/constants.ts', ['HANDSHAKE_LIMIT_MS']],
  ['Peers |', 'proto/node/constants.ts', ['MAX_PEERS']],
  ['Streams of a node', 'proto/node/constants.ts', ['MAX_STREAMS', 'MAX_STREAMS_PER_PEER', 'EPHEMERAL_COUNT']],
  ['Streams that one peer opens', 'proto/node/constants.ts', ['SYN_FROM_PEER_PER_SECOND', 'SYN_FROM_PEER_BURST']],
  ['Streams to the echo service', 'services/echo.ts', ['MAX_ECHO_STREAMS', 'MAX_ECHO_STREAMS_PER_PEER']],
  ['Streams with messages and files', 'services/data-exchange.ts', ['MAX_DATA_STREAMS', 'MAX_DATA_STREAMS_PER_PEER']],
  ['Streams to the broker', 'services/events/event-service.ts', ['MAX_EVENT_STREAMS', 'MAX_EVENT_STREAMS_PER_PEER']],
  ['Events that one node publishes', 'proto/events/broker.ts', ['EVENTS_PER_SECOND', 'EVENTS_AT_ONCE']],
  ['Events that wait for one subscriber', 'proto/events/broker.ts', ['MAX_QUEUED', 'MAX_QUEUED_BYTES']],
  ['An event; its topic', 'wire/event-frame.ts', ['MAX_EVENT_BYTES', 'MAX_TOPIC_BYTES']],
  ['Events that are not complete', 'services/events/event-service.ts', ['MAX_PARTIAL_BYTES']],
  ['A message; a file in one frame', 'wire/data-frame.ts', ['MAX_DATA_BYTES']],
  ['Receipts by which', 'proto/messages/receipts.ts', ['MAX_RECEIPTS', 'RECEIPT_MS']],
  ['Messages that wait', 'services/messages/outbox.ts', ['MAX_OUTGOING', 'DEFAULT_TTL_MS']],
  ['Pause between two attempts', 'proto/messages/schedule.ts', ['FIRST_PAUSE_MS', 'MAX_PAUSE_MS', 'MAX_AT_ONCE']],
  ['Arrivals that wait', 'services/messages/hook.ts', ['MAX_WAITING', 'EXEC_MS', 'POST_MS']],
  ['Messages about trust', 'services/handshake.ts', ['MESSAGES_AT_ONCE']],
  ['Dials that wait for a name', 'proto/node/constants.ts', ['MAX_DIALS']],
  ['Mapped peers that the registry', 'proto/node/constants.ts', ['MAX_PREPARED']],
  ['A hostname: until', 'proto/node/constants.ts', ['NAME_CACHE_MS']],
  ['Paths to one peer', 'proto/path/constants.ts', ['MAX_CANDIDATES', 'MAX_AIMS']],
  ['Punch commands of the beacon', 'proto/node/constants.ts', ['PUNCHES_PER_SECOND']],
  ['A connection with `path: direct`', 'gateway/service/path-policy.ts', ['DIRECT_PATIENCE_MS']],
  ['New streams to a peer', 'proto/node/constants.ts', ['SYN_BURST']],
  ['Keys known to one registry', 'server/registry/constants.ts', ['MAX_ACCOUNTS', 'MAX_UNPROVEN_ACCOUNTS']],
  [
    'A silent key without trust',
    'server/registry/constants.ts',
    ['UNPROVEN_ACCOUNT_LIVES_MS', 'PROVEN_ACCOUNT_LIVES_MS'],
  ],
  ['A hostname whose node is away', 'server/registry/constants.ts', ['NAME_KEPT_MS']],
  ['Questions to the beacon by UDP without an answer', 'proto/rendezvous/constants.ts', ['GIVE_UP_UDP_AFTER']],
  [
    'Time for which UDP has to answer',
    'proto/rendezvous/constants.ts',
    ['UDP_PROOF_MS', 'MAX_UDP_PROOF_MS', 'UDP_LASTING_MS'],
  ],
  ['A connection to the rendezvous, up to the proof', 'runtime/net/compat-link.ts', ['HANDSHAKE_MS', 'MAX_PAUSE_MS']],
  ['Bytes that wait in the connection', 'runtime/net/compat-link.ts', ['HIGH_BYTES', 'MAX_UNSENT_BYTES']],
  ['Silence on the connection', 'runtime/net/compat-link.ts', ['PING_MS', 'PONG_MS']],
  ['Answer of an HTTP proxy', 'runtime/net/proxy.ts', ['MAX_HEAD_BYTES']],
  ['From the first byte to the proof', 'server/wss-server.ts', ['HANDSHAKE_MS']],
  ['Message; header of an HTTP request', 'server/wss-server.ts', ['MAX_HEADER_BYTES']],
  ['Silence of a node', 'server/wss-server.ts', ['IDLE_MS']],
  ['Waiting for a node that reads slowly', 'server/wss-server.ts', ['MAX_UNSENT_BYTES', 'MAX_UNSENT']],
  ['Proofs from one address', 'server/wss-server.ts', ['PROOF_BURST', 'PROOFS_PER_MINUTE']],
  ['Connections of an IPv4 address', 'server/source-counts.ts', ['MAX_PER_SOURCE', 'MAX_PER_SITE']],
  ['Announced beacons', 'server/registry/constants.ts', ['MAX_BEACONS', 'MAX_BEACONS_PER_SOURCE']],
  ['Ids that one source claims', 'server/beacon/constants.ts', ['MAX_UNPROVEN_PER_SOURCE']],
  ['A node that does not renew', 'server/registry/constants.ts', ['REAP_AFTER_MS']],
  ['Trust requests that wait', 'server/registry/constants.ts', ['MAX_WAITING_REQUESTS']],
  ['Trusted peers of one node', 'server/registry/constants.ts', ['MAX_TRUST_PER_NODE']],
  ['Networks of one registry', 'server/registry/constants.ts', ['MAX_NETWORKS']],
  ['Members of one network', 'server/registry/constants.ts', ['MAX_NETWORK_MEMBERS']],
  ['Invitations that wait', 'server/registry/constants.ts', ['MAX_WAITING_INVITES', 'INVITE_LIVES_MS']],
  ['Lists in a reply', 'server/registry/constants.ts', ['MAX_LIST_BYTES']],
  ['Entries of the audit log', 'server/registry/constants.ts', ['AUDIT_ENTRIES']],
  ['A client of the registry before its first request', 'server/registry-server.ts', ['FIRST_REQUEST_MS', 'IDLE_MS']],
  ['Nodes known to a beacon', 'server/beacon/constants.ts', ['MAX_ENTRIES']],
  ["A node id's move to an address", 'server/beacon/constants.ts', ['UNKNOWN_TAKEOVER_SILENCE_MS']],
  [
    'Relayed bytes of one source',
    'server/beacon/constants.ts',
    ['RELAY_BYTES_PER_SECOND', 'RELAY_BURST_BYTES', 'RELAY_QUEUE_BYTES'],
  ],
  ['Relayed bytes that wait, of all', 'server/beacon/constants.ts', ['RELAY_TOTAL_BYTES']],
  ['Punch requests of one address', 'server/beacon/constants.ts', ['PUNCH_BURST', 'PUNCHES_PER_MINUTE']],
]

const rows = readFileSync(join(ROOT, 'docs/limits.md'), 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('| '))

test('every limit of docs/limits.md that has a constant shows its value', () => {
  const faults = LIMITS.flatMap(([label, file, names]) => {
    const found = rows.filter((row) => row.slice(2).startsWith(label))
    if (found.length === 0) return [`no row "${label}"`]
    return names.flatMap((name) => {
      const value = constantOf(file, name)
      if (value === undefined) return [`${label}: src/${file} has no ${name}`]
      const ways = writtenAs(name, value)
      return found.some((row) => ways.some((way) => shows(row.slice(row.indexOf(' | ')), way)))
        ? []
        : [`${label}: does not show ${name} = ${value} (${ways.join(', ')})`]
    })
  })
  assert.deepEqual(faults, [])
})

test('a number is written with its unit, and is not found within another', () => {
  assert.deepEqual(writtenAs('X_MS', 120_000), ['120 s', '2 minutes'])
  assert.deepEqual(writtenAs('X_BYTES', 1_048_576), ['1,048,576', '1 MiB', '1024 KiB'])
  assert.ok(shows('| 1,024; 64 |', '64'))
  assert.ok(!shows('| 1,640 |', '64'))
  assert.ok(!shows('| 640 |', '64'))
  assert.ok(shows('| 10 s; 30 s |', '10 s') && !shows('| 110 s |', '10 s'))
})

/** A constant that is a product of numbers. */
function constantOf(file: string, name: string): number | undefined {
  const source = readFileSync(join(ROOT, 'src', file), 'utf8')
  const product = new RegExp(`^(?:export )?const ${name} = ([\\d_ *]+?) *(?://.*)?$`, 'm').exec(source)?.[1]
  return product?.split('*').reduce((sum, factor) => sum * Number(factor.replaceAll('_', '')), 1)
}

function writtenAs(name: string, value: number): string[] {
  const counts = (unit: number, word: string): string[] => {
    const count = value / unit
    return Number.isInteger(count) && count > 0 ? [`${count} ${word}`] : []
  }
  if (name.endsWith('_MS'))
    return [
      ...counts(1_000, 's'),
      ...(value >= 120_000 ? counts(60_000, 'minutes') : []),
      ...(value >= 172_800_000 ? counts(86_400_000, 'days') : []),
    ]
  const plain = value.toLocaleString('en-US')
  // What a 16-bit field of 256 bytes each can say is called 16 MiB.
  if (value === 65_535 * 256) return ['16 MiB']
  if (/_BYTES(_PER_SECOND)?$/.test(name))
    return [plain, ...counts(1_048_576, 'MiB'), ...counts(1_024, 'KiB'), ...counts(1_000_000, 'MB')]
  return [plain]
}

function shows(cell: string, way: string): boolean {
  return new RegExp(`(?<![\\d,.])${way.replaceAll('.', '\\.')}(?![\\d]|,\\d)`).test(cell)
}
