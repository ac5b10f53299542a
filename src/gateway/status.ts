/** What `status` reports, put together from the parts of a gateway. Above: gateway.ts. */
import type { Overlay } from '../runtime/overlay.ts'
import type { NodeRecord, StatusRecord } from './model/records.ts'

export type OwnStatus = Omit<
  StatusRecord,
  keyof Overlay['status'] | 'pid' | 'node' | 'peers' | 'memory' | 'counters' | 'trustRequests' | 'config'
>

/** @param counters of the gateway's own parts; those of the overlay are added. */
export function statusOf(node: Overlay, own: OwnStatus, counters: StatusRecord['counters']): StatusRecord {
  const { counters: overlayCounters, ...standing } = node.status
  const { rss, heapUsed } = process.memoryUsage()
  return {
    ...own,
    ...standing,
    pid: process.pid,
    node: nodeRecord(node),
    peers: node.peers.length,
    trustRequests: node.wishes,
    memory: { rssBytes: rss, heapBytes: heapUsed },
    counters: { ...counters, ...overlayCounters },
  }
}

export function nodeRecord({ nodeId, address, hostname, publicKey }: Overlay): NodeRecord {
  return { nodeId, address, hostname: hostname ?? null, publicKey }
}
