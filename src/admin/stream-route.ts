/**
 * A stream to a peer for a program on this machine: `GET /v1/stream?to=PEER:PORT` with `Upgrade: pilot-stream`. After 101 the
 * connection carries the bytes of the stream; each direction ends on its own, and a reset is a reset.
 */
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { asPilotError, PilotError } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { OverlayStream } from '../runtime/overlay.ts'
import { failure } from './routes.ts'
import { encodePartHead, STREAM_PROTOCOL } from './stream-protocol.ts'

/** Never rejects. */
export async function carry(
  request: IncomingMessage,
  socket: Socket,
  dial: (target: string, signal: AbortSignal) => Promise<OverlayStream>,
  log: Logger,
): Promise<void> {
  socket.on('error', () => {}) // 'close' follows
  const giveUp = new AbortController()
  const abort = (): void => giveUp.abort()
  socket.once('close', abort)
  try {
    const stream = await dial(targetOf(request), giveUp.signal)
    socket.off('close', abort)
    if (socket.destroyed) return void stream.resetAndDestroy()
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${STREAM_PROTOCOL}\r\n\r\n`)
    join(socket, stream, log)
  } catch (error) {
    const { status, body } = failure(asPilotError(error))
    const text = JSON.stringify(body)
    const head = [
      `HTTP/1.1 ${status} Failed`,
      'Content-Type: application/json',
      `Content-Length: ${Buffer.byteLength(text)}`,
      'Connection: close',
    ]
    socket.end(`${head.join('\r\n')}\r\n\r\n${text}`)
  }
}

/** Each direction waits for its reader. */
function join(socket: Socket, stream: OverlayStream, log: Logger): void {
  let failure: Error | undefined
  stream.on('error', (error) => {
    failure = error
  })
  stream.on('data', (part: Uint8Array) => {
    socket.write(encodePartHead('data', part.length))
    if (!socket.write(part)) stream.pause()
  })
  socket.on('drain', () => stream.resume())
  stream.once('end', () => socket.write(encodePartHead('end', 0)))
  stream.once('close', () => {
    if (failure !== undefined || !stream.readableEnded) {
      const reason = Buffer.from(failure?.message ?? 'the stream was reset')
      log.debug({ peer: stream.peerName, reason: reason.toString() }, 'a stream of a program broke')
      socket.write(Buffer.concat([encodePartHead('reset', reason.length), reason]))
    }
    socket.end()
  })
  socket.on('data', (part: Buffer) => {
    if (stream.writable && !stream.write(part)) socket.pause()
  })
  stream.on('drain', () => socket.resume())
  socket.once('end', () => stream.end())
  socket.once('close', () => {
    if (!stream.destroyed && !(stream.readableEnded && stream.writableFinished)) stream.resetAndDestroy()
  })
  socket.resume()
}

/** @throws PilotError USAGE. */
function targetOf({ url = '', headers }: IncomingMessage): string {
  const { pathname, searchParams } = new URL(url, 'http://admin')
  const target = searchParams.get('to')
  if (pathname === '/v1/stream' && headers.upgrade === STREAM_PROTOCOL && target !== null) return target
  throw new PilotError('USAGE', `expected GET /v1/stream?to=PEER:PORT with "Upgrade: ${STREAM_PROTOCOL}"`)
}
