/**
 * The connection to the registry, TCP or TLS: connects, reconnects indefinitely, frames in and out. Neighbours:
 * node/driver.ts above, which sends messages and passes answers to the core.
 */
import type { Socket } from 'node:net'
import { fromHex } from '../../base/bytes.ts'
import { MAX_REGISTRY_REPLY_BYTES, RegistryFrameReader, encodeRegistryFrame } from '../../wire/registry-messages.ts'
import type { RegistryTarget } from './endpoints.ts'
import type { RegistryFault } from './registry-fault.ts'
import { openRegistry } from './registry-socket.ts'

export interface RegistryLinkEvents {
  /** @param certificate its SHA-256; undefined: plain TCP. */
  onConnected(certificate: Uint8Array | undefined): void
  /** After a connection was lost, and after each failed attempt. */
  onDisconnected(fault: RegistryFault): void
  onReply(reply: object): void
}

export class RegistryLink {
  readonly #target: RegistryTarget
  readonly #events: RegistryLinkEvents
  #socket: Socket | undefined
  #retry: NodeJS.Timeout | undefined
  #failures = 0
  /** By this registry, at any time: so what follows has nothing to do with TLS. */
  #answered = false
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
    const socket = openRegistry(this.#target, {
      onReady: (certificate) => {
        socket.setTimeout(0)
        this.#failures = 0
        this.#events.onConnected(certificate === undefined ? undefined : fromHex(certificate))
      },
      onClose: (fault) => this.#onClose(fault),
      hasAnswered: () => this.#answered,
    })
    const reader = new RegistryFrameReader(MAX_REGISTRY_REPLY_BYTES)
    this.#socket = socket
    socket.once('timeout', () => socket.destroy(new Error('no connection in time')))
    socket.on('data', (chunk: Uint8Array) => {
      reader.push(chunk)
      for (let reply = reader.next(); reply !== undefined; reply = reader.next()) {
        if (typeof reply === 'string') {
          socket.destroy(new Error(`the registry sent a frame that is ${reply}`))
          return
        }
        this.#answered = true
        this.#events.onReply(reply)
      }
    })
  }

  #onClose(fault: RegistryFault): void {
    this.#socket = undefined
    if (this.#stopped) return
    const pause = RECONNECT_MS[Math.min(this.#failures, RECONNECT_MS.length - 1)]!
    this.#failures += 1
    this.#retry = setTimeout(() => this.#connect(), pause)
    this.#events.onDisconnected(fault)
  }
}

const RECONNECT_MS: readonly number[] = [100, 250, 500, 1_000, 2_000]
