/**
 * The local UDP service as seen by one session: a socket connected to the first of the service's addresses that does
 * not refuse. A refusal ("port unreachable") comes only after a datagram was sent, so the first ones are kept briefly
 * and resent to the next address. Above: expose/udp.ts.
 */
import { createSocket } from 'node:dgram'
import type { Socket } from 'node:dgram'
import { isIP } from 'node:net'
import { MAX_UDP_WAITING, UDP_BUFFER_BYTES } from '../udp/sessions.ts'
import type { TargetHosts } from './target-hosts.ts'

export interface UdpTargetEvents {
  onAnswer(bytes: Uint8Array): void
  /** Every address refuses; later datagrams try again. */
  onUnreachable(error: Error): void
}

export class UdpTarget {
  readonly #host: string
  readonly #port: number
  readonly #hosts: TargetHosts
  readonly #events: UdpTargetEvents
  #addresses: readonly string[] = []
  #at = 0 // index of the address in use
  #refusals = 0 // in a row, without an answer
  #socket: Socket | undefined
  #kept: Uint8Array[] | undefined // sent to this address, in case it refuses
  #openedMs = 0
  #moving = false
  #lookedMs = -Infinity
  #closed = false
  #onSent: (error: Error | null) => void = () => {}

  constructor(place: { readonly host: string; readonly port: number }, hosts: TargetHosts, events: UdpTargetEvents) {
    this.#host = place.host
    this.#port = place.port
    this.#hosts = hosts
    this.#events = events
  }

  /** Rejects if the name does not resolve or no address can be sent to. */
  async open(): Promise<void> {
    this.#addresses = await this.#hosts.of(this.#host)
    for (let at = 0; ; at++) {
      try {
        return await this.#use(at, [])
      } catch (error) {
        if (at + 1 >= this.#addresses.length) throw error
      }
    }
  }

  /** The caller owns the bytes again on return. */
  send(bytes: Uint8Array): void {
    if (this.#kept !== undefined) {
      if (this.#kept.length < MAX_UDP_WAITING && performance.now() - this.#openedMs < KEEP_MS)
        this.#kept.push(bytes.slice())
      else this.#kept = undefined
    }
    this.#socket?.send(bytes, this.#onSent)
  }

  /** Resolves the name again: the service may have moved silently. Never rejects. */
  async follow(): Promise<void> {
    if (isIP(this.#host) !== 0 || this.#host === 'localhost' || this.#moving || this.#closed) return
    this.#moving = true
    try {
      const addresses = await this.#hosts.of(this.#host)
      if (!addresses.includes(this.#addresses[this.#at]!)) await this.#move(addresses)
    } catch (error) {
      this.#events.onUnreachable(error as Error)
    } finally {
      this.#moving = false
    }
  }

  close(): void {
    this.#closed = true
    this.#socket?.close()
    this.#socket = undefined
    this.#kept = undefined
  }

  async #refused(error: Error): Promise<void> {
    if (this.#moving || this.#closed) return
    this.#moving = true
    try {
      this.#refusals += 1
      if (this.#refusals < this.#addresses.length) {
        await this.#use((this.#at + 1) % this.#addresses.length, this.#kept ?? [])
        return
      }
      this.#refusals = 0
      this.#events.onUnreachable(error)
      const now = performance.now()
      if (now - this.#lookedMs < LOOK_AGAIN_MS) return
      this.#lookedMs = now
      this.#hosts.forget(this.#host)
      const addresses = await this.#hosts.of(this.#host)
      if (addresses.includes(this.#addresses[this.#at]!)) {
        const at = (addresses.indexOf(this.#addresses[this.#at]!) + 1) % addresses.length
        this.#addresses = addresses
        if (addresses.length > 1) await this.#use(at, []) // whichever is back first
      } else await this.#move(addresses)
    } catch (failure) {
      this.#events.onUnreachable(failure as Error)
    } finally {
      this.#moving = false
    }
  }

  async #move(addresses: readonly string[]): Promise<void> {
    this.#addresses = addresses
    this.#refusals = 0
    await this.#use(0, this.#kept ?? [])
  }

  async #use(at: number, resend: readonly Uint8Array[]): Promise<void> {
    const socket = await connected(this.#addresses[at]!, this.#port)
    if (this.#closed) return void socket.close()
    this.#socket?.close()
    this.#socket = socket
    this.#at = at
    this.#openedMs = performance.now()
    this.#kept = this.#addresses.length > 1 || isIP(this.#host) === 0 ? [] : undefined
    // A refusal shows at the next read or the next send, whichever comes first.
    const onError = (error: Error | null): void => {
      if (error !== null && socket === this.#socket) void this.#refused(error)
    }
    this.#onSent = onError // one for all datagrams
    socket.on('error', onError)
    socket.on('message', (answer) => {
      if (socket !== this.#socket) return
      this.#refusals = 0
      this.#kept = undefined
      this.#events.onAnswer(answer)
    })
    for (const bytes of resend) this.send(bytes)
  }
}

function connected(address: string, port: number): Promise<Socket> {
  const socket = createSocket({
    type: isIP(address) === 6 ? 'udp6' : 'udp4',
    recvBufferSize: UDP_BUFFER_BYTES,
    sendBufferSize: UDP_BUFFER_BYTES,
  })
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => {
      socket.close()
      reject(error)
    }
    socket.once('error', fail)
    // The callback gets the error of `connect`, though its type says that it gets nothing.
    socket.connect(port, address, ((error?: Error) => {
      if (error !== undefined && error !== null) return fail(error)
      socket.off('error', fail)
      resolve(socket)
    }) as () => void)
  })
}

/** A refusal arrives after a round trip; on this machine or a nearby one that is far less. */
const KEEP_MS = 1_000
/** Minimum interval between look-ups of a name because its addresses refuse. */
const LOOK_AGAIN_MS = 1_000
