/**
 * Metrics, health and the dashboard over HTTP. Read-only: GET and HEAD of a fixed list of paths. Above: cli/serve.ts.
 * Beside: metrics.ts, page*.ts.
 *
 * Pages of other sites must not read it through a user's browser: no CORS header is ever sent, and on loopback only
 * requests for loopback hosts are answered, so a name rebound to 127.0.0.1 gets nothing.
 */
import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { isIP } from 'node:net'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { PilotError } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import { formatEndpoint, isLoopback } from '../base/types.ts'
import { listenError } from '../runtime/net/listen-error.ts'
import type { GatewayControl } from '../gateway/control.ts'
import { parseListen } from '../gateway/model/listen.ts'
import type { StatusRecord } from '../gateway/model/records.ts'
import { Sampler } from './history.ts'
import { metricsText } from './metrics.ts'
import { pageData } from './page-data.ts'
import { PAGE_SCRIPT } from './page-script.ts'
import { PAGE_STYLE } from './page-style.ts'
import { ICON, PAGE } from './page.ts'

export type Observed = Pick<GatewayControl, 'peers' | 'connections' | 'recent'> & { status(): StatusRecord }

export interface ObserveOptions {
  readonly listen: string // ip:port
  readonly control: () => Observed | undefined // undefined while the gateway starts
  readonly log: Pick<Logger, 'debug' | 'warn'>
}

export interface Observer {
  readonly address: string // ip:port
  stop(): Promise<void>
}

/** @throws PilotError PORT_IN_USE, PORT_FORBIDDEN, ADDRESS_UNAVAILABLE, USAGE. */
export async function startObserve({ listen, control, log }: ObserveOptions): Promise<Observer> {
  const place = parseListen(listen)
  if (place === undefined) throw new PilotError('USAGE', `observe ${listen}: expected ip:port`)
  if (!isLoopback(place.address))
    log.warn({ listen }, 'metrics and dashboard are open to anyone who can reach this address')
  const history = new Sampler(() => control()?.recent().traffic)
  const delay = monitorEventLoopDelay({ resolution: 20 })
  delay.enable()
  const server = createServer(
    { requestTimeout: REQUEST_TIMEOUT_MS, headersTimeout: REQUEST_TIMEOUT_MS },
    (request, response) => {
      const answered = isOurs(request, place.address)
        ? answer(request, control(), () => delay.percentile(99) / 1e9, history)
        : NOT_HERE
      send(request, response, answered)
      log.debug({ method: request.method, path: request.url, status: answered.status }, 'observe request')
    },
  )
  server.maxConnections = MAX_CONNECTIONS
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(listenError(error, 'observe', listen)))
    server.listen({ host: place.address, port: place.port }, () => {
      server.removeAllListeners('error')
      server.on('error', (error) => log.warn({ reason: error.message }, 'the observer could not accept a connection'))
      resolve()
    })
  })
  const { address, port } = server.address() as AddressInfo
  return {
    address: formatEndpoint({ address, port }),
    stop: () =>
      new Promise((resolve) => {
        delay.disable()
        history.stop()
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

interface Answer {
  readonly status: number
  readonly type: string
  readonly body: string
}

function answer(
  request: IncomingMessage,
  control: Observed | undefined,
  loopDelay: () => number,
  history: Sampler,
): Answer {
  if (request.method !== 'GET' && request.method !== 'HEAD') return text(405, 'only GET and HEAD')
  const path = (request.url ?? '').replace(/\?.*$/s, '')
  switch (path) {
    case '/livez':
      return text(200, 'ok')
    case '/startupz':
      return control === undefined ? text(503, 'starting') : text(200, 'started')
    case '/readyz':
      return readiness(control?.status())
    case '/':
      return { status: 200, type: 'text/html; charset=utf-8', body: PAGE }
    case '/app.js':
      return { status: 200, type: 'text/javascript; charset=utf-8', body: PAGE_SCRIPT }
    case '/app.css':
      return { status: 200, type: 'text/css; charset=utf-8', body: PAGE_STYLE }
    case '/icon.svg':
      return { status: 200, type: 'image/svg+xml', body: ICON }
    case '/metrics':
      if (control === undefined) return text(503, 'starting')
      return {
        status: 200,
        type: 'text/plain; version=0.0.4; charset=utf-8',
        body: metricsText(control.status(), control.peers(), control.connections(), loopDelay()),
      }
    case '/api/state':
      if (control === undefined) return text(503, 'starting')
      return {
        status: 200,
        type: 'application/json; charset=utf-8',
        body: JSON.stringify(
          pageData(control.status(), control.peers(), control.connections(), control.recent(), history.record),
        ),
      }
    default:
      return text(404, 'not found; there are /, /metrics, /livez, /readyz and /startupz')
  }
}

/**
 * Ready for traffic: everything is bound, it is not draining, and it is or was a member of the overlay. Losing the
 * registry later does not count: tunnels continue without it, and all gateways of a site would become unready together.
 */
function readiness(status: StatusRecord | undefined): Answer {
  if (status === undefined) return text(503, 'not ready: starting')
  if (status.state !== 'ready') return text(503, `not ready: ${status.state}`)
  if (status.daemon !== null && status.daemon.state !== 'connected') return text(503, 'not ready: the daemon is away')
  if (status.node.nodeId === 0) return text(503, 'not ready: not registered yet')
  return text(200, 'ready')
}

/** No name in the Host header is ours, except those that mean loopback everywhere. */
function isOurs(request: IncomingMessage, listening: string): boolean {
  if (!isLoopback(listening)) return true
  const host = (request.headers.host ?? '')
    .replace(/:\d+$/, '')
    .replace(/^\[(.*)\]$/, '$1')
    .toLowerCase()
  return host === '' || isIP(host) !== 0 || host === 'localhost' || host.endsWith('.localhost')
}

function send(request: IncomingMessage, response: ServerResponse, { status, type, body }: Answer): void {
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'content-security-policy': "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'cross-origin-resource-policy': 'same-origin',
    ...(status === 405 && { allow: 'GET, HEAD' }),
  })
  response.end(request.method === 'HEAD' ? undefined : body)
}

function text(status: number, body: string): Answer {
  return { status, type: 'text/plain; charset=utf-8', body: `${body}\n` }
}

const NOT_HERE: Answer = text(421, 'unknown host name; use the address')
const REQUEST_TIMEOUT_MS = 10_000
const MAX_CONNECTIONS = 64 // scrapers and a few browsers
