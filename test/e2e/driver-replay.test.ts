/**
 * ipc-today.json: the conversation with a real daemon of release 1.18, message by message, with our driver socket in its
 * place. Every answer is the same, but for ids of streams and the order of fields.
 */
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { fromBase64, fromUtf8, readU32, toHex, utf8, writeU32 } from '../../src/base/bytes.ts'
import { verifySignature } from '../../src/crypto/identity.ts'
import { DriverSocket } from '../../src/runtime/driver-socket/server.ts'
import { silentLogger } from '../../src/runtime/log.ts'
import { OverlayNode } from '../../src/runtime/node/node.ts'
import { startRendezvous } from '../../src/server/rendezvous.ts'
import { serveEcho } from '../../src/services/echo.ts'
import { IpcFrameReader, encodeIpcFrame } from '../../src/wire/ipc-messages.ts'
import { parseEnvelope } from '../../src/wire/request-envelope.ts'
import { hex, loadVectors } from '../vectors/load.ts'
import { eventually, pause, Stage } from './harness.ts'

const { conversation, envelope } = loadVectors<{
  readonly conversation: readonly {
    readonly name: string
    readonly request: string
    readonly replies: readonly string[]
  }[]
  readonly envelope: {
    readonly public_key: string
    readonly body: string
    readonly envelope: string
    readonly signature: string
  }
}>('ipc-today')

let stage: Stage
let socket: Socket
const heard: Uint8Array[] = []

before(async () => {
  stage = await Stage.open()
  const rendezvous = await startRendezvous({ registry: '127.0.0.1:0', beacon: '127.0.0.1:0', log: silentLogger })
  stage.defer(async () => rendezvous.stop())
  const path = stage.path('pilot.sock')
  for (const hostname of ['go-a', 'go-b']) {
    const identityFile = stage.path(hostname, 'identity.json')
    const options = {
      ...rendezvous,
      listen: '127.0.0.1:0',
      hostname,
      public: true,
      identityFile,
      trust: [],
      pinned: {},
    }
    const node = await OverlayNode.start(options, silentLogger, () => {})
    stage.defer(async () => node.stop())
    await node.whenRegistered(15_000) // in this order, so that the ids are those of the recording
    await serveEcho(node)
    if (hostname !== 'go-a') continue
    const drivers = await DriverSocket.open(node, { at: path, version: '0' }, silentLogger)
    stage.defer(async () => drivers.close())
  }
  socket = connect({ path })
  await once(socket, 'connect')
  const reader = new IpcFrameReader()
  socket.on('data', (chunk: Uint8Array) => heard.push(...(reader.push(chunk) as readonly Uint8Array[])))
  stage.defer(async () => socket.destroy())
})
after(async () => stage.close())

test(`${conversation.length} requests have the answers that were recorded`, async () => {
  const ids = new Map<number, number>() // of streams: recorded, ours
  for (const { name, request, replies } of conversation) {
    const from = heard.length
    socket.write(encodeIpcFrame(translated(hex(request), ids)))
    if (replies.length === 0) await pause(50) // to show that nothing comes
    else
      await eventually(`${replies.length} answers: ${name}`, () => heard.length - from >= replies.length || undefined)
    const ours = heard.slice(from)
    if (replies[0]?.startsWith(DIAL_OK)) ids.set(readU32(hex(replies[0]), 1), readU32(ours[0]!, 1))
    assert.deepEqual(
      ours.map(comparable),
      replies.map((reply) => comparable(translated(hex(reply), ids))),
      name,
    )
  }
})

test('an envelope that a daemon signed is read, and its signature holds', () => {
  const parsed = parseEnvelope(envelope.envelope)
  assert.ok(typeof parsed === 'object', String(parsed))
  assert.equal(parsed.bodyHash, createHash('sha256').update(envelope.body).digest('hex'))
  const [key, signature] = [fromBase64(envelope.public_key)!, fromBase64(envelope.signature)!]
  assert.ok(verifySignature(key, utf8(envelope.envelope), signature))
  assert.ok(!verifySignature(key, utf8(`${envelope.envelope}x`), signature))
})

/** With our id of the stream in the place of the recorded one. */
function translated(message: Uint8Array, ids: ReadonlyMap<number, number>): Uint8Array {
  const copy = message.slice()
  if (!WITH_STREAM.has(copy[0] ?? -1) || copy.length < 5) return copy
  writeU32(copy, 1, ids.get(readU32(copy, 1)) ?? readU32(copy, 1))
  return copy
}

/** JSON by its values; everything else by its bytes. */
function comparable(message: Uint8Array): unknown {
  const text = fromUtf8(message.subarray(1))
  return text.startsWith('{') ? [message[0], JSON.parse(text)] : toHex(message)
}

const DIAL_OK = '04'
/** DialOK, Send, Recv, Close, CloseOK. */
const WITH_STREAM: ReadonlySet<number> = new Set([0x04, 0x06, 0x07, 0x08, 0x09])
