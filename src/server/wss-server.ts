/**
 * One TLS port for nodes behind firewalls that let nothing else pass: a WebSocket on which datagrams of the beacon
 * travel, as upstream's compatibility transport has it (today.md U10), and the registry, whose messages begin with a
 * byte that HTTP never sends. The rules are in beacon/; this file has sockets, limits, and the proof of the id.
 */
import type { IncomingMessage, Server as HttpServer } from 'node:http'
import type { Server, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { RawData, WebSocket, WebSocketServer } from 'ws'
import type { Endpoint, NodeId } from '../base/types.ts'
import type { Logger } from '../base/logger.ts'
import type { BeaconServer } from './beacon-server.ts'
import type { Beacon } from './beacon/beacon.ts'
import type { Link } from './beacon/links.ts'
import type { ServerTls } from './tls.ts'
import { randomBytes } from 'node:crypto'
import { createServer as createHttpServer } from 'node:http'
import { createServer } from 'node:net'
import { toBase64, toHex, utf8 } from '../base/bytes.ts'
import { formatEndpoint } from '../base/types.ts'
import { verifySignature } from '../crypto/identity.ts'
import { listenError } from '../runtime/net/listen-error.ts'
import {
  AUTH_OK,
  COMPAT_PATH,
  COMPAT_PROTOCOL,
  MAX_COMPAT_BYTES,
  compatAuthText,
  encodeAuthChallenge,
  parseAuthReply,
  type AuthChallenge,
} from '../wire/compat-auth.ts'
import { canonicalAddress } from './address.ts'
import { SourceCounts } from './source-counts.ts'
import { sniffTls } from './tls.ts'
import { TokenBuckets } from './token-buckets.ts'

export interface WssServerOptions {
  readonly listen: Endpoint // port 0 picks one
  readonly tls: ServerTls
  readonly beacon: Beacon
  readonly beaconServer: Pick<BeaconServer, 'handleFromLink'>
  /** The key registered for a node id, base64. */
  readonly keyOf: (node: NodeId) => string | undefined
  /** A client of the registry: its accepted socket, and the TLS socket around it. */
  readonly onRegistryClient: (socket: Socket, secure: Socket) => void
  readonly maxConnections: number // further ones are closed on accept
  readonly log: Logger
}

export class WssServer {
  readonly counters = { linksRefused: 0, linksLimited: 0 }
  readonly #options: WssServerOptions
  readonly #server: Server
  readonly #http: HttpServer
  readonly #sockets = new Set<Socket>()
  readonly #links = new Set<NodeLink>()
  readonly #sources = new SourceCounts()
  readonly #proofs = new TokenBuckets(PROOF_BURST, PROOFS_PER_MINUTE)
  readonly #timers: NodeJS.Timeout[] = []
  #tls: ServerTls
  #webSockets: WebSocketServer | undefined
  #starting: Promise<string> | undefined
  #stopping: Promise<void> | undefined

  constructor(options: WssServerOptions) {
    this.#options = options
    this.#tls = options.tls
    this.#server = createServer({ noDelay: true, keepAlive: true }, (socket) => this.#accept(socket))
    this.#http = createHttpServer({ maxHeaderSize: MAX_HEADER_BYTES }, (request, response) => {
      // What tells a client that it has found the right place without opening anything
      const isHere = pathOf(request) === COMPAT_PATH
      response.writeHead(isHere ? 426 : 404, { connection: 'close', ...(isHere && { upgrade: 'websocket' }) })
      response.end(isHere ? 'Upgrade Required\n' : 'Not Found\n')
    })
    this.#http.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head))
    this.#http.on('clientError', (_error, socket) => void socket.destroy())
  }

  /** @returns The bound `ip:port`. @throws PilotError PORT_IN_USE, ADDRESS_UNAVAILABLE, PORT_FORBIDDEN. */
  start(): Promise<string> {
    this.#starting ??= this.#listen()
    return this.#starting
  }

  /** For new connections; open ones keep theirs. */
  useCertificate(tls: ServerTls): void {
    this.#tls = tls
  }

  stop(): Promise<void> {
    this.#stopping ??= new Promise((resolve) => {
      for (const timer of this.#timers) clearInterval(timer)
      this.#server.close(() => resolve())
      for (const socket of this.#sockets) socket.destroy()
    })
    return this.#stopping
  }

  async #listen(): Promise<string> {
    const { listen, log } = this.#options
    const { WebSocketServer } = await import('ws')
    this.#webSockets = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      maxPayload: MAX_COMPAT_BYTES,
      perMessageDeflate: false, // frames are sealed: nothing to compress
      handleProtocols: () => COMPAT_PROTOCOL,
    })
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (error) => reject(listenError(error, 'WebSocket', formatEndpoint(listen))))
      this.#server.listen({ host: listen.address, port: listen.port, exclusive: true }, resolve)
    })
    this.#server.on('error', (error) => log.warn({ error: error.message }, 'cannot accept a WebSocket connection'))
    this.#timers.push(setInterval(() => this.#endIdle(), LOOK_FOR_IDLE_MS))
    this.#timers.push(setInterval(() => this.#proofs.sweep(performance.now()), SWEEP_EVERY_MS))
    const bound = this.#server.address()
    return typeof bound === 'object' && bound !== null ? formatEndpoint(bound) : formatEndpoint(listen)
  }

  #accept(socket: Socket): void {
    const ip = canonicalAddress(socket.remoteAddress ?? '')
    socket.on('error', () => undefined) // a reset; 'close' follows and handles it
    const isFull = this.#sockets.size >= this.#options.maxConnections
    if (ip === '' || isFull || this.#stopping !== undefined || !this.#sources.mayAdd(ip)) {
      this.counters.linksLimited++
      socket.destroy()
      return
    }
    this.#sources.add(ip)
    this.#sockets.add(socket)
    // Everything up to the proof has this long: until then a client holds a place and has shown nothing.
    const impatience = setTimeout(() => socket.destroy(), HANDSHAKE_MS)
    socket.once('close', () => {
      clearTimeout(impatience)
      this.#sources.remove(ip)
      this.#sockets.delete(socket)
    })
    sniffTls(socket, { tls: this.#tls, tlsOnly: true, patienceMs: HANDSHAKE_MS }, (secure) => {
      secure.on('error', () => undefined)
      secure.once('readable', () => {
        const chunk = secure.read() as Buffer | null
        if (chunk === null) return void secure.destroy()
        secure.unshift(chunk)
        if (chunk[0] !== REGISTRY_FIRST_BYTE) {
          waiting.set(secure, { ip, impatience })
          this.#http.emit('connection', secure)
          return
        }
        clearTimeout(impatience)
        this.#options.onRegistryClient(socket, secure)
      })
    })
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const from = waiting.get(socket)
    const wanted = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((text) => text.trim())
    if (from === undefined || pathOf(request) !== COMPAT_PATH || !wanted.includes(COMPAT_PROTOCOL)) {
      socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n')
      return
    }
    this.#webSockets!.handleUpgrade(request, socket, head, (webSocket) => {
      webSocket.on('error', () => webSocket.terminate()) // an oversized or malformed message; 'close' follows
      this.#prove(webSocket, from.ip, request.socket.remotePort ?? 0, from.impatience)
    })
  }

  /** The id is proven by a signature over a nonce of ours; then the connection is its link. */
  #prove(webSocket: WebSocket, ip: string, port: number, impatience: NodeJS.Timeout): void {
    const challenge: AuthChallenge = { nonce: toHex(randomBytes(32)), ts: Math.floor(Date.now() / 1_000) }
    webSocket.once('message', (data: RawData, isBinary: boolean) => {
      const node = isBinary ? undefined : this.#proven(String(data), challenge, ip)
      if (node === undefined) {
        this.counters.linksRefused++
        webSocket.close(REFUSED, 'authentication failed')
        return
      }
      clearTimeout(impatience)
      webSocket.send(AUTH_OK)
      this.#serve(new NodeLink(node, { address: ip, port }, webSocket))
    })
    webSocket.send(encodeAuthChallenge(challenge))
  }

  #proven(text: string, challenge: AuthChallenge, ip: string): NodeId | undefined {
    const reply = parseAuthReply(text)
    if (reply === undefined || this.#options.keyOf(reply.nodeId) !== toBase64(reply.publicKey)) return undefined
    if (!this.#proofs.take(performance.now(), ip)) return undefined // a signature costs CPU
    const signed = utf8(compatAuthText(reply.nodeId, challenge))
    return verifySignature(reply.publicKey, signed, reply.signature) ? reply.nodeId : undefined
  }

  #serve(link: NodeLink): void {
    const { beacon, beaconServer, log } = this.#options
    const { webSocket, from } = link
    this.#links.add(link)
    beacon.attach(link)
    log.debug({ node: link.node, from: formatEndpoint(from) }, 'a node without UDP is connected')
    webSocket.on('message', (data: RawData, isBinary: boolean) => {
      link.heardAt = performance.now()
      // Copied: as a view it would keep everything that was read with it, for as long as it waits somewhere
      if (isBinary) beaconServer.handleFromLink(new Uint8Array(data as Buffer), link, from)
    })
    webSocket.on('ping', () => (link.heardAt = performance.now()))
    webSocket.on('pong', () => (link.heardAt = performance.now()))
    webSocket.once('close', () => {
      this.#links.delete(link)
      beacon.detach(link)
      log.debug({ node: link.node }, 'a node without UDP has gone')
    })
  }

  #endIdle(): void {
    const now = performance.now()
    for (const link of this.#links) if (now - link.heardAt > IDLE_MS) link.webSocket.terminate()
  }
}

