/** Info and Health of the driver socket (ipc.md §2.4): what we know of it, and nothing else. */
import { formatAddress } from '../../base/address.ts'
import type { OverlayNode } from '../node/node.ts'
import { NodeStream } from '../node/stream.ts'
import type { OverlayStream, PeerStatus } from '../overlay.ts'
import type { Present } from './host.ts'

/** @param pending trust requests that wait for a decision. */
export function healthRecord(node: OverlayNode, present: Present, pending: number): Record<string, unknown> {
  return { status: 'ok', uptime_seconds: present.uptimeSecs, ...numbersOf(node, pending) }
}

/** What both report, under the same names. */
function numbersOf(node: OverlayNode, pending: number): Record<string, unknown> {
  const { peers, status } = node
  return {
    connections: connectionsOf(peers),
    peers: peers.length,
    encrypted_peers: peers.filter(isConnected).length,
    authenticated_peers: peers.filter(isConnected).length, // without a proven key there is no tunnel
    relay_peer_count: peers.filter(isRelayed).length,
    handshake_pending_count: pending,
    bytes_sent: sum(peers, ({ bytesOut }) => bytesOut),
    bytes_recv: sum(peers, ({ bytesIn }) => bytesIn),
    beacon_addr: status.beacon?.endpoint ?? '',
  }
}

export function infoRecord(node: OverlayNode, present: Present, pending: number): Record<string, unknown> {
  const { status, peers } = node
  return {
    ...numbersOf(node, pending),
    node_id: node.nodeId,
    address: node.address,
    hostname: node.hostname ?? '',
    email: '',
    public_key: node.publicKey,
    identity: true,
    encrypt: true,
    version: present.version,
    transport: 'udp',
    endpoint: status.beacon?.observed ?? status.udp,
    uptime_secs: present.uptimeSecs,
    ports: present.boundPorts,
    features: FEATURES,
    networks: null,
    motd: '',
    peer_list: peers.map((peer) => ({
      node_id: peer.nodeId,
      endpoint: peer.path?.endpoint ?? '',
      encrypted: isConnected(peer),
      authenticated: isConnected(peer),
      relay: isRelayed(peer),
    })),
    conn_list: present.streams.map(([id, stream]) => connectionRecord(id, stream)),
  }
}

/** Only those of drivers have ids. */
function connectionRecord(id: number, stream: OverlayStream): Record<string, unknown> {
  return {
    id,
    local_port: stream.localPort,
    remote_addr: formatAddress({ network: 0, node: stream.peer }),
    remote_port: stream.remotePort,
    state: stream.writableEnded || stream.readableEnded ? 'FIN_WAIT' : 'ESTABLISHED',
    bytes_sent: stream.bytesWritten,
    bytes_recv: stream.bytesRead,
    ...(stream instanceof NodeStream && {
      in_flight: stream.unacknowledgedBytes,
      unacked: stream.unacknowledgedBytes,
      peer_recv_win: stream.peerRoomBytes,
    }),
  }
}

function connectionsOf(peers: readonly PeerStatus[]): number {
  return sum(peers, ({ streams }) => streams)
}

function isConnected({ state }: PeerStatus): boolean {
  return state === 'connected'
}

function isRelayed({ path }: PeerStatus): boolean {
  return path?.kind === 'relay'
}

function sum(peers: readonly PeerStatus[], of: (peer: PeerStatus) => number): number {
  return peers.reduce((total, peer) => total + of(peer), 0)
}

/** What drivers may rely on, as daemons call it. */
const FEATURES = ['reply_window', 'dial_awaits_key', 'key_request', 'dgram_confirm']
