/**
 * The file descriptors that this process may open, and their shares. Running out fails in the worst places: an accept,
 * a look-up, the log, the state file. So everything that others can cause has a share, and a reserve remains.
 */
import { readFileSync } from 'node:fs'

export interface DescriptorBudget {
  readonly connections: number // mappings, exposures and UDP sessions, one descriptor each
  readonly clients: number // of the HTTP front and the proxy, before and while they are connected
}

/** @param limit open files that the system allows. */
export function descriptorBudget(limit: number = descriptorLimit()): DescriptorBudget {
  const rest = Math.max(limit - RESERVED, SMALLEST)
  return {
    connections: Math.min(MAX_CONNECTIONS, Math.floor((rest * 3) / 4)),
    clients: Math.min(MAX_CLIENTS, Math.floor(rest / 4)),
  }
}

/** Connections of nodes to a registry: one each, for as long as they run. @param isAlone no gateway in this process. */
export function registryConnections(isAlone: boolean, limit: number = descriptorLimit()): number {
  const share = isAlone ? limit - RESERVED_BESIDE_REGISTRY : Math.min(limit / 8, MAX_EMBEDDED)
  return Math.floor(Math.max(share, SMALLEST))
}

/** Node raises the soft limit to the hard one when it starts. */
export function descriptorLimit(): number {
  try {
    const line = /^Max open files\s+(\d+|unlimited)/m.exec(readFileSync('/proc/self/limits', 'utf8'))
    if (line !== null) return line[1] === 'unlimited' ? Infinity : Number(line[1])
  } catch {} // not Linux
  return ELSEWHERE
}

/** Admin socket, registry, UDP, listeners, state files, DNS, the event loop's own, and a few short-lived ones. */
const RESERVED = 64
/** The same, and relay sockets, TLS handshakes and the status page. */
const RESERVED_BESIDE_REGISTRY = 128
/** Nodes at a rendezvous inside a gateway, which is made for a few people. */
const MAX_EMBEDDED = 4_096
/** With fewer than this the gateway is useless; it tries anyway. */
const SMALLEST = 16
/** About 10 KB each; beyond it a new client is reset rather than an old one starved. */
export const MAX_CONNECTIONS = 16_384
/** Browsers open six to each of a dozen names, a load test hundreds. */
export const MAX_CLIENTS = 4_096
/** The limit on macOS after Node has raised it. */
const ELSEWHERE = 10_240