class NodeLink implements Link {
  readonly node: NodeId
  readonly from: Endpoint
  readonly webSocket: WebSocket
  heardAt = performance.now()
  #unsent = 0
  readonly #onSent = (): void => {
    this.#unsent--
  }

  constructor(node: NodeId, from: Endpoint, webSocket: WebSocket) {
    this.node = node
    this.from = from
    this.webSocket = webSocket
  }

  get address(): string {
    return this.from.address
  }

  deliver(bytes: Uint8Array): boolean {
    const { webSocket } = this
    const isFull = webSocket.bufferedAmount + bytes.length > MAX_UNSENT_BYTES || this.#unsent >= MAX_UNSENT
    if (isFull || webSocket.readyState !== webSocket.OPEN) return false
    this.#unsent++
    webSocket.send(bytes, BINARY, this.#onSent)
    return true
  }

  displace(): void {
    this.webSocket.close(DISPLACED, 'connected again')
  }
}

/** Between the first byte and the proof. */
const waiting = new WeakMap<Duplex, { readonly ip: string; readonly impatience: NodeJS.Timeout }>()

function pathOf({ url = '' }: IncomingMessage): string {
  return url.split('?', 1)[0]!
}

const BINARY = { binary: true }
/** Close codes: RFC 6455 §7.4.1 "policy violation", and one for applications. */
const REFUSED = 1008
const DISPLACED = 4000
/** A message of the registry begins with the high byte of its length. */
const REGISTRY_FIRST_BYTE = 0
const MAX_HEADER_BYTES = 8_192 // of an HTTP request: answered with 431
const HANDSHAKE_MS = 10_000 // from the first byte to the proof: a client that needs longer is disconnected
const IDLE_MS = 90_000 // nothing heard, not even a ping: disconnected
const LOOK_FOR_IDLE_MS = 15_000
const SWEEP_EVERY_MS = 60_000
/** Waiting for a node that reads too slowly: further frames to it are dropped and counted, as a full socket would. */
const MAX_UNSENT_BYTES = 1_048_576
const MAX_UNSENT = 4_096
/** Proofs from one address, loopback exempt: beyond them the connection is refused. A proxy stands for a whole site. */
const PROOF_BURST = 200
const PROOFS_PER_MINUTE = 600
