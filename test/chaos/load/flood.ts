/**
 * A hostile stranger.   node --import tsx flood.ts garbage|discover|silent|replay MILLISECONDS HOST:PORT...
 * `replay` first captures what arrives at that address, in a namespace that has it, and then sends it there from another.
 */
import { createSocket } from 'node:dgram'
import type { Socket } from 'node:dgram'
import { randomBytes, randomInt } from 'node:crypto'
import { connect } from 'node:net'
import { parseEndpoint } from '../../../src/base/types.ts'
import type { Endpoint } from '../../../src/base/types.ts'
import { encodeDiscover, encodePunchRequest } from '../../../src/wire/beacon-messages.ts'

const BATCH = 50
const CAPTURE_MS = 3_000
/** Until the driver has moved the addresses. */
const SETTLE_MS = 3_000
const SILENT_CLIENTS = 1_500
const REPLAY_LIMIT = 30_000

const [kind, milliseconds, ...addresses] = process.argv.slice(2)
const targets = addresses.map((text) => parseEndpoint(text)!)

if (kind === 'garbage') await pour(() => randomBytes(randomInt(1, 1_400)))
else if (kind === 'discover')
  await pour(() => {
    const [node, other] = [randomInt(1, 100_000), randomInt(1, 100_000)]
    return randomInt(2) === 0 ? encodeDiscover(node) : encodePunchRequest(node, other)
  })
else if (kind === 'silent') await sayNothing()
else await replay(targets[0]!)

/** As fast as the socket takes it. */
async function pour(next: () => Uint8Array): Promise<void> {
  const socket = createSocket('udp4')
  const until = performance.now() + Number(milliseconds)
  let sent = 0
  while (performance.now() < until) {
    for (let count = 0; count < BATCH; count++) await send(socket, next(), targets[sent++ % targets.length]!)
    await new Promise(setImmediate)
  }
  done(sent)
}

async function sayNothing(): Promise<void> {
  const { address: host, port } = targets[0]!
  for (let count = 0; count < SILENT_CLIENTS; count++) {
    connect({ host, port }).on('error', () => {})
    if (count % BATCH === 0) await pause(10)
  }
  await pause(Number(milliseconds))
  done(SILENT_CLIENTS)
}

async function replay(target: Endpoint): Promise<void> {
  const captured: Buffer[] = []
  const ear = createSocket('udp4')
  ear.on('message', (bytes) => captured.push(bytes))
  ear.bind(target.port, target.address)
  await pause(CAPTURE_MS)
  ear.close()
  console.log(JSON.stringify({ event: 'captured', captured: captured.length }))
  await pause(SETTLE_MS)
  const socket = createSocket('udp4')
  const until = performance.now() + Number(milliseconds)
  let sent = 0
  while (performance.now() < until && sent < REPLAY_LIMIT && captured.length > 0) {
    for (let count = 0; count < BATCH; count++) await send(socket, captured[sent++ % captured.length]!, target)
    await pause(5)
  }
  done(sent)
}

async function send(socket: Socket, bytes: Uint8Array, { address, port }: Endpoint): Promise<void> {
  await new Promise<void>((resolve) => {
    socket.send(bytes, port, address, () => resolve())
  })
}

function done(sent: number): void {
  console.log(JSON.stringify({ event: 'done', sent }))
  process.exit(0)
}

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => {
    setTimeout(resolve, ms)
  })
}
