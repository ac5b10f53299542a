/**
 * The connection to the registry, TCP or TLS: connects, reconnects indefinitely, frames in and out. Neighbours:
 * node/driver.ts above, which sends messages and passes answers to the core.
 */
import { connect, isIP } from 'node:net'
import type { Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { TLSSocket } from 'node:tls'
import { fromHex } from '../../base/bytes.ts'
import { MAX_REGISTRY_REPLY_BYTES, RegistryFrameReader, encodeRegistryFrame } from '../../wire/registry-messages.ts'
import type { RegistryTarget } from './endpoints.ts'

export interface RegistryLinkEvents {
  /** @param certificate its SHA-256; undefined: plain TCP. */
  onConnected(certificate: Uint8Array | undefined): void
  /** After a connection was lost, and after each failed attempt, with the reason. */
  onDisconnected(reason: string): void
  onReply(reply: object): void
}

export class RegistryLink {
  readonly #target: RegistryTarget
  readonly #events: RegistryLinkEvents
  #socket: Socket | undefined
  #retry: NodeJS.Timeout | undefined
  #failures = 0
  #stopped = false

  constructor(target: RegistryTarget, events: RegistryLinkEvents) {
    this.#target = target
    this.#events = events
  }

  start(): void {
    if (!this.#stopped && this.#socket === undefined) this.#connect()
  }

  send(message: object): void {
    this.#socket?.write(encodeRegistryFrame(message))
  }

  /** The connection has stopped answering: make a new one. */
  drop(): void {
    this.#socket?.destroy(new Error('no answer in time'))
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#retry)
    this.#socket?.destroy()
  }

  #connect(): void {
    const socket = this.#open()
    const reader = new RegistryFrameReader(MAX_REGISTRY_REPLY_BYTES)
    let reason = 'connection closed'
    this.#socket = socket
    socket.once('timeout', () => socket.destroy(new Error('no connection in time')))
    socket.once(this.#target.tls ? 'secureConnect' : 'connect', () => {
      const shown = this.#target.tls ? shownBy(socket as TLSSocket) : undefined
      const stranger = strangeCertificate(shown, this.#target.fingerprint)
      if (stranger !== undefined) return void socket.destroy(new Error(stranger))
      socket.setTimeout(0)
      this.#failures = 0
      this.#events.onConnected(shown === undefined ? undefined : fromHex(shown))
    })
    socket.on('data', (chunk: Uint8Array) => {
      reader.push(chunk)
      for (let reply = reader.next(); reply !== undefined; reply = reader.next()) {
        if (typeof reply === 'string') {
          socket.destroy(new Error(`the registry sent a frame that is ${reply}`))
          return
        }
        this.#events.onReply(reply)
      }
    })
    socket.on('error', (error) => {
      reason = error.message === '' ? String((error as NodeJS.ErrnoException).code) : error.message
    })
    socket.once('close', () => this.#onClose(reason))
  }

  #open(): Socket {
    const { address: host, port, tls, fingerprint } = this.#target
    const options = { host, port, noDelay: true, keepAlive: true, timeout: CONNECT_TIMEOUT_MS }
    if (!tls) return connect(options)
    return connectTls({
      ...options,
      rejectUnauthorized: fingerprint === undefined,
      ...(isIP(host) === 0 && { servername: host }),
    })
  }

  #onClose(reason: string): void {
    this.#socket = undefined
    if (this.#stopped) return
    const pause = RECONNECT_MS[Math.min(this.#failures, RECONNECT_MS.length - 1)]!
    this.#failures += 1
    this.#retry = setTimeout(() => this.#connect(), pause)
    this.#events.onDisconnected(reason)
  }
}

/** What is wrong with the other side's certificate; undefined if it is the pinned one, or none is pinned. */
function strangeCertificate(shown: string | undefined, pin: string | undefined): string | undefined {
  return pin === undefined || shown === pin
    ? undefined
    : `the registry shows the certificate ${shown ?? 'none'}, not the pinned ${pin}`
}

/** SHA-256 of the other side's certificate, hex. Read once: Node 20 does not return it a second time. */
function shownBy(socket: TLSSocket): string | undefined {
  return socket.getPeerX509Certificate()?.fingerprint256.replaceAll(':', '').toLowerCase()
}

const CONNECT_TIMEOUT_MS = 5_000
const RECONNECT_MS: readonly number[] = [100, 250, 500, 1_000, 2_000]
