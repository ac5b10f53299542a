/** Port 1001: messages and files of trusted peers, and of those that we have just sent some, kept in the inbox, each answered with an ACK frame (services.md §6). */
import { utf8 } from '../base/bytes.ts'
import { DATA_PORT } from '../base/overlay-ports.ts'
import type { NodeId } from '../base/types.ts'
import type { Logger } from '../base/logger.ts'
import type { Incoming, Listener, Overlay, OverlayStream } from '../runtime/overlay.ts'
import type { DataFrame } from '../wire/data-frame.ts'
import { dataFrameBytes, decodeDataFrame, encodeDataFrame } from '../wire/data-frame.ts'
import type { Inbox, Sender } from './inbox.ts'
import { Shares } from './shares.ts'

export interface Received {
  readonly node: NodeId
  readonly peerName: string
  readonly type: string
  readonly bytes: number
  readonly path: string
}

/**
 * @param onReceived is called with what was kept. The port is closed to guests, which were admitted for one service,
 *   and to peers that are not trusted, unless they answer (quirk Q28).
 */
export async function serveDataExchange(
  node: Pick<Overlay, 'listen' | 'trustOf'>,
  inbox: Inbox,
  log: Logger,
  onReceived: (received: Received) => void,
): Promise<Listener> {
  const shares = new Shares(MAX_DATA_STREAMS, MAX_DATA_STREAMS_PER_PEER)
  const take = async (incoming: Incoming): Promise<void> => {
    const standing = await node.trustOf(incoming.peer)
    const isAdmitted = standing === undefined ? incoming.isReply === true : standing.guest !== true
    if (!isAdmitted || !shares.take(incoming.peer)) return incoming.refuse()
    try {
      await takeFrames(incoming, inbox, onReceived)
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

async function takeFrames(incoming: Incoming, inbox: Inbox, onReceived: (received: Received) => void): Promise<void> {
  const { peer, peerName } = incoming
  const stream = incoming.accept()
  const reader = new FrameReader()
  try {
    for await (const chunk of stream as AsyncIterable<Uint8Array>) {
      reader.push(chunk)
      for (let frame = reader.take(); frame !== undefined; frame = reader.take()) {
        if (frame === 'too_long') return void stream.destroy()
        await answer(stream, frame, async () => {
          const path = await keep(inbox, { node: peer, name: peerName }, frame)
          if (path !== undefined)
            onReceived({ node: peer, peerName, type: frame.type.toLowerCase(), bytes: frame.content.length, path })
        })
      }
    }
  } finally {
    stream.end()
    stream.destroySoon()
  }
}

async function answer(stream: OverlayStream, frame: DataFrame, work: () => Promise<void>): Promise<void> {
  let text = `ACK ${frame.type} ${frame.content.length} bytes`
  try {
    await work()
  } catch (error) {
    text = `ERR ${frame.type} save failed: ${(error as Error).message.split(',')[0]}` // not one of our paths
  }
  stream.write(encodeDataFrame('TEXT', utf8(text)))
}

/** As in the reference: unknown types and files without a name are acknowledged but not kept. */
async function keep(inbox: Inbox, from: Sender, { type, name, content }: DataFrame): Promise<string | undefined> {
  if (type === 'FILE') return name === '' ? undefined : await inbox.saveFile(name, from, content, new Date())
  if (type === 'TEXT' || type === 'JSON' || type === 'BINARY')
    return await inbox.saveMessage(type, from, content, new Date())
  return undefined
}

/** Collects chunks until a frame is complete; a frame of many chunks is joined once, not once per chunk. */
class FrameReader {
  #chunks: Uint8Array[] = []
  #bytes = 0
  #wanted = 1

  push(chunk: Uint8Array): void {
    this.#chunks.push(chunk)
    this.#bytes += chunk.length
  }

  take(): DataFrame | 'too_long' | undefined {
    if (this.#bytes < this.#wanted) return undefined
    const joined = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks)
    const frame = decodeDataFrame(joined)
    if (frame === 'incomplete') {
      this.#chunks = [joined]
      this.#wanted = dataFrameBytes(joined)
      return undefined
    }
    if (frame === 'too_long') return frame
    this.#chunks = frame.frameBytes < joined.length ? [joined.subarray(frame.frameBytes)] : []
    this.#bytes = joined.length - frame.frameBytes
    this.#wanted = 1
    return frame
  }
}

/** Each may hold a frame of 16 MiB in memory. Further ones are refused. */
const MAX_DATA_STREAMS = 8
const MAX_DATA_STREAMS_PER_PEER = 4
