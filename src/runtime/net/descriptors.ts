/**
 * How many file descriptors this process may have open, and who may use them. Running out of them fails in the worst
 * place: an accept, a look-up, the log, the state file. So what others can cause has shares, and a reserve is left.
 */
import { readFileSync } from 'node:fs'

export interface DescriptorBudget {
  readonly connections: number // mappings, exposures and UDP sessions, one descriptor each
  readonly clients: number // of the HTTP front and the proxy, while and before they are connections
}

/** @param limit open files that the system allows. */
export function descriptorBudget(limit: number = descriptorLimit()): DescriptorBudget {
  const rest = Math.max(limit - RESERVED, SMALLEST)
  return {
    connections: Math.min(MAX_CONNECTIONS, Math.floor((rest * 3) / 4)),
    clients: Math.min(MAX_CLIENTS, Math.floor(rest / 4)),
  }
}

/** Node raises the soft limit to the hard one when it starts. */
export function descriptorLimit(): number {
  try {
    const line = /^Max open files\s+(\d+|unlimited)/m.exec(readFileSync('/proc/self/limits', 'utf8'))
    if (line !== null) return line[1] === 'unlimited' ? Infinity : Number(line[1])
  } catch {} // not Linux
  return ELSEWHERE
}

/** Admin socket, registry, UDP, listeners, state files, DNS, the event loop's own, and a few that are open for a moment. */
const RESERVED = 64
/** With fewer than this the gateway is of no use; it tries all the same. */
const SMALLEST = 16
/** About 10 KB each; beyond it a new client is reset rather than an old one starved. */
export const MAX_CONNECTIONS = 16_384
/** Browsers open six to each of a dozen names, a load test hundreds. */
export const MAX_CLIENTS = 4_096
/** What macOS grants once Node has raised the limit. */
const ELSEWHERE = 10_240
