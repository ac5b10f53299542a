/** The basic vocabulary: instants, nodes and endpoints. */

/**
 * A number with a meaning. The mark exists only for the compiler: passing an instant for a node id, or the reverse, is
 * an error. It is optional, so literals and results of arithmetic (`now + delayMs`) need no cast; they are unmarked.
 */
type Meaning<Name extends string> = number & { readonly [meaning]?: Name }
declare const meaning: unique symbol

/**
 * Monotonic milliseconds, fractions allowed; only differences are meaningful. Passed in, never read from a clock.
 * Infinity: never.
 */
export type Instant = Meaning<'instant'>

/** 32-bit number, from 1, that the registry assigns to a node. On the wire 0 means none; here that is `undefined`. */
export type NodeId = Meaning<'node id'>

/**
 * A real UDP `ip:port`. Compare with `sameEndpoint`; the address is a literal, except for configured servers, which may
 * have names.
 */
export interface Endpoint {
  readonly address: string
  readonly port: number
}

export function sameEndpoint(a: Endpoint | undefined, b: Endpoint | undefined): boolean {
  return a !== undefined && b !== undefined && a.port === b.port && a.address === b.address
}

/** `1.2.3.4:5` or `[::1]:5`. */
export function formatEndpoint(endpoint: Endpoint): string {
  return endpoint.address.includes(':')
    ? `[${endpoint.address}]:${endpoint.port}`
    : `${endpoint.address}:${endpoint.port}`
}

/** Parses `host:port` and `[v6]:port`; the host part is not resolved or checked beyond being non-empty. */
export function parseEndpoint(text: string): Endpoint | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.%\w]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text)
  if (match === null) return undefined
  const port = Number(match[3])
  return port <= 65_535 ? { address: match[1] ?? match[2] ?? '', port } : undefined
}

/**
 * True for 127.0.0.0/8, ::1 and the name localhost, the only addresses that need no permission to listen on or talk to.
 */
export function isLoopback(address: string): boolean {
  return /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(address) || address === '::1' || address === 'localhost'
}

/** `count` unpredictable bytes. The core never generates its own: a simulator passes in a seeded source. */
export type RandomBytes = (count: number) => Uint8Array
