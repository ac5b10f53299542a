/** A web service that reports what it received, covering everything a proxy could get wrong. */
import { createHash } from 'node:crypto'
import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { WebSocketServer } from 'ws'
import type { Stage } from './harness.ts'

export interface Backend {
  readonly address: string // host:port
  /** Requests so far, as seen by the parser: a smuggled one counts. */
  readonly seen: string[]
  /** Connections so far. */
  readonly connections: Set<Socket>
}

/** What `/echo` answers. */
export interface Echoed {
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly raw: readonly string[] // names and values alternate
  readonly trailers: readonly string[]
  readonly body: string
  readonly from: string // ip:port
}

export async function httpBackend(stage: Stage): Promise<Backend> {
  const seen: string[] = []
  const connections = new Set<Socket>()
  const server = createServer((req, res) => {
    seen.push(`${req.method ?? ''} ${req.url ?? ''}`)
    answer(req, res)
  })
  server.on('connection', (socket) => connections.add(socket))
  const sockets = new WebSocketServer({ server })
  sockets.on('connection', (socket, req) => {
    socket.send(JSON.stringify({ node: req.headers['pilot-node'] ?? null, host: req.headers.host }))
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  stage.defer(async () => {
    for (const client of sockets.clients) client.terminate()
    server.closeAllConnections()
    server.close()
  })
  return { address: `127.0.0.1:${(server.address() as AddressInfo).port}`, seen, connections }
}

function answer(req: IncomingMessage, res: ServerResponse): void {
  const path = req.url!.replace(/\?.*$/s, '')
  switch (path) {
    case '/page':
      page(res)
      return
    case '/events':
      events(res)
      return
    case '/upload':
      upload(req, res)
      return
    case '/trailers':
      res.writeHead(200, { 'Content-Type': 'text/plain', Trailer: 'X-Sum' })
      res.write('part')
      res.addTrailers({ 'X-Sum': 'forty-two' })
      res.end()
      return
    case '/cut':
      res.writeHead(200, { 'Content-Type': 'text/plain' })
      res.write('half of it', () => res.destroy())
      return
    case '/cookies':
      res.writeHead(200, ['Set-Cookie', 'a=1', 'Set-Cookie', 'b=2', 'X-Case', 'Kept'] as unknown as string[])
      res.end()
      return
    default:
      echo(req, res)
  }
}

function echo(req: IncomingMessage, res: ServerResponse): void {
  const parts: Buffer[] = []
  req.on('data', (part: Buffer) => parts.push(part))
  req.on('end', () => {
    const { remoteAddress = '', remotePort = 0 } = req.socket
    const text = JSON.stringify({
      method: req.method,
      url: req.url,
      headers: req.headers,
      raw: req.rawHeaders,
      trailers: req.rawTrailers,
      body: Buffer.concat(parts).toString('utf8'),
      from: `${remoteAddress}:${remotePort}`,
    })
    res.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) })
    res.end(req.method === 'HEAD' ? '' : text)
  })
}

function upload(req: IncomingMessage, res: ServerResponse): void {
  const hash = createHash('sha256')
  let bytes = 0
  req.on('data', (part: Buffer) => {
    bytes += part.length
    hash.update(part)
  })
  req.on('end', () => res.end(`${bytes} ${hash.digest('hex')}`))
}

/** One event at once, the next a second later: a buffering proxy delivers neither in time. */
function events(res: ServerResponse): void {
  res.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' })
  let count = 0
  const timer = setInterval(() => res.write(`id: ${++count}\ndata: event ${count}\n\n`), EVENT_MS)
  res.on('close', () => clearInterval(timer))
}

function page(res: ServerResponse): void {
  res.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8' })
  res.end(PAGE)
}

export const EVENT_MS = 300
const PAGE = `<!doctype html><title>over the overlay</title><style>body{font:20px sans-serif;margin:2em}</style>
<h1>Hello from agent-b</h1><p>WebSocket: <b id=ws>…</b></p><p>Events: <b id=sse>…</b></p><p>Upload: <b id=up>…</b></p>
<script>
const show = (id, text) => { document.getElementById(id).textContent = text }
const ws = new WebSocket('ws://' + location.host + '/ws')
ws.onopen = () => ws.send('ping from a browser')
ws.onmessage = (event) => { if (!event.data.startsWith('{')) show('ws', event.data) }
const source = new EventSource('/events')
source.onmessage = (event) => { show('sse', event.data); if (event.lastEventId === '3') source.close() }
window.upload = async (megabytes) => {
  const block = new Uint8Array(1 << 20).fill(7)
  const answer = await fetch('/upload', { method: 'POST', body: new Blob(Array.from({ length: megabytes }, () => block)) })
  show('up', await answer.text())
}
</script>`

/** The body of a reply as it came over the wire: plain, or one chunk. */
export function bodyOf(reply: Buffer): string {
  const text = reply.toString('latin1')
  const body = text.slice(text.indexOf('\r\n\r\n') + 4)
  return /^[0-9a-f]+\r\n/.test(body) ? body.replace(/^[0-9a-f]+\r\n/, '').replace(/\r\n0\r\n[\s\S]*$/, '') : body
}

/** The headers that identify the caller. */
export function pilot(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith('pilot-')))
}
