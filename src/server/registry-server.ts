/**
 * The registry on TCP: accepts, limits and closes connections, runs the sweeps, and connects them to the
 * rules. registry/ handles the requests.
 */
import type { Server, Socket } from 'node:net'
import type { Endpoint, NodeId } from '../base/types.ts'
import { listenError } from '../runtime/net/listen-error.ts'
import type { Logger } from '../base/logger.ts'
import type { RegistryService } from './registry-connection.ts'
import type { Registry } from './registry/registry.ts'
import type { RegistryStore } from './store/store.ts'
import type { ServerTls } from './tls.ts'
import { createServer } from 'node:net'
import { fromHex } from '../base/bytes.ts'
import { formatEndpoint } from '../base/types.ts'
import { canonicalAddress } from './address.ts'
import { DearQueue } from './dear-queue.ts'
import { RegistryConnection } from './registry-connection.ts'
import { SWEEP_EVERY_MS } from './registry/constants.ts'
import { sniffTls } from './tls.ts'
import { SourceCounts } from './source-counts.ts'

export interface RegistryServerOptions {
  readonly listen: Endpoint // port 0 picks one
  readonly registry: Registry
  readonly store: RegistryStore // flushed and closed by `stop`
  readonly log: Logger
  readonly tls?: ServerTls // absent: plain TCP only
  readonly tlsOnly?: boolean
  readonly idleMs?: number // default 5 minutes, registry.md §1.1
  readonly maxConnections: number // further ones are closed on accept
  /** For a node that did not ask for notices on its connection. */
  readonly onMail?: (node: NodeId) => void
}

export class RegistryServer {
  readonly #options: RegistryServerOptions
  readonly #server: Server
  readonly #connections = new Map<Socket, Accepted>() // by accepted socket
  readonly #sources = new SourceCounts()
  readonly #listeners = new Map<NodeId, RegistryConnection>() // to be notified of mail
  readonly #timers: NodeJS.Timeout[] = []
  readonly #service: RegistryService
  #tls: ServerTls | undefined
  #starting: Promise<string> | undefined
  #stopping: Promise<void> | undefined
  #dropped = 0
  #storeFailed = false

