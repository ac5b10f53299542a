/** Targets for the data path: two cores shared by both gateways, client and service. */
import { ratioOf, valueOf } from './results.ts'
import type { Results } from './results.ts'

export interface Goal {
  readonly what: string
  readonly wanted: string
  readonly found: (results: Results) => number | undefined
  readonly least?: number
  readonly most?: number
}

export interface Judged {
  readonly what: string
  readonly wanted: string
  readonly found: string
  readonly met: boolean
}

export function judge(results: Results): Judged[] {
  return GOALS.flatMap(({ what, wanted, found, least = Number.NEGATIVE_INFINITY, most = Number.POSITIVE_INFINITY }) => {
    const value = found(results)
    return value === undefined
      ? []
      : [{ what, wanted, found: value.toPrecision(3), met: value >= least && value <= most }]
  })
}

const GOALS: readonly Goal[] = [
  {
    what: '64 KB messages, one stream, ÷ TLS proxy pair',
    wanted: '≥ 0.9',
    least: 0.9,
    found: (results) => ratioOf(results, 'one', 'gateway', 'tls-proxy'),
  },
  {
    what: 'the same over a veth of MTU 1500, Gbit/s',
    wanted: '≥ 0.4',
    least: 0.4,
    found: (results) => valueOf(results, 'one:veth', 'gateway'),
  },
  {
    what: '16 streams ÷ one',
    wanted: '≥ 1',
    least: 1,
    found: (results) => ratioOf(results, 'sixteen', 'gateway', 'gateway', 'one'),
  },
  {
    what: '0.1 % loss, MTU 1500, ÷ without',
    wanted: '≥ 0.8',
    least: 0.8,
    found: (results) => ratioOf(results, 'one:veth-loss01', 'gateway', 'gateway', 'one:veth'),
  },
  {
    what: '1 % loss, MTU 1500, ÷ without',
    wanted: '≥ 0.4',
    least: 0.4,
    found: (results) => ratioOf(results, 'one:veth-loss1', 'gateway', 'gateway', 'one:veth'),
  },
  {
    what: '1 KB round trip, median, ÷ TLS proxy pair',
    wanted: '≤ 1.3',
    most: 1.3,
    found: (results) => ratioOf(results, 'rtt', 'gateway', 'tls-proxy'),
  },
  {
    what: 'connection set-up, warm, ÷ TLS proxy pair',
    wanted: '≤ 0.5',
    most: 0.5,
    found: (results) => ratioOf(results, 'setup', 'gateway', 'tls-proxy'),
  },
  {
    what: 'connection set-up, cold, ms',
    wanted: '≤ 25',
    most: 25,
    found: (results) => valueOf(results, 'cold', 'gateway'),
  },
  {
    what: 'memory of an idle connection, both gateways, KB',
    wanted: '≤ 24',
    most: 24,
    found: (results) => valueOf(results, 'memory', 'gateway'),
  },
  {
    what: 'CPU for 1 GB ÷ TLS proxy pair',
    wanted: '≤ 1.2',
    most: 1.2,
    found: (results) => ratioOf(results, 'cpu', 'gateway', 'tls-proxy'),
  },
  {
    what: 'to a Go node, echoed, ÷ Go to Go',
    wanted: '≥ 1',
    least: 1,
    found: (results) => ratioOf(results, 'echo', 'gateway-go', 'go-go'),
  },
  {
    what: 'CPU beside many idle connections ÷ beside none',
    wanted: '≤ 1.1',
    most: 1.1,
    found: (results) => valueOf(results, 'idle', 'gateway'),
  },
]
