/** One echo of a peer, and the path that it took. */
import type { Overlay } from '../../runtime/overlay.ts'
import type { PingRecord } from '../model/records.ts'

export async function pingPeer(overlay: Overlay, peer: string, seq: number, timeoutMs: number): Promise<PingRecord> {
  const { node, rttMs, path, endpoint } = await overlay.ping(peer, timeoutMs)
  const reason = overlay.pathTo(node)?.reason
  const transport = path === 'relay' ? overlay.status.beacon?.transport : undefined
  return {
    peer,
    nodeId: node,
    seq,
    rttMs: Math.round(rttMs * 100) / 100,
    path,
    endpoint,
    ...(transport !== undefined && { transport }),
    ...(reason !== undefined && { reason }),
  }
}
