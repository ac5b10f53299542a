/**
 * A stream to a peer through the admin socket, after the upgrade. Towards the program, parts: kind[1] length[4] bytes, since a
 * Unix socket knows no reset; from it, bare bytes.
 */
export const STREAM_PROTOCOL = 'pilot-stream'

export const PART_HEAD_BYTES = 5

/** 'end': of this direction. 'reset': the stream broke; the bytes are the reason. */
export const PART_KINDS = ['data', 'end', 'reset'] as const

export function encodePartHead(kind: (typeof PART_KINDS)[number], length: number): Buffer {
  const head = Buffer.alloc(PART_HEAD_BYTES)
  head[0] = PART_KINDS.indexOf(kind)
  head.writeUInt32BE(length, 1)
  return head
}
