/** What is measured, and of whom: the words of every table and chart. Data only. */

/** A way from a client to a service, by what is between them. */
export type PeerId =
  | 'tcp'
  | 'tcp-proxy'
  | 'tls-proxy'
  | 'gateway'
  | 'gateway-node'
  | 'grpc'
  | 'grpc-gateway'
  | 'nats'
  | 'nats-gateway'
  | 'go-go'
  | 'gateway-go'

/** With a program of the reference implementation in it. */
export function isGo(peer: PeerId): boolean {
  return peer === 'go-go' || peer === 'gateway-go'
}

/**
 * loopback: everything on loopback. veth: two network namespaces joined by a veth of MTU 1500; clean: without segmentation
 * offload, so that every packet is real; the other two with random loss both ways.
 */
export type Place = 'loopback' | 'veth' | 'veth-clean' | 'veth-loss01' | 'veth-loss1' | 'nat'

export interface Peer {
  readonly id: PeerId
  readonly name: string
  readonly about: string
}

export interface Row {
  readonly id: string
  readonly place: Place
  readonly name: string
  readonly unit: string
  readonly better: 'more' | 'less'
  readonly digits: number // after the point
}

export const PEERS: readonly Peer[] = [
  { id: 'tcp', name: 'TCP', about: 'client and service connected directly' },
  { id: 'tcp-proxy', name: 'TCP proxy pair', about: 'two Node proxies: no encryption' },
  {
    id: 'tls-proxy',
    name: 'TLS proxy pair',
    about:
      'two Node proxies with TLS 1.3 (AES-256-GCM, ECDSA P-256) between them, a connection and a full handshake for each client',
  },
  { id: 'gateway', name: 'pilotgate', about: 'two gateways, with the native port where it has been built' },
  { id: 'gateway-node', name: 'pilotgate without native port', about: 'the same, with the datagram port of Node.js' },
  { id: 'grpc', name: 'gRPC', about: '@grpc/grpc-js, directly' },
  { id: 'grpc-gateway', name: 'gRPC via pilotgate', about: '@grpc/grpc-js through two gateways' },
  { id: 'nats', name: 'NATS', about: 'client, nats-server, client' },
  { id: 'nats-gateway', name: 'NATS via pilotgate', about: 'the same, the receiving client behind two gateways' },
  { id: 'go-go', name: 'Go to Go', about: 'pilot-gateway and pilot-daemon to the echo of a pilot-daemon' },
  { id: 'gateway-go', name: 'pilotgate to Go', about: 'our gateway to the echo of a pilot-daemon' },
]

export const PLACES: Readonly<Record<Place, string>> = {
  loopback: 'Loopback',
  veth: 'veth of MTU 1500 between two namespaces',
  'veth-clean': 'the same, no segmentation offload: every packet has at most 1,500 bytes',
  'veth-loss01': 'the same, 0.1 % of packets lost at random each way',
  'veth-loss1': 'the same, 1 % lost',
  nat: 'Two namespaces, each behind a NAT',
}

const row = (place: Place, id: string, name: string, unit: string, better: Row['better'], digits = 2): Row => ({
  id,
  place,
  name,
  unit,
  better,
  digits,
})

/** The first part of an id, before the colon, is what is measured; after it, where, unless on loopback. */
export const ROWS: readonly Row[] = [
  row('loopback', 'setup', 'connection set-up, warm', 'ms', 'less'),
  row('loopback', 'cold', 'connection set-up, cold', 'ms', 'less', 1),
  row('loopback', 'restart', 'connection set-up, cold, after a kill -9', 'ms', 'less', 1),
  row('nat', 'nat', 'connection set-up, cold, behind two NATs', 'ms', 'less', 1),
  row('loopback', 'rtt', '1 KB round trip, median', 'ms', 'less', 3),
  row('loopback', 'rtt-p99', '1 KB round trip, p99', 'ms', 'less'),
  row('loopback', 'one', '64 KB messages, one stream', 'Gbit/s', 'more'),
  row('loopback', 'sixteen', '64 KB messages, 16 streams', 'Gbit/s', 'more'),
  row('loopback', 'both', '64 KB messages, both directions, each', 'Gbit/s', 'more'),
  row('loopback', 'echo', '64 KB messages, echoed, each direction', 'Gbit/s', 'more', 3),
  row('loopback', 'bulk', '1 MB on a warm connection', 'ms', 'less'),
  row('loopback', 'bulk-rate', '1 MB requests, one after the other', 'MB/s', 'more', 0),
  row('loopback', 'memory', 'memory of an idle connection', 'KB', 'less', 1),
  row('loopback', 'memory-10k', 'the same, at 10,000', 'KB', 'less', 1),
  row('loopback', 'cpu', 'CPU of the processes in between, for 1 GB', 's', 'less'),
  row('loopback', 'http', 'HTTP requests, 32 keep-alive connections', '/s', 'more', 0),
  row('loopback', 'unary', 'gRPC unary calls, 32 at a time', '/s', 'more', 0),
  row('loopback', 'accept', 'new connections, 32 at a time', '/s', 'more', 0),
  row('loopback', 'idle', 'CPU for 1 GB beside many idle connections ÷ beside none', '×', 'less'),
  row('veth', 'setup:veth', 'connection set-up, warm', 'ms', 'less'),
  row('veth', 'rtt:veth', '1 KB round trip, median', 'ms', 'less', 3),
  row('veth', 'rtt-p99:veth', '1 KB round trip, p99', 'ms', 'less'),
  row('veth', 'one:veth', '64 KB messages, one stream', 'Gbit/s', 'more', 3),
  row('veth', 'sixteen:veth', '64 KB messages, 16 streams', 'Gbit/s', 'more', 3),
  row('veth', 'both:veth', '64 KB messages, both directions, each', 'Gbit/s', 'more', 3),
  row('veth', 'cpu:veth', 'CPU of the processes in between, for 1 GB', 's', 'less'),
  row('veth-clean', 'rtt:veth-clean', '1 KB round trip, median', 'ms', 'less', 3),
  row('veth-clean', 'rtt-p99:veth-clean', '1 KB round trip, p99', 'ms', 'less'),
  row('veth-clean', 'one:veth-clean', '64 KB messages, one stream', 'Gbit/s', 'more', 3),
  row('veth-clean', 'sixteen:veth-clean', '64 KB messages, 16 streams', 'Gbit/s', 'more', 3),
  row('veth-clean', 'cpu:veth-clean', 'CPU of the processes in between, for 1 GB', 's', 'less'),
  row('veth-loss01', 'one:veth-loss01', '64 KB messages, one stream', 'Gbit/s', 'more', 3),
  row('veth-loss01', 'sixteen:veth-loss01', '64 KB messages, 16 streams', 'Gbit/s', 'more', 3),
  row('veth-loss1', 'one:veth-loss1', '64 KB messages, one stream', 'Gbit/s', 'more', 3),
  row('veth-loss1', 'sixteen:veth-loss1', '64 KB messages, 16 streams', 'Gbit/s', 'more', 3),
]

/** What the gateway is held against, row by row (it changes the ratio that is shown, not what is measured). */
export const REFERENCE: PeerId = 'tls-proxy'
