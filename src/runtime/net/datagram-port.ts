/**
 * The interface between datagrams and the operating system: batches out, sealed and sent in one call; batches in,
 * received and, where the port can, opened in one call. net/udp-socket.ts does it with node:dgram, one by one; an
 * accelerator that works in batches can replace it without a change above (node/driver.ts) or in the core.
 */
import type { Endpoint, NodeId } from '../../base/types.ts'
import type { AeadKey } from '../../crypto/aead.ts'
import type { DatagramSlot } from '../../proto/node/datagram-slot.ts'
import type { OpenedFrame } from '../../proto/tunnel/session.ts'

export interface DatagramPort {
  /** Which implementation does the work now. */
  readonly kind: 'native' | 'node'
  readonly local: Endpoint
  /** Bytes the kernel buffers for us before it drops; determines the largest segments that we accept. */
  readonly receiveBufferBytes: number
  /** Datagrams waiting for the kernel: a reason to stop creating more. */
  readonly backlog: number
  readonly sendErrors: number
  /** What the core fills for one call of `send`: as many datagrams as are worth one. */
  readonly slots: readonly DatagramSlot[]
  /** Seals what has a key and sends, in order, the first `count`. May swap their buffers. */
  send(batch: readonly DatagramSlot[], count: number): void
  close(): Promise<void>
}

/** One received datagram; the receiver owns its bytes. */
export interface Received {
  readonly bytes: Uint8Array
  readonly source: Endpoint
  /** If the port has opened it: the key and the plaintext. The port does not check for replays. */
  readonly opened: OpenedFrame | undefined
}

/** Options of a port. */
export interface DatagramSink {
  onBatch(batch: readonly Received[], count: number): void
  /** The keys to try for sealed frames of a node, the likeliest first; for ports that open. */
  keysOf(sender: NodeId): readonly AeadKey[]
}

/** What is asked of the system for the socket, in both directions. */
export const SOCKET_BUFFER_BYTES = 4 * 1_048_576
