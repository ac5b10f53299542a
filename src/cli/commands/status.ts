/** `pilotgate status`: this gateway's node, connections and traffic. */
import type { ExposedRecord, StatusRecord } from '../../gateway/model/records.ts'
import type { Cli } from '../cli.ts'
import { whoOf } from '../event-line.ts'
import type { Output } from '../output.ts'
import { formatAge, formatBytes, formatNode } from '../text.ts'
import { termsText } from './list.ts'
import { clientOf, withAdmin, type ReaderOptions } from './reader.ts'

export function addStatus(cli: Cli): void {
  withAdmin(
    cli.add(cli.program, 'status', 'show the state of the running gateway', [
      'pilotgate status',
      'pilotgate status --json --admin /run/pilotgate/admin.sock',
    ]),
  ).action(
    cli.action(async (out, options: ReaderOptions) => {
      const status = await clientOf(options, cli.world).status()
      out.result(status, statusLines(status, out))
    }),
  )
}

export function statusLines(status: StatusRecord, out: Pick<Output, 'bold' | 'bad'>): string[] {
  const rows: [string, string][] = [
    ['state', `${status.state}, for ${formatAge(status.uptimeMs)} (pilotgate ${status.version}, pid ${status.pid})`],
    ...(status.problems ?? []).map(({ text, hint }): [string, string] => [
      PROBLEM,
      hint === undefined ? text : `${text}. ${hint}`,
    ]),
    ...configuration(status),
    ['node', formatNode(status.node)],
    ['key', status.node.publicKey],
    ...(status.udp === null
      ? []
      : [['udp', status.port === 'native' ? `${status.udp}, native port` : status.udp] as [string, string]]),
    ['admin', status.admin],
    ...standing(status),
    ...fronts(status),
    ['peers', String(status.peers)],
    ['connections', String(status.connections)],
    ['memory', `${formatBytes(status.memory.rssBytes)} resident, ${formatBytes(status.memory.heapBytes)} heap`],
    ...status.mappings.map((mapping): [string, string] => [
      'mapping',
      `${mapping.local} → ${mapping.peer}, ${mapping.remote}${mapping.draining === true ? ', draining' : ''}`,
    ]),
    ...status.exposures.map((expose): [string, string] => [
      'exposure',
      [`port ${expose.port} → ${expose.target}, for ${expose.allow.map(whoOf).join(', ')}`, ...termsOf(expose)].join(
        ', ',
      ),
    ]),
  ]
  const width = Math.max(...rows.map(([name]) => name.length))
  return rows.map(([name, value]) => {
    const text = name === PROBLEM ? value.split('\n').map(out.bad.bind(out)).join('\n') : value
    return `${out.bold(name.padEnd(width))}  ${text.replaceAll('\n', `\n${' '.repeat(width)}  `)}`
  })
}

const PROBLEM = 'problem'

/** The file, and why it is not in force as it is now. */
function configuration({ config }: StatusRecord): [string, string][] {
  if (config?.file === undefined || config.file === null) return []
  const { file, version, error } = config
  return error === null
    ? [['config', `${file}, version ${version}`]]
    : [
        [PROBLEM, `${file} is not in force, version ${version} is; correct it, and it is applied:\n${error}`],
        ['config', `version ${version}, older than ${file}`],
      ]
}

/** Draining, and its terms. */
function termsOf(expose: ExposedRecord): string[] {
  const terms = termsText(expose)
  return [...(expose.draining === true ? ['draining'] : []), ...(terms === '-' ? [] : [terms])]
}

/** The local ports that lead to every peer, and the observe listener. */
function fronts({ http, proxy, dns, observe }: StatusRecord): [string, string][] {
  return [
    ...(http === null
      ? []
      : [
          ['http', `${http}, as http://PEER.pilot.localhost:${http.slice(http.lastIndexOf(':') + 1)}/`] as [
            string,
            string,
          ],
        ]),
    ...(proxy === undefined ? [] : [['proxy', `${proxy}, SOCKS5 and HTTP CONNECT`] as [string, string]]),
    ...(dns === undefined ? [] : [['dns', dns] as [string, string]]),
    ...(observe === undefined || observe === null ? [] : [['observe', `http://${observe}/`] as [string, string]]),
  ]
}

function standing({ registry, beacon, nat, daemon }: StatusRecord): [string, string][] {
  const rows: [string, string][] = []
  if (registry !== null) {
    const why = registry.reason === undefined ? '' : `: ${registry.reason}`
    rows.push(['registry', `${registry.endpoint}, ${registry.state} since ${registry.since}${why}`])
  }
  if (beacon !== null)
    rows.push([
      'beacon',
      `${beacon.endpoint}, ${beacon.observed === null ? 'has not reported our public address yet' : `sees us at ${beacon.observed}`}`,
    ])
  if (nat !== null)
    rows.push([
      'nat',
      `${nat.mapping}${nat.filtering === 'unknown' ? '' : `, filtering ${nat.filtering}`} (see \`pilotgate doctor\`)`,
    ])
  if (daemon !== null) rows.push(['daemon', `${daemon.socket}, ${daemon.state} since ${daemon.since}`])
  return rows
}
