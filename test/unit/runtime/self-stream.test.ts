/** A stream from our node to itself behaves like one to a peer: bytes, backpressure, ends, resets, refusals. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { PilotError } from '../../../src/base/errors.ts'
import { dialSelf } from '../../../src/runtime/node/self-stream.ts'
import type { Incoming, OverlayStream } from '../../../src/runtime/overlay.ts'
import { noise } from '../../e2e/servers.ts'

const ENDS = { node: 5, name: 'me', localPort: 50_000, remotePort: 80 }
const NEVER = new AbortController().signal

async function pair(): Promise<{ near: OverlayStream; far: OverlayStream }> {
  let far: OverlayStream | undefined
  const near = await dialSelf(ENDS, (incoming) => (far = incoming.accept()), NEVER)
  return { near, far: far! }
}

async function all(stream: OverlayStream): Promise<Buffer> {
  const parts: Buffer[] = []
  stream.on('data', (part: Buffer) => parts.push(part))
  await once(stream, 'end')
  return Buffer.concat(parts)
}

const isRefused = (error: unknown): boolean => error instanceof PilotError && error.code === 'CONNECTION_REFUSED'

test('bytes pass both ways, each direction ends on its own, and both ends know who and where they are', async () => {
  const { near, far } = await pair()
  assert.deepEqual([near.peer, near.localPort, near.remotePort], [5, 50_000, 80])
  assert.deepEqual([far.peer, far.localPort, far.remotePort], [5, 80, 50_000])
  const sent = noise(500_000)
  near.end(sent)
  assert.ok((await all(far)).equals(Buffer.from(sent)))
  far.end('answer after the end')
  assert.equal(String(await all(near)), 'answer after the end')
  assert.deepEqual([near.bytesWritten, far.bytesRead, near.bytesRead], [500_000, 500_000, 20])
})

test('a reader that pauses stops the writer', async () => {
  const { near, far } = await pair()
  let written = 0
  while (near.write(noise(16_384)) && written < 100) written += 1
  assert.ok(written < 100)
  far.resume()
  await once(near, 'drain')
})

test('a reset of one end reaches the other as an error', async () => {
  const { near, far } = await pair()
  const failed = once(far, 'error')
  near.resetAndDestroy()
  const [error] = (await failed) as [PilotError]
  assert.equal(error.code, 'PEER_RESET')
  near.on('error', () => {})
})

test('destroySoon delivers what was written', async () => {
  const { near, far } = await pair()
  near.write('the last word')
  near.destroySoon()
  assert.equal(String(await all(far)), 'the last word')
  far.end()
  await once(near, 'close')
})

test('without a listener, or if it refuses, or if the dialler gives up first, there is no stream', async () => {
  await assert.rejects(dialSelf(ENDS, undefined, NEVER), isRefused)
  await assert.rejects(
    dialSelf(ENDS, (incoming) => incoming.refuse(), NEVER),
    isRefused,
  )
  const giveUp = new AbortController()
  let offered: Incoming | undefined
  const dialled = dialSelf(ENDS, (incoming) => (offered = incoming), giveUp.signal)
  giveUp.abort()
  await assert.rejects(dialled, isRefused)
  assert.equal(offered?.gone, true)
})