  constructor(options: RegistryServerOptions) {
    this.#options = options
    this.#tls = options.tls
    this.#server = createServer({ allowHalfOpen: true, noDelay: true, keepAlive: true }, (socket) =>
      this.#accept(socket),
    )
    const dear = new DearQueue(() => performance.now())
    this.#service = {
      answer: (request, from) => this.#answer(request, from),
      isDear: (request) => options.registry.isDear(request),
      inTurn: (work) => dear.add(work),
      flushed: () => this.#flushed(),
      now: () => performance.now(),
    }
  }

  get connectionCount(): number {
    return this.#connections.size
  }
  /** False once the store refused a write: from then on nothing durable is acknowledged. */
  get healthy(): boolean {
    return !this.#storeFailed
  }
  get droppedConnections(): number {
    return this.#dropped
  }

  /** Of the TLS certificate in use; empty: plain TCP only. */
  get fingerprint(): string {
    return this.#tls?.fingerprint ?? ''
  }

  /** For new connections; open ones keep theirs. @returns Whether it is a different one. */
  useCertificate(tls: ServerTls): boolean {
    const changed = tls.fingerprint !== this.#tls?.fingerprint
    this.#tls = tls
    return changed
  }

  /** @returns The bound `ip:port`. @throws PilotError PORT_IN_USE, ADDRESS_UNAVAILABLE, PORT_FORBIDDEN. */
  start(): Promise<string> {
    this.#starting ??= this.#listen()
    return this.#starting
  }

  /** Accepts no more requests, sends pending replies, closes the store. */
  stop(): Promise<void> {
    this.#stopping ??= this.#shutDown()
    return this.#stopping
  }

  async #listen(): Promise<string> {
    const { listen, registry } = this.#options
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (error) => reject(listenError(error, 'registry', formatEndpoint(listen))))
      this.#server.listen({ host: listen.address, port: listen.port, exclusive: true }, resolve)
    })
    this.#server.on('error', (error) =>
      this.#options.log.warn({ error: error.message }, 'the registry cannot accept a connection'),
    )
    this.#every(SWEEP_EVERY_MS, () => registry.sweep(Date.now()))
    const idleMs = this.#options.idleMs ?? IDLE_MS
    this.#every(Math.min(idleMs / 4, LOOK_FOR_IDLE_MS), () => this.#closeIdle(idleMs))
    const bound = this.#server.address()
    return typeof bound === 'object' && bound !== null ? formatEndpoint(bound) : formatEndpoint(listen)
  }

  async #shutDown(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer)
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    await this.#flushed().catch(() => undefined) // logged where it failed
    for (const { speaking } of this.#connections.values()) speaking.destroySoon()
    const impatience = setTimeout(() => {
      for (const socket of this.#connections.keys()) socket.destroy()
    }, STOP_GRACE_MS)
    await closed
    clearTimeout(impatience)
    await this.#options.store.close()
  }

  /**
   * A client that came to another port of ours and has finished its TLS handshake there. @param socket The accepted
   *   one, below `secure`.
   */
  adopt(socket: Socket, secure: Socket): void {
    const sourceIp = this.#admit(socket)
    if (sourceIp !== undefined) this.#speak(socket, secure, sourceIp, fingerprintBytes(this.#tls))
  }

  #accept(socket: Socket): void {
    const sourceIp = this.#admit(socket)
    if (sourceIp === undefined) return
    const tls = this.#tls
    const certificate = fingerprintBytes(tls)
    const speak = (speaking: Socket): void => this.#speak(socket, speaking, sourceIp, certificate)
    const { tlsOnly = false, idleMs: patienceMs = IDLE_MS } = this.#options
    if (tls === undefined) speak(socket)
    else sniffTls(socket, { tls, tlsOnly, patienceMs }, speak)
  }

  /** @returns its address; undefined if it was refused. */
  #admit(socket: Socket): string | undefined {
    const sourceIp = canonicalAddress(socket.remoteAddress ?? '')
    const full = this.#connections.size >= this.#options.maxConnections
    socket.on('error', () => undefined) // a reset; 'close' follows and handles it
    if (sourceIp === '' || full || this.#stopping !== undefined || !this.#sources.mayAdd(sourceIp)) {
      this.#dropped++
      this.#options.log.debug({ sourceIp, full }, 'refused a connection to the registry')
      socket.destroy()
      return undefined
    }
    this.#sources.add(sourceIp)
    const accepted: Accepted = { speaking: socket, connection: undefined, acceptedAt: performance.now() }
    this.#connections.set(socket, accepted)
    socket.once('close', () => {
      this.#connections.delete(socket)
      const node = accepted.connection?.session.notified
      if (node !== undefined && this.#listeners.get(node) === accepted.connection) this.#listeners.delete(node)
      this.#sources.remove(sourceIp)
    })
    return sourceIp
  }

  #speak(socket: Socket, speaking: Socket, sourceIp: string, certificate: Uint8Array | undefined): void {
    const accepted = this.#connections.get(socket)
    if (accepted === undefined) return // closed in the meantime
    if (speaking !== socket) speaking.on('error', () => undefined)
    accepted.speaking = speaking
    accepted.connection = new RegistryConnection(speaking, sourceIp, this.#service, {
      certificate: speaking === socket ? undefined : certificate,
      isBehindProxy: certificate === undefined,
    })
  }

  /** A bug in one handler must not stop the service for all clients. */
  #answer(request: object, from: RegistryConnection): { readonly reply: object; readonly waits: boolean } {
    const { registry } = this.#options
    try {
      const reply = registry.handle(Date.now(), from.sourceIp, from.sourcePort, request, from.session)
      const waits = registry.replyWaits
      const { notified } = from.session
      if (notified !== undefined) this.#listeners.set(notified, from)
      for (const node of registry.takeNoticed()) this.#notify(node)
      return { reply, waits }
    } catch (error) {
      const type = Object.hasOwn(request, 'type') ? (request as Record<string, unknown>)['type'] : undefined
      this.#options.log.error(
        { type, error: error instanceof Error ? error.stack : String(error) },
        'bug: the registry failed on a request',
      )
      return { reply: { type: 'error', error: 'request failed' }, waits: false }
    }
  }

  /** Once; the node's next poll asks for the next notice. A node that did not ask may hear it from the beacon. */
  #notify(node: NodeId): void {
    const listener = this.#listeners.get(node)
    if (listener === undefined) return this.#options.onMail?.(node)
    this.#listeners.delete(node)
    listener.session.notified = undefined
    setImmediate(() => listener.tell(NOTICE)) // behind the reply that is being made
  }

  async #flushed(): Promise<void> {
    try {
      await this.#options.store.flushed()
    } catch (error) {
      this.#storeFailed = true
      this.#options.log.error(
        { error: error instanceof Error ? error.message : String(error) },
        'the registry store failed',
      )
      throw error
    }
  }

  #closeIdle(idleMs: number): void {
    const now = performance.now()
    for (const [socket, { connection, acceptedAt }] of this.#connections) {
      const silentMs = now - (connection?.lastRequestAt ?? acceptedAt)
      if (silentMs > (connection?.hasAsked === true ? idleMs : Math.min(idleMs, FIRST_REQUEST_MS))) socket.destroy()
    }
  }

  #every(ms: number, act: () => void): void {
    this.#timers.push(setInterval(act, ms))
  }
}

interface Accepted {
  speaking: Socket // the TLS socket around the accepted one, or the accepted one itself
  readonly acceptedAt: number
  connection: RegistryConnection | undefined // undefined until the client has sent something
}

function fingerprintBytes(tls: ServerTls | undefined): Uint8Array | undefined {
  return tls && fromHex(tls.fingerprint)
}

const NOTICE = { type: 'notify' }
const IDLE_MS = 300_000
const LOOK_FOR_IDLE_MS = 60_000
const FIRST_REQUEST_MS = 30_000 // for the first request: nodes register as soon as they are connected
const STOP_GRACE_MS = 500 // then clients that do not read their replies are disconnected
