/** Events of a gateway as lines for people. Pure. */
import type { GatewayEvent } from '../gateway/model/events.ts'
import type { ExposedRecord, MappedRecord } from '../gateway/model/records.ts'
import { formatNode, formatRtt } from './text.ts'

export function eventLine(event: GatewayEvent): string {
  switch (event.event) {
    case 'mapped':
      return `mapped   ${mappedLine(event)}`
    case 'exposed':
      return `exposed  ${exposedLine(event)}`
    case 'unmapped':
      return `unmapped ${mappedLine(event)}`
    case 'unexposed':
      return `unexposed ${exposedLine(event)}`
    case 'reloaded':
      return `reloaded: configuration ${event.version} is in force`
    case 'ready':
      return `ready    ${formatNode(event.node)},${event.udp === null ? '' : ` udp ${event.udp},`} admin ${event.admin},${event.observe === undefined ? '' : ` observe http://${event.observe}/,`}${event.http === null ? '' : ` http ${event.http},`}${event.proxy === undefined ? '' : ` proxy ${event.proxy},`}${event.dns === undefined ? '' : ` dns ${event.dns},`} after ${Math.round(event.elapsedMs)} ms`
    case 'trust':
      return `trust    ${event.peer} (node ${event.nodeId}): ${event.state}`
    case 'ticket':
      return `ticket   for ${event.service}: used by ${event.peer}`
    case 'message':
      return `message  ${event.peer} (node ${event.nodeId}): ${event.type}, ${event.bytes} bytes, kept in ${event.path}`
    case 'path':
      return `path     ${event.peer} (node ${event.nodeId}): ${event.kind} ${event.endpoint}${event.rttMs === null ? '' : `, ${formatRtt(event.rttMs)}`}`
  }
}

export function mappedLine({ local, peer, remote }: MappedRecord): string {
  return `${local} → ${remote.startsWith(`${peer}:`) ? remote : `${peer}, ${remote}`}`
}

export function exposedLine({ port, target, allow }: ExposedRecord): string {
  return `port ${port} → ${target} for ${allow.map((peer) => (peer === 'trusted' ? 'every trusted peer' : peer === 'invited' ? 'holders of a ticket' : peer)).join(', ')}`
}
