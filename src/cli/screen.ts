/**
 * What a person at a terminal sees of a gateway in the foreground: first what is shared and mapped, with the URL to open;
 * then a line for each event, in words. Pure. Into a pipe, event-line.ts is used instead.
 */
import type { GatewayEvent, ReadyEvent } from '../gateway/model/events.ts'
import type { ExposedRecord, MappedRecord } from '../gateway/model/records.ts'
import { causeText, targetText, whoIs, whoMay } from './event-line.ts'
import { clock, formatAge, formatBytes, formatNode, formatUntil, plural } from './text.ts'
import { wrap } from '../base/printable.ts'
import { reached, urlOf } from './where.ts'

export interface Style {
  bold(text: string): string
  dim(text: string): string
}

/** @param columns of the window. @param waiting for what, if there is nothing to show yet. */
export function screenLines(
  ready: ReadyEvent,
  version: string,
  columns: number,
  style: Style,
  waiting = 'Nothing is shared or mapped yet.',
): string[] {
  const { exposures, mappings, http, proxy, dns, observe } = ready
  const rows: [string, string][] = [
    ...exposures.map((record): [string, string] => ['Shared', exposureText(record)]),
    ...mappings.map((record): [string, string] => ['Mapped', mappingText(record)]),
    ...(http === null ? [] : [['HTTP', `http://PEER.pilot.localhost:${portOf(http)}/`] as [string, string]]),
    ...(proxy === undefined ? [] : [['Proxy', `${reached(proxy)}, SOCKS5 and HTTP`] as [string, string]]),
    ...(dns === undefined ? [] : [['DNS', dns] as [string, string]]),
    ...(observe === undefined ? [] : [['Dashboard', `http://${reached(observe)}/`] as [string, string]]),
  ]
  const shown = rows.length > MAX_ROWS ? rows.slice(0, MAX_ROWS) : rows
  const rest = rows.length - shown.length
  const lines = shown.flatMap(([name, text]) => row(name, text, columns, style))
  return [
    ...wrap(`pilotgate ${version}, ${formatNode(ready.node)}`, columns).map((line) => style.dim(line)),
    '',
    ...lines,
    ...(rest > 0 ? [style.dim(`and ${rest} more: pilotgate status`)] : []),
    ...(rows.length === 0 ? [waiting] : []),
    '',
  ]
}

/** The row of one mapping, for a command that has just made it. */
export function mappedRow(record: MappedRecord, columns: number, style: Style): string[] {
  return row('Mapped', mappingText(record), columns, style)
}

function row(name: string, text: string, columns: number, style: Style): string[] {
  const [first, ...more] = wrap(text, columns - LABEL_COLUMNS)
  const indent = ' '.repeat(LABEL_COLUMNS)
  return [`${style.dim(name.padEnd(LABEL_COLUMNS))}${first}`, ...more.map((line) => indent + line)]
}

function exposureText(record: ExposedRecord): string {
  const { allow, endsAt, once } = record
  const ends = endsAt === undefined ? '' : `, for ${formatUntil(endsAt)}`
  return `${targetText(record)}, with ${whoMay(allow)}${ends}${once === true ? ', once' : ''}`
}

function mappingText(record: MappedRecord): string {
  const { local, peer, remote, protocol } = record
  const place = urlOf(record) ?? `${reached(local)}${protocol === 'udp' ? '/udp' : ''}`
  return `${place} → port ${portOf(remote)} of ${peer}`
}

function portOf(place: string): string {
  return place.slice(place.lastIndexOf(':') + 1)
}

/**
 * @param what an exposure is called, by its name.
 * @returns the line, without its time; undefined: nothing that a person needs to know.
 */
export function newsLine(event: GatewayEvent, what: (name: string) => string = serviceText): string | undefined {
  switch (event.event) {
    case 'mapped':
      return `mapped: ${mappingText(event)}`
    case 'exposed':
      return `shared: ${exposureText(event)}`
    case 'unmapped':
      return `no longer mapped: ${mappingText(event)}`
    case 'unexposed':
      return `no longer shared: ${targetText(event)}${event.reason === undefined ? '' : `; ${ENDS[event.reason]}`}`
    case 'reloaded':
      return `configuration ${event.version} is in force`
    case 'trust':
      return trustLine(event)
    case 'ticket':
      return `${whoIs(event)} joined with a ticket for ${what(event.service)}`
    case 'message':
      return `${event.peer} sent ${event.type}, ${formatBytes(event.bytes)}: ${event.path}`
    case 'sent':
      return event.state === 'delivered'
        ? `${event.peer} has received ${event.id}`
        : `${event.id} to ${event.peer}: ${event.state}${event.error === null ? '' : ` (${event.error})`}`
    case 'connection': // Visitors sums these up
    case 'path':
    case 'ready':
      return undefined
  }
}

