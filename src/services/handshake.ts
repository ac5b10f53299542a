/**
 * The trust handshake directly between two nodes: one JSON message on a stream to port 444 (trust.md §3). The core
 * handles the relayed form through the registry; this one reaches peers whose tunnel is up, and is the only way to
 * notify a peer that trust has ended.
 */
import { toBase64, utf8 } from '../base/bytes.ts'
import { SourceBuckets } from '../base/source-buckets.ts'
import { asPilotError } from '../base/errors.ts'
import type { NodeId } from '../base/types.ts'
import { HANDSHAKE_PORT } from '../proto/node/constants.ts'
import type { Logger } from '../base/logger.ts'
import type { TrustCourier } from '../runtime/node/trust-courier.ts'
import type { OverlayNode } from '../runtime/node/node.ts'
import type { Incoming } from '../runtime/overlay.ts'
import type { HandshakeType } from '../wire/handshake-message.ts'
import {
  MAX_RECEIVED_HANDSHAKE_BYTES,
  formatHandshakeMessage,
  handshakeChallenge,
  parseHandshakeMessage,
} from '../wire/handshake-message.ts'

/**
 * Accepts messages on port 444 for as long as the node lives, and sends those that the node wants delivered directly.
 */
export async function serveHandshakes(node: OverlayNode, log: Logger): Promise<void> {
  const budgets = new SourceBuckets<NodeId>(MESSAGES_PER_SECOND, MESSAGES_AT_ONCE)
  await node.listen(HANDSHAKE_PORT, (incoming) => {
    if (!budgets.take(performance.now(), incoming.peer)) return incoming.refuse()
    takeMessage(node, incoming, log).catch((error: unknown) =>
      log.debug(
        { nodeId: incoming.peer, reason: String(error) },
        'a handshake message was not read, or its outcome not saved',
      ),
    )
  })
  node.courier = new DirectHandshakes(node, log)
}

class DirectHandshakes implements TrustCourier {
  readonly #node: OverlayNode
  readonly #log: Logger
  readonly #accepting = new Set<NodeId>()

  constructor(node: OverlayNode, log: Logger) {
    this.#node = node
    this.#log = log
  }

  /**
   * Delivers our request to a public peer immediately. Any other peer gets it through the registry, which has it too.
   */
  async ask(peer: string, justification: string): Promise<void> {
    try {
      const node = await this.#node.resolve(peer)
      if (await this.#node.isTrusted(node)) return
      await this.#send(node, 'handshake_request', { justification })
    } catch {
      /* we may not know a private node's name yet */
    }
  }

  /**
   * Notifies the peer that we trust it. A Go peer would ask the registry only at its next heartbeat, after up to 30 s.
   */
  async accept(node: NodeId): Promise<void> {
    if (this.#accepting.has(node)) return
    this.#accepting.add(node)
    await this.#send(node, 'handshake_accept', {})
    this.#accepting.delete(node)
  }

  /** Must be sent while the tunnel is up: after the revocation neither side can open the other's frames. */
  async revoke(node: NodeId): Promise<void> {
    await this.#send(node, 'handshake_revoke', { reason: 'trust revoked' })
  }

  async #send(to: NodeId, type: HandshakeType, text: { justification?: string; reason?: string }): Promise<void> {
    const fault = await sendHandshake(this.#node, to, type, text)
    if (fault !== undefined)
      this.#log.debug({ nodeId: to, type, reason: fault }, 'a handshake message could not be sent')
  }
}

/** Sends one message, best effort. @returns why it was not sent, or undefined. */
async function sendHandshake(
  node: OverlayNode,
  to: NodeId,
  type: HandshakeType,
  text: { justification?: string; reason?: string },
): Promise<string | undefined> {
  const { identity, nodeId } = node
  const message = formatHandshakeMessage({
    type,
    nodeId,
    publicKey: identity.publicKeyBase64,
    justification: text.justification ?? '',
    signature: toBase64(identity.sign(utf8(handshakeChallenge(nodeId, to)))),
    reason: text.reason ?? '',
    timestamp: Math.floor(Date.now() / 1_000),
  })
  try {
    const stream = await node.dial(`${to}:${HANDSHAKE_PORT}`, AbortSignal.timeout(SEND_MS))
    stream.on('error', () => {})
    stream.resume()
    stream.end(message) // one write, one segment: a Go peer does not read a second one
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, LINGER_MS) // as long as a Go sender waits before it closes
      stream.once('close', () => {
        clearTimeout(timer)
        resolve()
      })
    })
    stream.destroy()
    return undefined
  } catch (error) {
    return asPilotError(error).message
  }
}

async function takeMessage(node: OverlayNode, incoming: Incoming, log: Logger): Promise<void> {
  const stream = incoming.accept()
  const timer = setTimeout(() => stream.destroy(), RECEIVE_MS)
  const parts: Uint8Array[] = []
  let bytes = 0
  try {
    for await (const chunk of stream as AsyncIterable<Uint8Array>) {
      parts.push(chunk)
      bytes += chunk.length
      if (bytes > MAX_RECEIVED_HANDSHAKE_BYTES) break
      const message = parseHandshakeMessage(Buffer.concat(parts))
      if (typeof message === 'string') continue // incomplete or malformed: the timer decides
      const age = Date.now() / 1_000 - message.timestamp
      const fault =
        age > MAX_AGE_S || age < -MAX_FUTURE_S ? 'wrong_time' : await node.handleHandshake(incoming.peer, message)
      if (fault !== undefined)
        log.warn({ nodeId: incoming.peer, type: message.type, why: fault }, 'a handshake message was ignored')
      return
    }
    log.warn({ nodeId: incoming.peer, bytes }, 'a handshake message could not be parsed')
  } finally {
    clearTimeout(timer)
    stream.end()
    stream.destroySoon()
  }
}

/**
 * Messages of one peer. Each may make us write to disk, ask the registry, dial and log a line; a node repeats its request after a
 * second at the earliest.
 */
const MESSAGES_PER_SECOND = 1
const MESSAGES_AT_ONCE = 10
const SEND_MS = 2_000
const LINGER_MS = 500
const RECEIVE_MS = 10_000
const MAX_AGE_S = 300
const MAX_FUTURE_S = 30
