/**
 * One outgoing datagram: filled by the node, sealed and sent by a DatagramPort (runtime/net/datagram-port.ts). The
 * plaintext is already in place, after the header that holds its nonce, so a port can seal a whole batch.
 */
import type { Endpoint } from '../../base/types.ts'
import type { AeadKey } from '../../crypto/aead.ts'
import { AEAD_TAG_BYTES } from '../../crypto/aead.ts'
import { SEALED_HEADER_BYTES } from '../../wire/tunnel-frames.ts'

/** The owner may swap the buffer between two datagrams. */
export interface DatagramSlot {
  buffer: Uint8Array // SLOT_BYTES
  length: number // of the datagram, bytes, its tag included
  endpoint: Endpoint
  /** Seals buffer[sealFrom, length - 16), once; undefined: the datagram goes as it is. */
  key: AeadKey | undefined
  sealFrom: number
}

/** @param buffer SLOT_BYTES. */
export function createSlot(buffer = new Uint8Array(SLOT_BYTES)): DatagramSlot {
  return {
    buffer,
    length: 0,
    endpoint: { address: '', port: 0 },
    key: undefined,
    sealFrom: 0,
  }
}

/** Nonce and additional data for sealing the slot: both are in the frame's header (tunnel.md §3.1). */
export function readNonce(slot: DatagramSlot, nonce: Uint8Array, aad: Uint8Array): void {
  const { buffer, sealFrom } = slot
  for (let i = 0; i < 12; i++) nonce[i] = buffer[sealFrom - 12 + i]!
  for (let i = 0; i < 4; i++) aad[i] = buffer[sealFrom - SEALED_HEADER_BYTES + 4 + i]!
}

/** Seals the slot in place. */
export function sealSlot(slot: DatagramSlot): void {
  const { key, buffer, sealFrom, length } = slot
  if (key === undefined) return
  readNonce(slot, nonceBytes, aadBytes)
  key.seal(nonceBytes, aadBytes, buffer.subarray(sealFrom, length - AEAD_TAG_BYTES), buffer, sealFrom)
}

const nonceBytes = new Uint8Array(12) // scratch of one call
const aadBytes = new Uint8Array(4)
/** The largest UDP payload, rounded up. */
export const SLOT_BYTES = 65_536
