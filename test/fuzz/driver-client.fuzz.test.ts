/**
 * One client of the driver socket, under requests, halves of requests, floods and garbage, while the node answers in any
 * order, streams come, end and stall, and the socket is blocked now and then. It never throws or stays due, keeps its limits,
 * says nothing about a stream that the client does not know, and in the end every request has exactly one answer, in the order
 * of its command.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { concatBytes } from '../../src/base/bytes.ts'
import { DriverClient, type DriverAct } from '../../src/proto/driver/client.ts'
import { MAX_CONNECTIONS, MAX_REQUESTS } from '../../src/proto/driver/constants.ts'
import {
  IpcFrameReader,
  decodeIpcMessage,
  decodeIpcRequest,
  encodeIpcFrame,
  encodeIpcRequest,
} from '../../src/wire/ipc-messages.ts'
import type { IpcMessage, IpcRequest } from '../../src/wire/ipc-messages.ts'
import { Random } from '../sim/simulator/random.ts'

const ROUNDS = 1_500
const PEER = { network: 0, node: 2 }

/** A client, its node and its socket. */
class Subject {
  readonly rules = new DriverClient()
  readonly heard: IpcMessage[] = []
  readonly open: Extract<DriverAct, { ticket: number }>[] = [] // not answered by the node
  readonly known = new Set<number>() // streams that the client knows
  readonly held = new Map<number, number>() // bytes of Sends by stream
  asked = 0 // requests with an answer
  answered = 0
  now = 0
  blocked = false
  readonly #reader = new IpcFrameReader()
  #streams = 0

  turn(change: () => void): void {
    change()
    if (this.rules.over !== undefined) return
    for (let act = this.rules.pollAct(); act !== undefined; act = this.rules.pollAct()) this.#do(act)
    for (;;) {
      const bytes = this.blocked ? undefined : this.rules.pollBytes(this.now)
      if (bytes === undefined) break
      for (const message of this.#reader.push(bytes) as readonly Uint8Array[]) this.#hear(message)
    }
    for (let act = this.rules.pollAct(); act !== undefined; act = this.rules.pollAct()) this.#do(act)
    assert.ok(this.open.length <= MAX_REQUESTS, `${this.open.length} open requests`)
    assert.ok(this.rules.connections <= MAX_CONNECTIONS)
  }

  get nextStream(): number {
    return ++this.#streams
  }

  #do(act: DriverAct): void {
    if (act.kind === 'send') this.held.set(act.connection, (this.held.get(act.connection) ?? 0) + act.data.length)
    else if (act.kind === 'give_up')
      this.open.splice(
        this.open.findIndex(({ ticket }) => ticket === act.ticket),
        1,
      )
    else if ('ticket' in act && act.ticket !== undefined) this.open.push(act as Extract<DriverAct, { ticket: number }>)
  }

  #hear(bytes: Uint8Array): void {
    const message = decodeIpcMessage(bytes)
    if (typeof message === 'string') assert.fail(message)
    this.heard.push(message)
    switch (message.kind) {
      case 'recv':
        return assert.ok(this.known.has(message.connection), 'data of a stream that the client does not know')
      case 'accept':
        this.known.add(message.connection)
        return
      case 'dial_ok':
        this.known.add(message.connection)
        this.answered += 1
        return
      case 'recv_from':
      case 'close_ok':
        return
      default:
        this.answered += 1
    }
  }
}

for (const seed of [1, 2, 3, 20_261_130])
  test(`requests, halves, floods and garbage (seed ${seed})`, () => {
    const random = new Random(seed)
    const subject = new Subject()
    for (let round = 0; round < ROUNDS && subject.rules.over === undefined; round++) {
      subject.now += random.below(300)
      step(random, subject)
    }
    if (subject.rules.over === 'not_reading') return
    settle(subject)
    assert.equal(subject.answered, subject.asked)
  })

test('garbage in pieces of any size never throws, and ends the connection at the latest with a length that is too long', () => {
  for (let seed = 0; seed < 300; seed++) {
    const random = new Random(seed)
    const rules = new DriverClient()
    for (let i = 0; i < 30 && rules.over === undefined; i++) {
      rules.handleBytes(i, random.bytes(1 + random.below(2_000)))
      while (rules.pollAct() !== undefined || rules.pollBytes(i) !== undefined);
    }
  }
})

