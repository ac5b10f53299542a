/** Events of a gateway as lines for people. Pure. */
import type { GatewayEvent, ReadyEvent } from '../gateway/model/events.ts'
import type { EndedConnectionRecord, ExposedRecord, MappedRecord } from '../gateway/model/records.ts'
import { formatAge, formatBytes, formatNode, formatRtt, pathName } from './text.ts'

export function eventLine(event: GatewayEvent): string {
  switch (event.event) {
    case 'mapped':
      return `mapped   ${mappedLine(event)}`
    case 'exposed':
      return `exposed  ${exposedLine(event)}`
    case 'unmapped':
      return `unmapped ${mappedLine(event)}`
    case 'unexposed':
      return `unexposed ${exposedLine(event)}${event.reason === undefined ? '' : ` (${event.reason === 'for' ? 'its time is over' : 'its one connection was made'})`}`
    case 'reloaded':
      return `reloaded: configuration ${event.version} is in force`
    case 'ready':
      return `ready    ${readyParts(event).join(', ')}, after ${Math.round(event.elapsedMs)} ms`
    case 'trust':
      return `trust    ${event.peer} (node ${event.nodeId}): ${event.state}`
    case 'ticket':
      return `ticket   for ${event.service}: used by ${whoIs(event)}`
    case 'connection':
      return connectionLine(event)
    case 'message':
      return `message  ${event.peer} (node ${event.nodeId}): ${event.type}, ${event.bytes} bytes, kept in ${event.path}`
    case 'sent':
      return `sent     ${event.id} to ${event.peer}: ${event.state}, ${event.bytes} bytes${event.error === null ? '' : ` (${event.error})`}`
    case 'path':
      return `path     ${event.peer} (node ${event.nodeId}): ${pathName(event)} ${event.endpoint}${event.rttMs === null ? '' : `, ${formatRtt(event.rttMs)}`}`
  }
}

function readyParts({ node, udp, admin, observe, http, proxy, dns }: ReadyEvent): string[] {
  const parts = [formatNode(node)]
  if (udp !== null) parts.push(`udp ${udp}`)
  parts.push(`admin ${admin}`)
  if (observe !== undefined) parts.push(`observe http://${observe}/`)
  if (http !== null) parts.push(`http ${http}`)
  if (proxy !== undefined) parts.push(`proxy ${proxy}`)
  if (dns !== undefined) parts.push(`dns ${dns}`)
  return parts
}

export function mappedLine({ local, peer, remote }: MappedRecord): string {
  return `${local} → ${remote.startsWith(`${peer}:`) ? remote : `${peer}, ${remote}`}`
}

export function exposedLine({ port, target, allow }: ExposedRecord): string {
  return `port ${port} → ${target} for ${whoMay(allow)}`
}

export function whoMay(allow: readonly string[]): string {
  return allow.map(whoOf).join(', ')
}

/** A target as people call it: `localhost:3000`, the folder, the command as it was typed. */
export function targetText({ target, protocol }: Pick<ExposedRecord, 'target' | 'protocol'>): string {
  if (target.startsWith('folder:')) return target.slice('folder:'.length)
  if (target.startsWith('exec:')) return target.slice('exec:'.length).replace(/^cd \S+ && exec /, '')
  return target.replace(/^(tcp|udp):\/\//, '') + (protocol === 'udp' ? '/udp' : '')
}

/** The label that a person gave, with the address that it stands for. */
export function whoIs({ peer, label }: { readonly peer: string; readonly label?: string | undefined }): string {
  return label === undefined ? peer : `${label} (${peer})`
}

function connectionLine(event: Extract<GatewayEvent, { event: 'connection' }>): string {
  const way = event.direction === 'expose' ? `${whoIs(event)} to ${event.service}` : `${event.local} to ${event.remote}`
  if (event.state === 'opened') return `opened   ${way}`
  const { bytesIn, bytesOut, durationMs } = event
  return `ended    ${way}: ${formatBytes(bytesIn)} in, ${formatBytes(bytesOut)} out, ${formatAge(durationMs)}${event.cause === 'ended' ? '' : `, ${causeText(event)}`}`
}

export function causeText({ cause, code }: Pick<EndedConnectionRecord, 'cause' | 'code'>): string {
  return cause === 'failed' ? (code ?? 'failed') : CAUSES[cause]
}

const CAUSES = {
  ended: 'ended',
  peer_reset: 'reset by the peer',
  local_reset: 'reset by the local program',
  stopped: 'ended by this gateway',
} as const

/** Who an entry of `allow` admits, in words. */
export function whoOf(entry: string): string {
  if (entry === 'trusted') return 'every trusted peer'
  return entry === 'invited' ? 'holders of a ticket' : entry
}
