/** Delivers one parcel: dials the peer's data exchange, and does on the stream what `proto/messages/sender.ts` asks for. */
import type { FileHandle } from 'node:fs/promises'
import { asPilotError } from '../../base/errors.ts'
import { DATA_PORT } from '../../base/overlay-ports.ts'
import { type Parcel, send, type SenderAsk, type SenderOutcome, type Sent } from '../../proto/messages/sender.ts'
import type { Overlay, OverlayStream } from '../../runtime/overlay.ts'

/** 'unreached': the peer could not even be dialled. */
export type Delivery = Sent | { readonly state: 'unreached'; readonly why: string }

/** @param onProgress bytes that the peer has. Never rejects. */
export async function deliver(
  node: Pick<Overlay, 'dial'>,
  peer: string,
  parcel: Parcel,
  content: FileHandle,
  onProgress: (bytes: number) => void,
): Promise<Delivery> {
  const courier = new Courier(node, peer, content, onProgress)
  try {
    await courier.dial()
  } catch (error) {
    return { state: 'unreached', why: asPilotError(error).message }
  }
  return await courier.run(parcel)
}

class Courier {
  readonly #node: Pick<Overlay, 'dial'>
  readonly #peer: string
  readonly #content: FileHandle
  readonly #onProgress: (bytes: number) => void
  #stream!: OverlayStream
  #chunks!: AsyncIterator<Uint8Array>
  #pending: Promise<IteratorResult<Uint8Array>> | undefined // read that was late

  constructor(node: Pick<Overlay, 'dial'>, peer: string, content: FileHandle, onProgress: (bytes: number) => void) {
    this.#node = node
    this.#peer = peer
    this.#content = content
    this.#onProgress = onProgress
  }

  /** @throws PilotError: like `dial`. */
  async dial(): Promise<void> {
    this.#stream = await this.#node.dial(`${this.#peer}:${DATA_PORT}`, AbortSignal.timeout(DIAL_MS))
    this.#stream.on('error', () => {}) // the reads report it
    this.#chunks = (this.#stream as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]()
    this.#pending = undefined
  }

  async run(parcel: Parcel): Promise<Sent> {
    const machine = send(parcel)
    try {
      for (let step = machine.next(); ;) {
        if (step.done === true) return step.value
        step = machine.next(await this.#perform(step.value))
      }
    } catch (error) {
      return { state: 'failed', why: asPilotError(error).message, isFinal: false }
    } finally {
      this.#stream.end()
      this.#stream.destroySoon()
    }
  }

  async #perform(ask: SenderAsk): Promise<SenderOutcome> {
    switch (ask.do) {
      case 'more':
        return await this.#more(ask.waitMs)
      case 'read': {
        const bytes = Buffer.alloc(ask.length)
        const { bytesRead } = await this.#content.read(bytes, 0, ask.length, ask.offset)
        if (bytesRead !== ask.length) throw new Error('the copy in the outbox is shorter than it was')
        return { bytes }
      }
      case 'write':
        await this.#write(ask.bytes)
        return {}
      case 'redial':
        this.#stream.end()
        this.#stream.destroySoon()
        await this.dial()
        return {}
      case 'progress':
        this.#onProgress(ask.offset)
        return {}
    }
  }

  async #more(waitMs: number): Promise<SenderOutcome> {
    const next = (this.#pending ??= this.#chunks.next())
    next.catch(() => {})
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<'late'>((resolve) => {
      timer = setTimeout(() => resolve('late'), waitMs).unref() // the socket keeps us alive
    })
    const result = await Promise.race([next, late])
    clearTimeout(timer)
    if (result === 'late') return { late: true }
    this.#pending = undefined
    return result.done === true ? {} : { bytes: result.value }
  }

  /** Waits while the peer takes no more. @throws Error if the connection ends, or stands still. */
  async #write(bytes: Uint8Array): Promise<void> {
    if (this.#stream.destroyed) throw new Error('the peer ended the connection')
    if (this.#stream.write(bytes)) return
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => this.#stream.destroy(), STALL_MS).unref()
      const done = (): void => {
        clearTimeout(timer)
        this.#stream.off('drain', done).off('close', done)
        if (this.#stream.destroyed) reject(new Error('the peer ended the connection'))
        else resolve()
      }
      this.#stream.on('drain', done).on('close', done)
    })
  }
}

const DIAL_MS = 30_000
/** A peer that takes nothing for this long is tried again later. */
const STALL_MS = 60_000
