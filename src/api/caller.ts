/**
 * The caller behind a request or connection that came over the overlay, as authenticated by the tunnel; headers do not
 * matter. Known from the stream alone; what the node knows beyond that is `KnownPeer` of gateway/model.
 */
import { formatAddress } from '../base/address.ts'
import type { NodeId } from '../base/types.ts'
import type { OverlayStream } from '../runtime/overlay.ts'

export interface Caller {
  readonly nodeId: NodeId
  readonly address: string // 0:0000.0000.0002
  readonly name: string // hostname, or the address if we know none
}

/** A request of node:http, a request or stream of node:http2, or an overlay stream itself. */
export type Call = {
  readonly socket?: unknown
  readonly stream?: unknown
  readonly session?: unknown
  readonly peer?: unknown
}

/** @returns undefined for anything that did not come over the overlay. */
export function callerOf(call: Call): Caller | undefined {
  const stream = isOverlayStream(call)
    ? call
    : isOverlayStream(call.socket)
      ? call.socket
      : sessionStreams.get(sessionOf(call) ?? call)
  return stream === undefined ? undefined : callerAt(stream.peer, stream.peerName)
}

export function callerAt(nodeId: NodeId, peerName: string): Caller {
  return { nodeId, address: formatAddress({ network: 0, node: nodeId }), name: peerName }
}

/** HTTP/2 sessions hide their underlying stream; serve.ts records it here. */
export const sessionStreams = new WeakMap<object, OverlayStream>()

function sessionOf(call: Call): object | undefined {
  const session = call.session ?? (call.stream as { readonly session?: unknown } | undefined)?.session
  return typeof session === 'object' && session !== null ? session : undefined
}

function isOverlayStream(value: unknown): value is OverlayStream {
  return typeof value === 'object' && value !== null && 'peerName' in value && 'peer' in value
}
