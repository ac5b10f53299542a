/**
 * The WebSocket to the rendezvous for networks that drop UDP (today.md U10): opens it while it is wanted, proves our id,
 * keeps it alive, and opens it again. Datagrams of the beacon go in and out. The package `ws` is loaded when the first
 * one is wanted.
 */
import { connect as connectTls } from 'node:tls'
import { isIP } from 'node:net'
import type { Socket } from 'node:net'
import type { RawData, WebSocket as WebSocketType } from 'ws'
import { utf8 } from '../../base/bytes.ts'
import type { Logger } from '../../base/logger.ts'
import type { NodeId } from '../../base/types.ts'
import { formatEndpoint } from '../../base/types.ts'
import type { Identity } from '../../crypto/identity.ts'
import {
  COMPAT_PROTOCOL,
  MAX_COMPAT_BYTES,
  compatAuthText,
  encodeAuthReply,
  isAuthOk,
  isOwnServer,
  parseAuthChallenge,
} from '../../wire/compat-auth.ts'
import type { WssTarget } from './endpoints.ts'
import { openTcp, proxyFor, type ProxySettings } from './proxy.ts'
import { Rotation, describePlace, type AddressesOf, type Place } from './rotation.ts'

export interface CompatOptions {
  readonly targets: readonly WssTarget[]
  /** SHA-256 of a certificate, lower-case hex, that is accepted, signed by a known authority or not. */
  readonly fingerprint: string | undefined
  readonly proxy: ProxySettings | undefined
  readonly addressesOf: AddressesOf<WssTarget>
  readonly identity: Identity
  readonly log: Logger
}

export interface CompatEvents {
  /** 0: none yet. */
  nodeId(): NodeId
  onUp(isOurs: boolean): void
  /** @param fault undefined: it was no longer wanted. */
  onDown(fault: string | undefined): void
  onRoom(hasRoom: boolean): void
  onDatagram(bytes: Uint8Array): void
}

export class CompatLink {
  readonly #options: CompatOptions
  readonly #events: CompatEvents
  readonly #rotation: Rotation<WssTarget>
  #isWanted = false
  #isStopped = false
  #attempt: Attempt | undefined
  #retry: NodeJS.Timeout | undefined
  #failures = 0
  #place: Place<WssTarget> | undefined
  #hasRoom = true
  #draining: NodeJS.Timeout | undefined
  #upAt = 0
  /** Datagrams dropped because the connection was full or not there. */
  dropped = 0

  constructor(options: CompatOptions, events: CompatEvents) {
    this.#options = options
    this.#events = events
    this.#rotation = new Rotation(options.targets, options.addressesOf)
  }