function trustLine({ peer, nodeId, state, fingerprint }: Extract<GatewayEvent, { event: 'trust' }>): string {
  if (state === 'pending')
    return `${peer} asks for trust${fingerprint === null ? '' : ` (${fingerprint})`}; to agree: pilotgate trust approve ${nodeId}`
  if (state === 'approved') return `${peer} and this node trust each other`
  return state === 'revoked' ? `${peer} is no longer trusted` : `${peer} was refused trust`
}

/** @param at RFC 3339. */
export function timed(line: string, at: string, columns: number, style: Style): string[] {
  const [first, ...more] = wrap(line, columns - TIME_COLUMNS)
  return [`${style.dim(clock(at))}  ${first}`, ...more.map((each) => ' '.repeat(TIME_COLUMNS) + each)]
}

type ConnectionEvent = Extract<GatewayEvent, { event: 'connection' }>

interface Visit {
  readonly since: number // ms
  open: number
  ended: number
  bytesIn: number
  bytesOut: number
  cause: string // of the last that ended; '' if in order
  timer: NodeJS.Timeout | undefined
}

/**
 * One line when a peer comes to an exposure and one when it has left, however many connections a browser opens. Each
 * connection is an event of its own in JSON, and in `list connections --recent`.
 */
export class Visitors {
  readonly #print: (line: string) => void
  readonly #what: (name: string) => string
  readonly #quietMs: number
  readonly #visits = new Map<string, Visit>() // at most one for each open connection, and those that have just left

  /** @param what an exposure is called, by its name. @param quietMs without a connection, and a peer has left. */
  constructor(print: (line: string) => void, what: (name: string) => string = serviceText, quietMs = QUIET_MS) {
    this.#print = print
    this.#what = what
    this.#quietMs = quietMs
  }

  note(event: ConnectionEvent): void {
    if (event.direction !== 'expose') return
    const key = `${event.service} ${event.nodeId ?? event.peer}`
    const visit = this.#visits.get(key)
    if (event.state === 'opened') {
      if (visit === undefined) this.#arrive(key, event)
      else {
        visit.open += 1
        clearTimeout(visit.timer)
      }
      return
    }
    if (visit === undefined) return // it never opened, which the log explains
    visit.open -= 1
    visit.ended += 1
    visit.bytesIn += event.bytesIn
    visit.bytesOut += event.bytesOut
    visit.cause = event.cause === 'ended' ? '' : `, ${causeText(event)}`
    if (visit.open === 0) visit.timer = setTimeout(() => this.#leave(key, event, visit), this.#quietMs).unref()
  }

  /** The gateway stops: no one stays. */
  stop(): void {
    for (const { timer } of this.#visits.values()) clearTimeout(timer)
    this.#visits.clear()
  }

  #arrive(key: string, event: ConnectionEvent): void {
    const visit = { since: Date.now(), open: 1, ended: 0, bytesIn: 0, bytesOut: 0, cause: '', timer: undefined }
    this.#visits.set(key, visit)
    this.#print(`${whoIs(event)} connected to ${this.#what(event.service)}`)
  }

  #leave(key: string, event: ConnectionEvent, { since, ended, bytesIn, bytesOut, cause }: Visit): void {
    this.#visits.delete(key)
    const age = formatAge(Math.max(0, Date.now() - since - this.#quietMs))
    this.#print(
      `${whoIs(event)} left ${this.#what(event.service)} after ${age}: ${plural(ended, 'connection')}, ${formatBytes(bytesOut)} sent, ${formatBytes(bytesIn)} received${cause}`,
    )
  }
}

/** An exposure without a name of its own is called by its port. */
export function serviceText(name: string): string {
  return /^\d+(\/udp)?$/.test(name) ? `port ${name}` : name
}

const ENDS = { for: 'its time is over', once: 'its one connection was made' } as const
const LABEL_COLUMNS = 11
const TIME_COLUMNS = 10
/** What fits on a screen beside the rest. */
const MAX_ROWS = 20
/** A browser that loads a page keeps opening connections for about this long. */
const QUIET_MS = 2_000
