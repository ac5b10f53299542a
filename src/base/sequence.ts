/** 32-bit sequence numbers (RFC 1982 serial arithmetic, RFC 9293 §3.4). All values are unsigned 32-bit integers. */

/** a + n, modulo 2^32. */
export function seqAdd(a: number, n: number): number {
  return (a + n) >>> 0
}

/** a - b as a signed 32-bit distance: negative when a is before b. */
export function seqDiff(a: number, b: number): number {
  return (a - b) | 0
}

export function seqLess(a: number, b: number): boolean {
  return ((a - b) | 0) < 0
}