function step(random: Random, subject: Subject): void {
  const { rules, now } = subject
  const streams = [...subject.known]
  const stream = streams[random.below(Math.max(1, streams.length))] ?? 7
  switch (random.below(12)) {
    case 0:
    case 1:
    case 2:
      return ask(random, subject, stream)
    case 3:
    case 4:
      return answer(random, subject)
    case 5:
      return subject.turn(() => {
        if (rules.hasRoom) rules.handleAccepted(now, 80, subject.nextStream, PEER, 1)
      })
    case 6:
      return subject.turn(() => {
        if (rules.takesData) rules.handleData(stream, random.bytes(random.below(100_000)))
      })
    case 7:
      return subject.turn(() =>
        random.below(2) === 0 ? rules.handleEnded(now, stream) : rules.handleGone(now, stream),
      )
    case 8:
      return subject.turn(() => rules.handleDatagram(3, 1, 2, random.bytes(random.below(1_000))))
    case 9: {
      const held = subject.held.get(stream) ?? 0
      subject.held.set(stream, 0)
      return subject.turn(() => rules.handleTaken(now, stream, held))
    }
    case 10:
      subject.blocked = random.below(4) === 0
      return subject.turn(() => (subject.blocked ? rules.handleBlocked(now) : rules.handleDrained(now)))
    default:
      subject.turn(() => rules.handleTimeout(now))
      return assert.ok(rules.over !== undefined || rules.nextTimeout() > now, 'it stays due')
  }
}

/** Some requests at once, in pieces. */
function ask(random: Random, subject: Subject, stream: number): void {
  const messages = Array.from({ length: 1 + random.below(20) }, () => request(random, stream))
  for (const message of messages) {
    const decoded = decodeIpcRequest(message)
    const silent = typeof decoded === 'object' && ['send', 'send_to', 'cancel', 'close'].includes(decoded.kind)
    const mute = ['empty', 'missing_connection', 'missing_address'].includes(String(decoded))
    const isAnswered = typeof decoded === 'string' ? !mute || [0x03, 0x08, 0x39].includes(message[0] ?? 0) : !silent
    if (isAnswered) subject.asked += 1
  }
  const bytes = concatBytes(...messages.map(encodeIpcFrame))
  for (let at = 0; at < bytes.length;) {
    const size = 1 + random.below(Math.min(5_000, bytes.length))
    subject.turn(() => subject.rules.handleBytes(subject.now, bytes.slice(at, at + size)))
    at += size
  }
}

function request(random: Random, connection: number): Uint8Array {
  const data = random.bytes(random.below(40_000))
  const requests: readonly IpcRequest[] = [
    { kind: 'bind', port: random.below(65_536) },
    { kind: 'unbind', port: random.below(65_536) },
    { kind: 'dial', address: PEER, port: 7 },
    { kind: 'dial', address: PEER, port: 8 },
    { kind: 'send', connection, data },
    { kind: 'send', connection, data },
    { kind: 'close', connection },
    { kind: 'close', connection: 4_711 },
    { kind: 'send_to', address: PEER, port: 9, data },
    { kind: 'send_to_confirm', address: PEER, port: 9, data },
    { kind: 'query', query: 'info', body: new Uint8Array(0) },
    { kind: 'query', query: 'set_task_exec', body: new Uint8Array(1) },
    { kind: 'handshake', sub: 'wait', node: 2, text: '', waitMs: 5 },
    { kind: 'cancel' },
  ]
  const one = requests[random.below(requests.length + 2)]
  return one === undefined ? random.bytes(random.below(12)) : encodeIpcRequest(one)
}

/** The node answers any of what is open, not the oldest first. */
function answer(random: Random, subject: Subject): void {
  const [act] = subject.open.splice(random.below(Math.max(1, subject.open.length)), 1)
  if (act === undefined) return
  subject.turn(() => {
    if (act.kind === 'dial' && random.below(2) === 0)
      subject.rules.handleDialled(subject.now, act.ticket, subject.nextStream)
    else subject.rules.handleError(subject.now, act.ticket, 'no')
  })
}

/** Everything that waits gets its turn. */
function settle(subject: Subject): void {
  const random = new Random(9)
  subject.blocked = false
  for (let i = 0; i < 20_000; i++) {
    subject.turn(() => subject.rules.handleDrained(subject.now))
    for (const [stream, held] of subject.held) {
      subject.held.set(stream, 0)
      if (held > 0) subject.turn(() => subject.rules.handleTaken(subject.now, stream, held))
    }
    if (subject.open.length === 0 && !subject.rules.isFull) return
    answer(random, subject)
  }
  assert.fail(`${subject.open.length} requests are still open`)
}
