/**
 * Events for programs that know only HTTP, at the front itself: `GET /events/PEER/TOPIC` is a stream of server-sent events,
 * POST publishes the body. PEER is a peer, or `self` for our own broker. Above: front.ts, which has judged host and origin.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { asPilotError, PilotError } from '../../base/errors.ts'
import type { EventControl } from '../../services/events/desk.ts'
import { eventRecord } from '../../services/events/event-link.ts'
import { localPair } from '../../services/events/local-pair.ts'
import { MAX_EVENT_BYTES } from '../../wire/event-frame.ts'

export class EventPages {
  readonly #events: EventControl
  readonly #server: Server

  constructor(events: EventControl) {
    this.#events = events
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch((error: unknown) => fail(response, asPilotError(error)))
    })
  }

  /** A connection of one client: the front speaks HTTP on it. */
  connect(): Duplex {
    const [near, far] = localPair()
    this.#server.emit('connection', far)
    return near
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { peer, topic } = targetOf(request.url ?? '')
    if (request.method === 'POST') {
      await this.#events.publish(peer, topic, await bodyOf(request))
      return void response.writeHead(204).end()
    }
    if (request.method !== 'GET') return void response.writeHead(405, { allow: 'GET, POST' }).end()
    const gone = new AbortController()
    const subscription = this.#events.subscribe(peer, topic, gone.signal)
    const alive = setInterval(() => response.write(': alive\n\n'), ALIVE_MS)
    response.once('close', () => {
      clearInterval(alive)
      gone.abort()
    })
    try {
      const opening = subscription.next() // rejects if the broker cannot be reached
      const first = await Promise.race([opening, after(OPEN_MS)])
      response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' }).flushHeaders()
      for (let next = first ?? (await opening); next.done !== true; next = await subscription.next())
        await written(response, `data: ${JSON.stringify(eventRecord(next.value))}\n\n`)
      response.end()
    } finally {
      clearInterval(alive)
    }
  }
}

/** Whether a path of the front itself is here. */
export function isEventPath(path: string): boolean {
  return path.startsWith('/events/')
}

/** @throws PilotError NOT_FOUND. */
function targetOf(url: string): { peer: string | null; topic: string } {
  const [, , peer = '', ...rest] = url.replace(/[?#].*$/s, '').split('/')
  try {
    const [name, topic] = [decodeURIComponent(peer), decodeURIComponent(rest.join('/'))]
    if (name !== '' && topic !== '') return { peer: name === 'self' ? null : name, topic }
  } catch {} // not an encoding: as if there were nothing
  throw new PilotError('NOT_FOUND', 'expected /events/PEER/TOPIC', {}, undefined, 'PEER is a peer, or `self`.')
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = []
  let bytes = 0
  for await (const part of request as AsyncIterable<Buffer>) {
    bytes += part.length
    if (bytes > MAX_EVENT_BYTES) throw new PilotError('USAGE', `an event has at most ${MAX_EVENT_BYTES} bytes`)
    parts.push(part)
  }
  return Buffer.concat(parts)
}

function fail(response: ServerResponse, error: PilotError): void {
  if (response.headersSent) return void response.destroy()
  const { code, message, hint } = error
  response.writeHead(error.httpStatus, { 'content-type': 'application/json' })
  response.end(JSON.stringify({ error: { code, message, hint } }))
}

/** A client that does not read makes its own subscription wait. */
async function written(response: ServerResponse, text: string): Promise<void> {
  if (response.write(text) || response.destroyed) return
  await new Promise<void>((resolve) => {
    response.once('drain', resolve).once('close', resolve)
  })
}

function after(ms: number): Promise<undefined> {
  return new Promise((resolve) => {
    setTimeout(() => resolve(undefined), ms).unref()
  })
}

/** For proxies that end silent connections. */
const ALIVE_MS = 15_000
/** A subscription that is not refused within this time is open, though no event has come. */
const OPEN_MS = 500
