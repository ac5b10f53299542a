/** Events of a gateway in the foreground: as JSON, as lines into a pipe, or as a screen for a person at a terminal. */
import type { GatewayEvent } from '../gateway/model/events.ts'
import { eventLine, targetText } from './event-line.ts'
import type { Output } from './output.ts'
import { newsLine, screenLines, serviceText, timed, Visitors } from './screen.ts'
import type { World } from './world.ts'

export interface Teller {
  tell(event: GatewayEvent): void
  /** What the command was for is done and shown: from now on there is only news. */
  settle(): void
  stop(): void
}

/** @param hasFile a change of the configuration is news. @param waiting what the command does first. */
export function tellerFor(out: Output, world: World, hasFile: boolean, waiting: string | undefined): Teller {
  if (out.json) return { tell: (event) => tellJson(out, world, event), settle: () => {}, stop: () => {} }
  return world.terminal ? new ScreenTeller(out, world, hasFile, waiting) : new LineTeller(out, hasFile)
}

/** A reader that stalls must not make us hold every connection that there ever was. */
function tellJson(out: Output, world: World, event: GatewayEvent): void {
  if (event.event !== 'connection' || world.outBacklogBytes <= MAX_BACKLOG_BYTES) out.event(event, '')
}

class LineTeller implements Teller {
  readonly #out: Output
  readonly #hasFile: boolean
  readonly #visitors: Visitors
  readonly #paths = new Map<number, string>()

  constructor(out: Output, hasFile: boolean) {
    this.#out = out
    this.#hasFile = hasFile
    this.#visitors = new Visitors((line) => out.note(`visitor  ${line}`))
  }

  tell(event: GatewayEvent): void {
    if (event.event === 'connection') this.#visitors.note(event)
    else if (this.#isNews(event)) this.#out.event(event, eventLine(event))
  }

  settle(): void {}

  stop(): void {
    this.#visitors.stop()
  }

  /** Not a path in which only round trip or packet size has changed, and not "reloaded" without a file. */
  #isNews(event: GatewayEvent): boolean {
    if (event.event === 'reloaded') return this.#hasFile
    if (event.event !== 'path') return true
    const way = `${event.kind} ${event.endpoint}`
    if (this.#paths.get(event.nodeId) === way) return false
    this.#paths.set(event.nodeId, way)
    return true
  }
}

class ScreenTeller implements Teller {
  readonly #out: Output
  readonly #world: World
  readonly #hasFile: boolean
  readonly #visitors: Visitors
  readonly #guests = new Set<number>() // have just joined, which includes that they are trusted
  readonly #targets = new Map<string, string>() // by the name of the exposure
  readonly #waiting: string | undefined
  #isSettled = false

  constructor(out: Output, world: World, hasFile: boolean, waiting: string | undefined) {
    this.#out = out
    this.#world = world
    this.#waiting = waiting
    this.#hasFile = hasFile
    this.#visitors = new Visitors(
      (line) => this.#print(line),
      (name) => this.#what(name),
    )
  }

  tell(event: GatewayEvent): void {
    if (event.event === 'connection') return this.#visitors.note(event)
    if (event.event === 'ready')
      for (const record of event.exposures) this.#targets.set(record.name, targetText(record))
    if (event.event === 'exposed') this.#targets.set(event.name, targetText(event))
    if (event.event === 'ready')
      return this.#out.note(
        ...screenLines(event, this.#world.version, columnsOf(this.#world), this.#out, this.#waiting),
      )
    if (!this.#isSettled || (event.event === 'reloaded' && !this.#hasFile)) return // the screen shows what there is
    if (event.event === 'ticket') this.#guests.add(event.nodeId)
    if (event.event === 'trust' && event.state === 'approved' && this.#guests.delete(event.nodeId)) return
    const line = newsLine(event, (name) => this.#what(name))
    if (line !== undefined) this.#print(line)
  }

  settle(): void {
    this.#isSettled = true
  }

  stop(): void {
    this.#visitors.stop()
  }

  /** By its own name if it has one, otherwise by its target, as the screen shows it. */
  #what(name: string): string {
    const text = serviceText(name)
    return text === name ? name : (this.#targets.get(name) ?? text)
  }

  #print(line: string): void {
    this.#out.note(...timed(line, new Date().toISOString(), columnsOf(this.#world), this.#out))
  }
}

/** Of the window, as wide as text is set. */
export function columnsOf({ columns }: Pick<World, 'columns'>): number {
  return Math.max(MIN_COLUMNS, columns ?? USUAL_COLUMNS)
}

const USUAL_COLUMNS = 80
/** Narrower, and nothing is legible. */
const MIN_COLUMNS = 30
/** A few thousand events. */
const MAX_BACKLOG_BYTES = 1 << 20