  /** Where it leads, and through which proxy; undefined while it is not open. */
  get description(): { readonly address: string; readonly proxy: string | null } | undefined {
    const { proxy } = this.#options
    if (this.#attempt?.isProven !== true || this.#place === undefined) return undefined
    const { target } = this.#place
    const shown = proxyFor(proxy, target.address, target.port)?.shown ?? null
    return { address: `wss://${describePlace(this.#place)}`, proxy: shown }
  }

  /** Cheap to repeat. @returns whether it is wanted from now on. */
  hold(isWanted: boolean): boolean {
    const isOther = this.#attempt?.isProven === true && this.#attempt.node !== this.#events.nodeId()
    if (isWanted && isOther) this.#attempt!.fail('our node id has changed')
    const isNews = isWanted !== this.#isWanted
    this.#isWanted = isWanted
    if (isWanted && this.#attempt === undefined && this.#retry === undefined) this.#open()
    else if (!isWanted && isNews) {
      clearTimeout(this.#retry)
      this.#retry = undefined
      this.#failures = 0
      if (this.#attempt !== undefined) this.#attempt.end()
      else this.#events.onDown(undefined)
    }
    return isWanted && isNews
  }

  /** Our network has changed: is it still there? */
  check(): void {
    this.#attempt?.check(CHECK_MS)
    if (this.#retry === undefined || !this.#isWanted) return
    clearTimeout(this.#retry)
    this.#retry = undefined
    this.#failures = 0
    this.#open()
  }

  /** Copies the bytes. */
  send(bytes: Uint8Array): void {
    const attempt = this.#attempt
    const waiting = attempt?.bufferedBytes ?? 0
    if (attempt?.isProven !== true || waiting + bytes.length > MAX_UNSENT_BYTES) {
      this.dropped += 1
      return
    }
    attempt.send(bytes.slice())
    if (waiting < HIGH_BYTES || !this.#hasRoom) return
    this.#hasRoom = false
    this.#events.onRoom(false)
    this.#draining = setInterval(() => this.#look(), LOOK_MS)
  }

  stop(): void {
    this.#isStopped = true
    this.#isWanted = false
    clearTimeout(this.#retry)
    clearInterval(this.#draining)
    this.#attempt?.fail('stopped')
  }

  /** A callback for each datagram would cost more than to look now and then. */
  #look(): void {
    if ((this.#attempt?.bufferedBytes ?? 0) > LOW_BYTES) return
    clearInterval(this.#draining)
    this.#hasRoom = true
    this.#events.onRoom(true)
  }

  #open(): void {
    const node = this.#events.nodeId()
    if (node === 0 || this.#isStopped) return // nothing to prove: `hold` is called again
    const attempt: Attempt = new Attempt(node, this.#options, {
      onUp: (isOurs) => {
        this.#upAt = performance.now()
        this.#options.log.debug({ ...this.description }, 'connected to the rendezvous without UDP')
        this.#events.onUp(isOurs)
      },
      onDatagram: (bytes) => this.#events.onDatagram(bytes),
      onClose: (fault) => this.#onClose(attempt, fault),
    })
    this.#attempt = attempt
    this.#rotation.current().then(
      (place) => {
        this.#place = place
        attempt.open(place)
      },
      (error: Error) => attempt.fail(error.message),
    )
  }

  #onClose(attempt: Attempt, fault: string): void {
    if (this.#attempt !== attempt) return
    this.#attempt = undefined
    clearInterval(this.#draining)
    this.#hasRoom = true
    if (this.#isStopped) return
    if (!this.#isWanted) return this.#events.onDown(undefined)
    if (attempt.isDisplaced) this.#failures = DISPLACED_FAILURES
    else if (attempt.wasProven && performance.now() - this.#upAt >= LASTING_MS) this.#failures = 0
    const isMore = !attempt.wasProven && this.#rotation.fail() && !this.#rotation.isRoundOver
    const pause = isMore ? 0 : Math.min(FIRST_PAUSE_MS * 2 ** this.#failures, MAX_PAUSE_MS)
    if (!isMore) this.#failures += 1
    if (this.#failures === 1)
      this.#options.log.debug(
        { rendezvous: this.#options.targets.map(formatEndpoint), reason: fault },
        'no way without UDP',
      )
    this.#retry = setTimeout(() => {
      this.#retry = undefined
      if (this.#isWanted) this.#open()
    }, pause)
    this.#events.onDown(fault)
  }
}

interface AttemptEvents {
  onUp(isOurs: boolean): void
  onDatagram(bytes: Uint8Array): void
  onClose(fault: string): void
}

/** One connection, from the first SYN to its end. */
class Attempt {
  readonly node: NodeId
  /** It carries datagrams, */
  isProven = false
  /** or did. */
  wasProven = false
  /** Another connection has our key: perhaps a copy of this node, with which it would take turns forever. */
  isDisplaced = false
  readonly #options: CompatOptions
  readonly #events: AttemptEvents
  #socket: Socket | undefined
  #webSocket: WebSocketType | undefined
  #fault: string | undefined
  #isOver = false
  #impatience: NodeJS.Timeout
  #pinging: NodeJS.Timeout | undefined
  #heardAt = 0

  constructor(node: NodeId, options: CompatOptions, events: AttemptEvents) {
    this.node = node
    this.#options = options
    this.#events = events
    this.#impatience = setTimeout(() => this.fail('no connection in time'), HANDSHAKE_MS)
  }

  get bufferedBytes(): number {
    return this.#webSocket?.bufferedAmount ?? 0
  }

  open({ target, host }: Place<WssTarget>): void {
    const { fingerprint, proxy } = this.#options
    const via = proxyFor(proxy, target.address, target.port)
    const raw = openTcp(via === undefined ? host : target.address, target.port, via, HANDSHAKE_MS, () => {
      const secure = connectTls({
        socket: raw,
        rejectUnauthorized: fingerprint === undefined,
        ...(isIP(target.address) === 0 ? { servername: target.address } : { host: target.address }),
      })
      this.#socket = secure
      secure.on('error', (error) => this.fail(error.message))
      secure.once('close', () => this.#onClosed())
      secure.once('secureConnect', () => {
        const shown = secure.getPeerX509Certificate()?.fingerprint256.replaceAll(':', '').toLowerCase()
        if (fingerprint !== undefined && shown !== fingerprint && !secure.authorized)
          return this.fail(`its certificate is neither trusted nor the pinned one: ${shown ?? 'none'}`)
        void this.#upgrade(secure, target)
      })
    })
    this.#socket = raw
    if (this.#isOver) return void raw.destroy()
    raw.setTimeout(0)
    raw.on('error', (error) => this.fail(error.message))
    raw.once('close', () => this.#onClosed())
  }

  send(bytes: Uint8Array): void {
    this.#webSocket!.send(bytes, BINARY)
  }

  /** Unless something is heard within this time, it is dead. */
  check(withinMs: number): void {
    if (!this.isProven) return
    const askedAt = performance.now()
    this.#webSocket!.ping()
    setTimeout(() => {
      if (this.#heardAt < askedAt) this.fail(`no answer for ${withinMs / 1_000} s`)
    }, withinMs).unref()
  }

  /** No longer wanted: what is on the way in still arrives, for a moment. */
  end(): void {
    if (!this.isProven) return this.fail('no longer wanted')
    this.isProven = false
    clearInterval(this.#pinging)
    this.#webSocket!.close(NORMAL)
    this.#impatience = setTimeout(() => this.fail('no longer wanted'), CLOSE_MS)
  }

  fail(fault: string): void {
    if (this.#isOver) return
    this.#isOver = true
    clearTimeout(this.#impatience)
    clearInterval(this.#pinging)
    this.#webSocket?.terminate()
    this.#socket?.destroy()
    setImmediate(() => this.#events.onClose(this.#fault ?? fault))
  }

  /** A WebSocket says itself why it closes. */
  #onClosed(): void {
    if (this.#webSocket === undefined) this.fail('the connection was closed')
  }

  async #upgrade(socket: Socket, target: WssTarget): Promise<void> {
    const { WebSocket } = await import('ws')
    if (this.#isOver) return
    const webSocket = new WebSocket(`wss://${formatEndpoint(target)}${target.path}`, COMPAT_PROTOCOL, {
      createConnection: () => socket,
      perMessageDeflate: false, // frames are sealed: nothing to compress
      maxPayload: MAX_COMPAT_BYTES,
      followRedirects: false,
    })
    this.#webSocket = webSocket
    webSocket.on('error', (error) => this.fail(error.message))
    webSocket.on('unexpected-response', (_request, { statusCode }) =>
      this.fail(`no WebSocket there: it answers ${statusCode ?? 'nothing'}`),
    )
    webSocket.once('close', (code, reason) => {
      this.isDisplaced = code === DISPLACED
      this.fail(`closed by the rendezvous (${code}) ${reason.toString()}`.trim())
    })
    webSocket.on('message', (data: RawData, isBinary: boolean) => this.#onMessage(data as Buffer, isBinary))
    webSocket.on('pong', () => (this.#heardAt = performance.now()))
    webSocket.on('ping', () => (this.#heardAt = performance.now()))
  }

  #onMessage(data: Buffer, isBinary: boolean): void {
    this.#heardAt = performance.now()
    if (isBinary) {
      if (this.wasProven) this.#events.onDatagram(new Uint8Array(data)) // a copy: it is a view of all that was read with it
      return
    }
    const text = data.toString('utf8')
    const challenge = parseAuthChallenge(text)
    const { identity } = this.#options
    if (challenge !== undefined && this.#webSocket?.readyState === OPEN) {
      const signature = identity.sign(utf8(compatAuthText(this.node, challenge)))
      this.#webSocket.send(encodeAuthReply({ nodeId: this.node, publicKey: identity.publicKey, signature }))
    } else if (isAuthOk(text) && !this.wasProven) this.#onProven(isOwnServer(text))
  }

  #onProven(isOurs: boolean): void {
    clearTimeout(this.#impatience)
    this.isProven = this.wasProven = true
    this.#pinging = setInterval(() => this.check(PONG_MS), PING_MS)
    this.#events.onUp(isOurs)
  }
}

const BINARY = { binary: true }
const OPEN = 1 // WebSocket.readyState
const NORMAL = 1000 // close code, RFC 6455 §7.4.1
const HANDSHAKE_MS = 10_000 // from the first SYN to the proof of our id
const PING_MS = 15_000 // the server closes what was silent for 90 s; a NAT or proxy may sooner
const PONG_MS = 10_000
const CHECK_MS = 3_000 // after a change of our network
const CLOSE_MS = 1_000 // for the answer to a close
const FIRST_PAUSE_MS = 250 // before the next attempt; doubles with each failure
const MAX_PAUSE_MS = 30_000
/** A connection that ends sooner counts as a failure, ms. */
const LASTING_MS = 10_000
const DISPLACED = 4000 // close code of our rendezvous
const DISPLACED_FAILURES = 7 // the longest pause
/** Waiting in the WebSocket: no more datagrams are made above the first, until below the second; */
const HIGH_BYTES = 262_144
const LOW_BYTES = 65_536
const LOOK_MS = 5
/** and what comes nevertheless is dropped and counted above this one. */
const MAX_UNSENT_BYTES = 1_048_576
