/**
 * Port 1001: messages and files of peers, kept in the inbox (services.md §6, today.md 2.6). `proto/messages/receiver.ts`
 * knows what to do with the bytes; here are the streams, and what it asks of the disk.
 */
import { DATA_PORT } from '../base/overlay-ports.ts'
import type { Logger } from '../base/logger.ts'
import { type Arriving, type Outcome, receive, type ReceiverAsk, type ReceiverEnd } from '../proto/messages/receiver.ts'
import type { Incoming, Listener, Overlay, OverlayStream } from '../runtime/overlay.ts'
import type { Draft } from './messages/draft.ts'
import type { Inbox, Sender } from './messages/inbox.ts'
import type { Claim } from './messages/transfers.ts'
import { Shares } from './shares.ts'

/**
 * @param admits whether this peer may send us something. Guests never may, since they were admitted for one service; who
 *   answers us always may (quirk Q28).
 */
export async function serveDataExchange(
  node: Pick<Overlay, 'listen' | 'trustOf' | 'keyOf'>,
  inbox: Inbox,
  log: Logger,
  admits: (incoming: Incoming) => Promise<boolean>,
): Promise<Listener> {
  const shares = new Shares(MAX_DATA_STREAMS, MAX_DATA_STREAMS_PER_PEER)
  const take = async (incoming: Incoming): Promise<void> => {
    const isGuest = (await node.trustOf(incoming.peer))?.guest === true
    const isAdmitted = !isGuest && (incoming.isReply === true || (await admits(incoming)))
    if (!isAdmitted || !shares.take(incoming.peer)) return incoming.refuse()
    const from = { node: incoming.peer, name: incoming.peerName, key: node.keyOf(incoming.peer) }
    try {
      const end = await new Reception(incoming.accept(), inbox, from).run()
      if (end !== 'ended') log.debug({ nodeId: incoming.peer, why: end }, 'a data exchange was ended')
    } finally {
      shares.release(incoming.peer)
    }
  }
  return await node.listen(DATA_PORT, (incoming) => {
    take(incoming).catch((error: unknown) =>
      log.debug({ nodeId: incoming.peer, reason: String(error) }, 'a data exchange ended early'),
    )
  })
}

/** One connection. */
class Reception {
  readonly #stream: OverlayStream
  readonly #inbox: Inbox
  readonly #from: Sender
  readonly #chunks: AsyncIterator<Uint8Array>
  #arriving: Arriving | undefined
  #draft: Draft | undefined
  #claim: Claim | undefined

  constructor(stream: OverlayStream, inbox: Inbox, from: Sender) {
    this.#stream = stream
    this.#inbox = inbox
    this.#from = from
    stream.on('error', () => {}) // the reads report it; later ones concern no one
    this.#chunks = (stream as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]()
  }

  async run(): Promise<ReceiverEnd> {
    const machine = receive()
    try {
      for (let step = machine.next(); ;) {
        if (step.done === true) return step.value
        step = machine.next(await this.#perform(step.value))
      }
    } finally {
      await this.#draft?.discard()
      if (this.#claim !== undefined) await this.#inbox.release(this.#claim)
      this.#stream.end()
      this.#stream.destroySoon()
    }
  }

  async #perform(ask: ReceiverAsk): Promise<Outcome> {
    switch (ask.do) {
      case 'more':
        return await this.#more()
      case 'write':
        return await this.#write(ask.bytes)
      case 'clock':
        return { ns: BigInt(Math.round((performance.timeOrigin + performance.now()) * 1e3)) * 1_000n }
      case 'discard':
        await this.#draft?.discard()
        this.#draft = undefined
        return {}
      case 'release':
        if (this.#claim !== undefined) await this.#inbox.release(this.#claim)
        this.#claim = undefined
        return {}
      default:
        try {
          return await this.#store(ask)
        } catch (error) {
          return { refusal: refusalOf(error) }
        }
    }
  }

  async #store(
    ask: Extract<ReceiverAsk, { do: 'begin' | 'append' | 'commit' | 'claim' | 'put' | 'finish' }>,
  ): Promise<Outcome> {
    const [inbox, from] = [this.#inbox, this.#from]
    switch (ask.do) {
      case 'begin': {
        const draft = await inbox.begin(from, ask.arriving)
        if (draft === 'duplicate') return { duplicate: true }
        if ('refusal' in draft) return draft
        this.#arriving = ask.arriving
        this.#draft = draft
        return {}
      }
      case 'append':
        await this.#draft!.append(ask.bytes)
        return {}
      case 'commit': {
        const draft = this.#draft!
        await inbox.commit(from, this.#arriving!, draft)
        this.#draft = undefined
        return {}
      }
      case 'claim': {
        const claim = await inbox.claim(from, ask.init)
        if (claim === 'duplicate') return { duplicate: true }
        if ('refusal' in claim) return claim
        this.#claim = claim
        return { offset: claim.offset }
      }
      case 'put':
        return refused(await inbox.put(this.#claim!, ask.bytes))
      case 'finish': {
        const kept = await inbox.finish(from, this.#claim!)
        return refused(typeof kept === 'string' ? kept : undefined)
      }
    }
  }

  async #more(): Promise<Outcome> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<IteratorReturnResult<undefined>>((resolve) => {
      timer = setTimeout(() => resolve({ done: true, value: undefined }), IDLE_MS).unref() // the socket keeps us alive
    })
    const next = this.#chunks.next()
    next.catch(() => {}) // if it is late
    const { done, value } = await Promise.race([next, late])
    clearTimeout(timer)
    return done === true ? {} : { bytes: value }
  }

  /** An answer that no one reads holds up only this connection, and not forever. */
  async #write(bytes: Uint8Array): Promise<Outcome> {
    if (!this.#stream.write(bytes)) {
      const timer = setTimeout(() => this.#stream.destroy(), IDLE_MS).unref()
      await new Promise<void>((resolve) => {
        this.#stream.once('drain', resolve).once('close', resolve)
      })
      clearTimeout(timer)
    }
    return {}
  }
}

function refused(refusal: string | undefined): Outcome {
  return refusal === undefined ? {} : { refusal }
}

/** Of an error of the file system, its code alone: the message has one of our paths. */
function refusalOf(error: unknown): string {
  const { code } = error as NodeJS.ErrnoException
  return code === 'ENOSPC' || code === 'EDQUOT' ? 'the disk is full' : (code ?? 'it could not be kept')
}

/** Further ones are refused. */
const MAX_DATA_STREAMS = 64
const MAX_DATA_STREAMS_PER_PEER = 8
/** Without a byte, or with an answer that is not read. As in the reference. */
const IDLE_MS = 120_000
