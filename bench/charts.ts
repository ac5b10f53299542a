/** Which rows go into which chart. Direct TCP appears only in the tables where it would dwarf all other bars. Pure. */
import { chart } from './chart.ts'
import type { Panel } from './chart.ts'
import { formatValue } from './report.ts'
import { valueOf } from './results.ts'
import type { Results } from './results.ts'
import { PEERS, PLACES, ROWS } from './rows.ts'
import type { PeerId } from './rows.ts'

export interface Chart {
  readonly file: string
  readonly title: string
  readonly svg: string
}

/** Only those with measurements. */
export function chartsOf(results: Results): Chart[] {
  return CHARTS.flatMap(({ file, title, rows, without = [] }) => {
    const panels = rows.flatMap((id) => panelOf(results, id, without))
    return panels.length === 0 ? [] : [{ file, title, svg: chart(title, panels) }]
  })
}

function panelOf(results: Results, id: string, without: readonly PeerId[]): Panel[] {
  const row = ROWS.find((row) => row.id === id)!
  const bars = PEERS.flatMap(({ id: peer, name }) => {
    const value = without.includes(peer) ? undefined : valueOf(results, id, peer)
    return value === undefined
      ? []
      : [
          {
            name,
            value,
            text: formatValue(value, row.digits),
            isOurs:
              peer === 'gateway' ||
              peer === 'gateway-node' ||
              peer === 'grpc-gateway' ||
              peer === 'nats-gateway' ||
              peer === 'gateway-go',
          },
        ]
  })
  const place =
    row.place === 'veth-clean'
      ? ', no offload'
      : row.place === 'veth-loss01'
        ? ', 0.1 % loss'
        : row.place === 'veth-loss1'
          ? ', 1 % loss'
          : ''
  return bars.length === 0 ? [] : [{ title: `${row.name}${place}`, hint: `${row.unit}, ${row.better} is better`, bars }]
}

const CHARTS: readonly {
  readonly file: string
  readonly title: string
  readonly rows: readonly string[]
  readonly without?: readonly PeerId[]
}[] = [
  {
    file: 'throughput.svg',
    title: 'Throughput on loopback',
    rows: ['one', 'sixteen', 'both', 'bulk-rate'],
    without: ['tcp'],
  },
  {
    file: 'latency.svg',
    title: 'Set-up and round trips on loopback',
    rows: ['setup', 'rtt', 'bulk', 'rtt-p99'],
    without: ['go-go', 'gateway-go'],
  },
  {
    file: 'cost.svg',
    title: 'What a connection and a gigabyte cost',
    rows: ['memory', 'cpu', 'http', 'accept'],
    without: ['tcp'],
  },
  {
    file: 'veth.svg',
    title: `A ${PLACES.veth}`,
    rows: ['one:veth', 'one:veth-clean', 'rtt:veth', 'one:veth-loss01', 'one:veth-loss1'],
    without: ['tcp'],
  },
  { file: 'go.svg', title: 'With the reference implementation', rows: ['echo'] },
]
