/**
 * The decoders for a long time: `npm run fuzz -- --inputs 100000000`, or `--minutes 60`. One process, seeded; a third of the
 * inputs are random, a third are damaged messages that we built, a third are damaged golden bytes of test/vectors.
 * It ends at the first input that throws, is changed, or is encoded again to other bytes, and prints that input.
 */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { equalBytes, fromHex, toHex } from '../../src/base/bytes.ts'
import { decodeTag } from '../../src/wire/data-frame.ts'
import { EventReader } from '../../src/wire/event-frame.ts'
import { decodeFileStep, encodeFileStep } from '../../src/wire/file-step.ts'
import { MemoryConnection, MemoryInbox } from '../unit/proto/messages/memory-inbox.ts'
import { decodeIpcMessage, decodeIpcRequest, encodeIpcMessage, encodeIpcRequest } from '../../src/wire/ipc-messages.ts'
import { RegistryFrameReader } from '../../src/wire/registry-messages.ts'
import { damaged, feed, goodDatagrams, randomDatagram, randomSource } from './decoders.ts'

/** Inputs between clock checks, and ms between progress lines. */
const BATCH_INPUTS = 10_000
const REPORT_INPUTS = 5_000_000

const { values } = parseArgs({
  options: { inputs: { type: 'string' }, minutes: { type: 'string' }, seed: { type: 'string' } },
})
const beganAt = Date.now()
const endAt = values.minutes === undefined ? Infinity : beganAt + Number(values.minutes) * 60_000
const wanted = Number(values.inputs ?? (endAt === Infinity ? 1_000_000 : Infinity))
const seed = Number(values.seed ?? Math.floor(beganAt / 1_000)) >>> 0
const random = randomSource(seed)
const good = goodDatagrams(random)
const golden = goldenBytes()

console.log(`seed ${seed}, ${golden.length} golden byte strings, ${good.length} messages of our own`)
let [inputs, taken] = [0, 0]
while (inputs < wanted && Date.now() < endAt) {
  for (let count = Math.min(BATCH_INPUTS, wanted - inputs); count > 0; count--) one()
  if (inputs % REPORT_INPUTS === 0) tell()
}
tell()

function one(): void {
  const bytes = nextInput()
  inputs += 1
  try {
    taken += feed(bytes) > 0 ? 1 : 0
    feedStreams(bytes)
  } catch (error) {
    console.log(`input ${inputs} of seed ${seed}: ${toHex(bytes)}`)
    throw error
  }
}

function nextInput(): Uint8Array {
  switch (inputs % 3) {
    case 0:
      return randomDatagram(random)
    case 1:
      return damaged(good[random(good.length)]!, random)
    default:
      return damaged(golden[random(golden.length)]!, random)
  }
}

/** What arrives as a stream: a daemon's socket either way, data exchange, the registry's connection. */
function feedStreams(bytes: Uint8Array): void {
  const before = bytes.slice()
  const request = decodeIpcRequest(bytes)
  if (typeof request === 'object' && request.kind !== 'handshake') startsWith(bytes, encodeIpcRequest(request))
  const message = decodeIpcMessage(bytes)
  if (typeof message === 'object' && message.kind !== 'json' && message.kind !== 'error')
    startsWith(bytes, encodeIpcMessage(message))
  const step = decodeFileStep(bytes)
  if (typeof step === 'object') assert.deepEqual(decodeFileStep(encodeFileStep(step)), step) // a text may be repaired
  const events = new EventReader()
  events.push(bytes)
  while (typeof events.next() === 'object');
  decodeTag(bytes)
  const exchange = new MemoryConnection(new MemoryInbox())
  exchange.push(bytes)
  exchange.push(undefined)
  assert.ok(exchange.end !== undefined, 'a connection that has ended is not over')
  const reader = new RegistryFrameReader(65_536)
  reader.push(bytes)
  for (let reply = reader.next(); typeof reply === 'object'; reply = reader.next());
  assert.ok(equalBytes(bytes, before), 'the input was changed')
}

function startsWith(bytes: Uint8Array, again: Uint8Array): void {
  if (!equalBytes(again, bytes.subarray(0, again.length))) assert.fail(`encoded again to ${toHex(again)}`)
}

/** Every string of hex digits in the vectors, whatever its role: an input need not be a whole message. */
function goldenBytes(): Uint8Array[] {
  const folder = new URL('../vectors/', import.meta.url)
  const found = new Map<string, Uint8Array>()
  for (const name of readdirSync(folder).filter((file) => file.endsWith('.json'))) {
    const text = readFileSync(new URL(name, folder), 'utf8')
    for (const [, digits] of text.matchAll(/"((?:[0-9a-f]{2}){4,4096})"/g)) found.set(digits!, fromHex(digits!)!)
  }
  assert.ok(found.size > 100, `only ${found.size} golden byte strings`)
  return [...found.values()]
}

function tell(): void {
  const seconds = (Date.now() - beganAt) / 1_000
  const rate = (inputs / seconds).toFixed(0)
  const share = ((taken / inputs) * 100).toFixed(1)
  console.log(
    `${inputs} inputs in ${seconds.toFixed(0)} s (${rate} a second), ${share} % parsed as something, 0 faults`,
  )
}
