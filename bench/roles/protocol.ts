/**
 * How the measuring client asks the service behind every variant: a 9-byte header at the start of a connection, an
 * operation and a count, big-endian. It travels with the first bytes, so it costs no round trip.
 */
export type Operation =
  | 'd' // download: the service sends `count` bytes, then ends
  | 'u' // upload: it reads `count` bytes, answers with how many it read (8 bytes), then ends
  | 'b' // both at once: it sends `count` bytes, and ends when it has also read `count`
  | 'e' // echo of all that follows
  | 'r' // requests: each 8 bytes that follow are a count, answered with so many bytes
  | 'x' // one byte, then the end

/**
 * Any number of these may precede the header: each is echoed, which proves that the connection is open at the other
 * end.
 */
export const HELLO = Buffer.from('h')

export const HEADER_BYTES = 9
export const COUNT_BYTES = 8
/** The message of the throughput rows. */
export const MESSAGE_BYTES = 65_536
/** How much a socket may hold unsent: a few messages, so that the endpoints are never the bottleneck. */
export const HIGH_WATER_BYTES = 1_048_576

export function header(operation: Operation, count: number): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES)
  bytes.write(operation, 0, 'latin1')
  bytes.writeBigUInt64BE(BigInt(count), 1)
  return bytes
}

export function countAt(bytes: Buffer, offset: number): number {
  return Number(bytes.readBigUInt64BE(offset))
}

export function countBytes(count: number): Buffer {
  const bytes = Buffer.alloc(COUNT_BYTES)
  bytes.writeBigUInt64BE(BigInt(count))
  return bytes
}

export const HTTP_REQUEST = 'GET / HTTP/1.1\r\nhost: bench\r\n\r\n'
export const HTTP_RESPONSE = 'HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 13\r\n\r\nHello, world\n'
