/** Results as Markdown: a table per place, the goals, and what is missing and why. Pure. */
import { judge } from './goals.ts'
import { ratioOf, valueOf } from './results.ts'
import type { Results } from './results.ts'
import { PEERS, PLACES, REFERENCE, ROWS } from './rows.ts'
import type { Peer, Place, Row } from './rows.ts'

export function reportOf(
  results: Results,
  charts: readonly { readonly file: string; readonly title: string }[],
): string {
  const { machine, versions, date, commit, mode, only, skipped, failures } = results
  return [
    '# Benchmark: pilotgate and the alternatives',
    '',
    `${machine.cpus}, ${machine.memory}, ${machine.system}; ${Object.entries(versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(
        ', ',
      )}. Measured on ${date.slice(0, 10)} at ${commit}, ${mode} mode${only.length === 0 ? '' : `, only ${only.join(', ')}`}, ${Math.round(results.seconds)} s.`,
    '',
    'Clients, services and everything between them share this machine, so figures are lower than between two machines, and vary with its other load. All of them were measured in turn, round after round:',
    'trust the ratios, which are medians of the ratios of each round. The samples are in [results.json](results.json); [bench/README.md](../README.md) says how to make your own.',
    ...charts.flatMap(({ file, title }) => ['', `![${title}](${file})`]),
    ...(Object.keys(PLACES) as Place[]).flatMap((place) => tableOf(results, place)),
    ...goals(results),
    '',
    '## What was measured',
    '',
    ...PEERS.filter(({ id }) => results.samples.some(({ peer }) => peer === id)).map(
      ({ name, about }) => `- **${name}**: ${about}.`,
    ),
    ...NOTES.flatMap((note) => ['', note]),
    ...(skipped.length === 0 ? [] : ['', '## Skipped', '', ...skipped.map(({ what, why }) => `- ${what}: ${why}.`)]),
    ...(failures.length === 0
      ? []
      : ['', '## Failed', '', ...failures.map(({ row, peer, why }) => `- ${row}, ${peer}: ${why}`)]),
    '',
  ].join('\n')
}

/** Empty if nothing was measured; no column without a figure. */
export function tableOf(results: Results, place: Place): string[] {
  const rows = ROWS.filter(
    (row) => row.place === place && PEERS.some(({ id }) => valueOf(results, row.id, id) !== undefined),
  )
  if (rows.length === 0) return []
  const peers = PEERS.filter(({ id }) => rows.some((row) => valueOf(results, row.id, id) !== undefined))
  const ratios = peers.some(({ id }) => id === 'gateway') && peers.some(({ id }) => id === REFERENCE)
  const head = ['', ...peers.map(({ name }) => name), ...(ratios ? [`pilotgate ÷ ${nameOf(REFERENCE)}`] : [])]
  const lines = rows.map((row) => [
    `${row.name}, ${row.unit}`,
    ...peers.map((peer) => cell(results, row, peer)),
    ...(ratios ? [ratioCell(results, row)] : []),
  ])
  return [
    '',
    `## ${PLACES[place][0]!.toUpperCase()}${PLACES[place].slice(1)}`,
    '',
    line(head),
    line(head.map((_, i) => (i === 0 ? '---' : '---:'))),
    ...lines.map(line),
  ]
}

export function formatValue(value: number, digits: number): string {
  if (digits === 0) return Math.round(value).toLocaleString('en-GB')
  return value.toFixed(value >= 100 ? 0 : value >= 10 ? Math.min(digits, 1) : digits)
}

function cell(results: Results, row: Row, { id }: Peer): string {
  const value = valueOf(results, row.id, id)
  if (value === undefined)
    return results.failures.some((failure) => failure.row === row.id && failure.peer === id) ? 'failed' : ''
  return id === 'gateway' ? `**${formatValue(value, row.digits)}**` : formatValue(value, row.digits)
}

function ratioCell(results: Results, row: Row): string {
  return ratioOf(results, row.id, 'gateway', REFERENCE)?.toFixed(2) ?? ''
}

function goals(results: Results): string[] {
  const judged = judge(results)
  if (judged.length === 0) return []
  return [
    '',
    '## Goals',
    '',
    line(['', 'wanted', 'found', '']),
    line(['---', '---:', '---:', '---']),
    ...judged.map(({ what, wanted, found, met }) => line([what, wanted, found, met ? 'met' : 'missed'])),
  ]
}

function nameOf(id: Peer['id']): string {
  return PEERS.find((peer) => peer.id === id)!.name
}

function line(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`
}

const NOTES: readonly string[] = [
  'Set-up is from the first SYN to the first byte of the service, one connection after the other; of gRPC a new channel and one call, of NATS until the first PONG; cold: both gateways have just started and trust each other, the first connection asks the registry, agrees on keys and opens the stream; after a kill -9: only the near one has just started, the other still believes in the tunnel that died; behind NATs: cold, and the first byte may come by the relay while the way is being punched.',
  'Memory is the growth of resident memory of both processes between client and service, for each connection; of gRPC that of client and server process, of NATS that of its server. Memory of the kernel is in no figure. CPU is user and system time of the processes between.',
  'A NATS message passes a server between two clients; its round trip is a request to a third process and the answer. HTTP is a client and a server of a few lines, so that the way is measured, not a web server.',
  'The kernel passes TCP through a veth in pieces of up to 64 KB, as a network card with segmentation offload would; what is dropped at random is then a whole piece, which flatters TCP. UDP is dropped datagram by datagram.',
  'An echo sends every byte there and back on one stream; the Go programs offer no sink.',
]
