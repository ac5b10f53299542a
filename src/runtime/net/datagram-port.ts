/**
 * Where datagrams meet the operating system: batches out, sealed and sent in one call; batches in, received and, where
 * the port can, opened in one call. net/udp-socket.ts does it with node:dgram, one by one; an accelerator that seals, opens
 * and talks to the kernel in batches takes its place without a change above (node/driver.ts) or in the core.
 */
import type { Endpoint, NodeId } from '../../base/types.ts'
import type { AeadKey } from '../../crypto/aead.ts'
import type { DatagramSlot } from '../../proto/node/datagram-slot.ts'
import type { OpenedFrame } from '../../proto/tunnel/session.ts'

export interface DatagramPort {
  readonly local: Endpoint
  /** Bytes the kernel holds for us before it drops; what the segments we accept are measured by. */
  readonly receiveBufferBytes: number
  /** Datagrams waiting for the kernel: a reason to stop making more. */
  readonly backlog: number
  readonly sendErrors: number
  /** Most datagrams that are worth one call. */
  readonly batchSize: number
  /** Seals what has a key and sends, in order, the first `count`. May swap their buffers. */
  send(batch: readonly DatagramSlot[], count: number): void
  close(): Promise<void>
}

/** One datagram that came, its bytes the receiver's to keep. */
export interface Received {
  readonly bytes: Uint8Array
  readonly source: Endpoint
  /** Where the port has opened it: with which key, and what was inside. Whether it was here before is not its affair. */
  readonly opened: OpenedFrame | undefined
}

/** What a port is opened with. */
export interface DatagramSink {
  onBatch(batch: readonly Received[], count: number): void
  /** The keys to try for sealed frames of a node, the likeliest first; for ports that open. */
  keysOf(sender: NodeId): readonly AeadKey[]
}
