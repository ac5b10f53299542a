/**
 * Status of the rendezvous: a page for people, health for supervisors, Prometheus text for monitoring. Only totals are
 * shown, not which nodes exist, where they are, or who trusts whom (the reference shows that to anyone).
 */
import type { Server, ServerResponse } from 'node:http'
import type { Endpoint } from '../base/types.ts'
import { listenError } from '../runtime/net/listen-error.ts'
import type { Logger } from '../base/logger.ts'
import type { Status } from './status.ts'
import { createServer } from 'node:http'
import { formatEndpoint } from '../base/types.ts'
import { metrics, statistics } from './status.ts'
import { STATUS_PAGE } from './status-page.ts'
import { webHeaders } from '../runtime/web-page.ts'

export interface StatusServerOptions {
  readonly listen: Endpoint // port 0 picks one
  readonly status: Status
  readonly log: Logger
}

export class StatusServer {
  readonly #options: StatusServerOptions
  readonly #server: Server
  readonly #startedMs = performance.now()
  #stopping: Promise<void> | undefined

  constructor(options: StatusServerOptions) {
    this.#options = options
    this.#server = createServer((request, response) => this.#answer(request.method ?? '', request.url ?? '', response))
    this.#server.requestTimeout = this.#server.headersTimeout = REQUEST_TIMEOUT_MS
    this.#server.maxConnections = MAX_CONNECTIONS
  }

  /** @returns The bound `ip:port`. @throws PilotError PORT_IN_USE, ADDRESS_UNAVAILABLE, PORT_FORBIDDEN. */
  async start(): Promise<string> {
    const { listen, log } = this.#options
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (error) => reject(listenError(error, 'status page', formatEndpoint(listen))))
      this.#server.listen({ host: listen.address, port: listen.port, exclusive: true }, resolve)
    })
    this.#server.on('error', (error) =>
      log.warn({ error: error.message }, 'the status page cannot accept a connection'),
    )
    const bound = this.#server.address()
    return typeof bound === 'object' && bound !== null ? formatEndpoint(bound) : formatEndpoint(listen)
  }

  stop(): Promise<void> {
    this.#stopping ??= new Promise((resolve) => {
      this.#server.close(() => resolve())
      this.#server.closeAllConnections()
    })
    return this.#stopping
  }

  #answer(method: string, url: string, response: ServerResponse): void {
    if (method !== 'GET' && method !== 'HEAD') return send(response, 405, TEXT, 'only GET\n', { allow: 'GET, HEAD' })
    const { status } = this.#options
    const uptimeSec = Math.floor((performance.now() - this.#startedMs) / 1000)
    const [code, state] = status.healthy() ? ([200, 'ok'] as const) : ([503, 'the store refuses writes'] as const)
    switch (url.split('?')[0]) {
      case '/':
        return send(response, 200, 'text/html; charset=utf-8', STATUS_PAGE)
      case '/livez':
        return send(response, 200, TEXT, 'ok\n')
      case '/readyz':
        return send(response, code, TEXT, `${state}\n`)
      case '/healthz':
        return send(
          response,
          code,
          JSON_TEXT,
          JSON.stringify({
            status: state,
            version: '1.0',
            uptime_seconds: uptimeSec,
            nodes_online: status.counters().registry.liveNodes,
          }),
        )
      case '/metrics':
        return send(response, 200, 'text/plain; version=0.0.4; charset=utf-8', metrics(status, uptimeSec))
      case '/api/stats':
        return send(response, 200, JSON_TEXT, JSON.stringify(statistics(status, uptimeSec)))
      default:
        return send(response, 404, TEXT, 'not found\n')
    }
  }
}

/** The headers prevent framing, content sniffing and loading anything from elsewhere. */
function send(
  response: ServerResponse,
  code: number,
  type: string,
  body: string,
  more: Readonly<Record<string, string>> = {},
): void {
  response
    .writeHead(code, {
      'content-type': type,
      ...webHeaders(true),
      ...more,
    })
    .end(body)
}

const TEXT = 'text/plain; charset=utf-8'
const JSON_TEXT = 'application/json; charset=utf-8'
const REQUEST_TIMEOUT_MS = 10_000
const MAX_CONNECTIONS = 128 // further ones are closed on accept
