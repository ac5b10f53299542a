/** Promises on top of the core's callbacks: one small class for each kind of query. Above: node.ts. */
import { toBase64 } from '../../base/bytes.ts'
import { PilotError, type ErrorCode } from '../../base/errors.ts'
import { formatEndpoint, type NodeId } from '../../base/types.ts'
import type { AboutApp, DialApp, NameAnswer, NameApp, PathView, PeerView, PingApp } from '../../proto/node/views.ts'
import type { StreamView } from '../../proto/stream/stream-view.ts'
import { NEWS_OPEN } from '../../proto/stream/stream-view.ts'
import type { LookupReply } from '../../wire/registry-messages.ts'
import type { AboutNode, Pong } from '../overlay.ts'
import { NodeStream, streamError, type StreamVerbs } from './stream.ts'

export interface Settle<T> {
  resolve(value: T): void
  reject(error: Error): void
}

/** For the stream of a dial. */
export class StreamWaiter implements DialApp {
  readonly #peer: string
  readonly #port: number
  readonly #verbs: StreamVerbs
  readonly #settle: Settle<NodeStream>

  constructor(peer: string, port: number, verbs: StreamVerbs, settle: Settle<NodeStream>) {
    this.#peer = peer
    this.#port = port
    this.#verbs = verbs
    this.#settle = settle
  }

  onNews(stream: StreamView, news: number): void {
    if ((news & NEWS_OPEN) !== 0) {
      const overlay = new NodeStream(stream, this.#verbs, this.#peer)
      this.#settle.resolve(overlay)
      if ((news & ~NEWS_OPEN) !== 0) overlay.onNews(stream, news & ~NEWS_OPEN)
    } else if (stream.end !== undefined) this.#settle.reject(streamError(stream.end, this.#peer, this.#port))
  }

  onConnected(): void {}

  onFailed(code: ErrorCode, text: string): void {
    const [peer, port] = [this.#peer, this.#port]
    this.#settle.reject(new PilotError(code, `${peer}:${port}: ${text}`, { peer, port }))
  }
}

/** For the tunnel to a peer. */
export class TunnelWaiter implements DialApp {
  readonly #peer: string
  readonly #settle: Settle<NodeId>

  constructor(peer: string, settle: Settle<NodeId>) {
    this.#peer = peer
    this.#settle = settle
  }

  onNews(): void {}

  onConnected(peer: PeerView): void {
    this.#settle.resolve(peer.node)
  }

  onFailed(code: ErrorCode, text: string): void {
    this.#settle.reject(new PilotError(code, `${this.#peer}: ${text}`, { peer: this.#peer, port: 0 })) // port 0, as in the JSON of errors
  }
}

export class PongWaiter implements PingApp {
  readonly #settle: Settle<Pong>

  constructor(settle: Settle<Pong>) {
    this.#settle = settle
  }

  onPong({ node }: PeerView, { kind, endpoint }: PathView, rttMs: number): void {
    this.#settle.resolve({ node, rttMs, path: kind, endpoint: formatEndpoint(endpoint) })
  }
}

export class NameWaiter implements NameApp {
  readonly #settle: Settle<NodeId>

  constructor(settle: Settle<NodeId>) {
    this.#settle = settle
  }

  onName({ node, code, text }: NameAnswer): void {
    if (node !== undefined) this.#settle.resolve(node)
    else this.#settle.reject(new PilotError(code ?? 'NOT_FOUND', text))
  }
}

export class AboutWaiter implements AboutApp {
  readonly #settle: Settle<AboutNode>

  constructor(settle: Settle<AboutNode>) {
    this.#settle = settle
  }

  onAbout(about: LookupReply | undefined, isReachable: boolean): void {
    if (about !== undefined) {
      const { publicKey, networks, tags } = about
      this.#settle.resolve({ publicKey: toBase64(publicKey), networks, tags })
    } else if (isReachable) this.#settle.reject(new PilotError('NOT_FOUND', 'the registry does not know this node'))
    else this.#settle.reject(new PilotError('REGISTRY_UNREACHABLE', 'the registry does not answer'))
  }
}
