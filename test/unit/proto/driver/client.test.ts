/**
 * The rules of one client of the driver socket: messages in, acts and answers out, in virtual time. What a daemon of
 * release 1.18 was seen to answer is the expectation, text by text.
 */
import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { concatBytes, fromUtf8, utf8 } from '../../../../src/base/bytes.ts'
import { DriverClient, type DriverAct } from '../../../../src/proto/driver/client.ts'
import {
  LINGER_MS,
  MAX_CONNECTIONS,
  MAX_HELD_BYTES,
  MAX_OUT_BYTES,
  MAX_REQUESTS,
  STALLED_MS,
  UNREAD_MS,
} from '../../../../src/proto/driver/constants.ts'
import {
  IpcFrameReader,
  MAX_IPC_MESSAGE_BYTES,
  decodeIpcMessage,
  encodeIpcFrame,
  encodeIpcRequest,
} from '../../../../src/wire/ipc-messages.ts'
import type { IpcMessage, IpcRequest } from '../../../../src/wire/ipc-messages.ts'

const PEER = { network: 0, node: 2 }

/** A client whose socket takes everything at once. */
class World {
  readonly rules = new DriverClient()
  readonly acts: DriverAct[] = []
  now = 0
  readonly #reader = new IpcFrameReader()

  ask(...requests: readonly IpcRequest[]): IpcMessage[] {
    return this.say(...requests.map(encodeIpcRequest))
  }
  say(...messages: readonly Uint8Array[]): IpcMessage[] {
    return this.turn(() => this.rules.handleBytes(this.now, concatBytes(...messages.map(encodeIpcFrame))))
  }
  turn(change: () => unknown): IpcMessage[] {
    change()
    const heard: IpcMessage[] = []
    for (let bytes = this.rules.pollBytes(this.now); bytes; bytes = this.rules.pollBytes(this.now)) {
      const messages = this.#reader.push(bytes)
      assert.notEqual(messages, 'too_long')
      for (const message of messages as readonly Uint8Array[]) heard.push(decoded(message))
    }
    for (let act = this.rules.pollAct(); act; act = this.rules.pollAct()) this.acts.push(act)
    return heard
  }
  answer(ticket: number, answer: IpcMessage): IpcMessage[] {
    return this.turn(() => this.rules.handleAnswer(this.now, ticket, answer))
  }
  /** A stream that the client has dialled. */
  dialled(connection: number): void {
    this.ask({ kind: 'dial', address: PEER, port: 7 })
    const { ticket } = this.acts.pop() as Extract<DriverAct, { kind: 'dial' }>
    assert.deepEqual(
      this.turn(() => assert.ok(this.rules.handleDialled(this.now, ticket, connection))),
      [{ kind: 'dial_ok', connection }],
    )
  }
  taken(): DriverAct[] {
    return this.acts.splice(0)
  }
}

describe('what a daemon answers to requests that it cannot read', () => {
  const errors: readonly (readonly [bytes: readonly number[], text: string | undefined])[] = [
    [[0x00], 'unknown command: 0x00'],
    [[0x0a], 'unknown command: 0x0A'],
    [[0x1d, 1], 'unknown command: 0x1D'], // gone since April 2026
    [[0x27], 'unknown command: 0x27'],
    [[0xff], 'unknown command: 0xFF'],
    [[0x01], 'bind: missing port'],
    [[0x03, 0, 0], 'dial: missing address/port'],
    [[0x06], undefined],
    [[0x08, 1], 'close: missing conn_id'],
    [[0x0b, 0], undefined],
    [[0x0f], 'handshake: missing sub-command'],
    [[0x0f, 8], 'handshake: unknown sub-command 0x08'],
    [[0x0f, 1], 'handshake request: missing node_id'],
    [[0x0f, 6, 0], 'handshake revoke: missing node_id'],
    [[0x0f, 7, 0, 0, 0, 1], 'handshake wait: payload must be [nodeID(4)][timeoutMs(4)]'],
    [[0x37], 'unbind: port is required'],
    [[0x39], 'sendto: missing header'],
    [[], undefined],
  ]
  for (const [bytes, text] of errors)
    test(`${Buffer.from(bytes).toString('hex') || 'an empty message'}: ${text ?? 'nothing'}`, () => {
      const world = new World()
      assert.deepEqual(world.say(Uint8Array.from(bytes)), text === undefined ? [] : [{ kind: 'error', text }])
      assert.deepEqual(world.acts, [])
    })
})

test('answers to one command keep the order of the requests, those to different commands may overtake', () => {
  const world = new World()
  const query = (name: 'info' | 'health'): IpcRequest => ({ kind: 'query', query: name, body: new Uint8Array(0) })
  world.ask(query('info'), query('info'), query('health'))
  const [first, second, health] = world.taken().map((act) => (act as { ticket: number }).ticket)
  const json = (to: 'info' | 'health', text: string): IpcMessage => ({ kind: 'json', to, text })
  assert.deepEqual(world.answer(second!, json('info', '2')), [])
  assert.deepEqual(world.answer(health!, json('health', 'h')), [json('health', 'h')])
  assert.deepEqual(world.answer(first!, { kind: 'error', text: 'no' }), [
    { kind: 'error', text: 'no' },
    json('info', '2'),
  ])
})

test('a Close is answered even for an unknown stream, twice for a live one, and reaches streams of other clients', () => {
  const world = new World()
  assert.deepEqual(world.ask({ kind: 'close', connection: 77 }), [{ kind: 'close_ok', connection: 77 }])
  assert.deepEqual(world.taken(), [{ kind: 'close_foreign', connection: 77 }])
  world.dialled(5)
  world.taken()
  const twice = [
    { kind: 'close_ok', connection: 5 },
    { kind: 'close_ok', connection: 5 },
  ]
  assert.deepEqual(world.ask({ kind: 'close', connection: 5 }), twice)
  assert.deepEqual(world.taken(), [{ kind: 'close', connection: 5 }])
  assert.equal(world.rules.connections, 0)
  world.dialled(6)
  world.taken()
  assert.deepEqual(
    world.turn(() => assert.ok(world.rules.handleForeignClose(0, 6))),
    [{ kind: 'close_ok', connection: 6 }],
  )
  assert.deepEqual(world.taken(), [{ kind: 'close', connection: 6 }])
  assert.equal(world.rules.handleForeignClose(0, 6), false)
})

test('Sends go to their stream in order and without an answer, and to an unknown one nowhere', () => {
  const world = new World()
  world.dialled(1)
  world.taken()
  const send = (connection: number, text: string): IpcRequest => ({ kind: 'send', connection, data: utf8(text) })
  assert.deepEqual(world.ask(send(1, 'a'), send(9, 'x'), send(1, 'b'), send(1, '')), [])
  const sent = world.taken().map((act) => act.kind === 'send' && [act.connection, fromUtf8(act.data)])
  assert.deepEqual(sent, [
    [1, 'a'],
    [1, 'b'],
  ])
})

test('data comes behind the answer that names its stream, in pieces of at most 64 KiB', () => {
  const world = new World()
  world.ask({ kind: 'dial', address: PEER, port: 7 }, { kind: 'dial', address: PEER, port: 8 })
  const [slow, quick] = world.taken().map((act) => (act as { ticket: number }).ticket)
  assert.deepEqual(
    world.turn(() => world.rules.handleDialled(0, quick!, 2)),
    [],
  )
  assert.deepEqual(world.taken(), []) // its data is not asked for: the client does not know it yet
  const heard = world.turn(() => world.rules.handleError(0, slow!, 'connection refused'))
  assert.deepEqual(heard, [
    { kind: 'error', text: 'connection refused' },
    { kind: 'dial_ok', connection: 2 },
  ])
  assert.deepEqual(world.taken(), [{ kind: 'read', connection: 2 }])
  const received = world.turn(() => world.rules.handleData(2, new Uint8Array(150_000)))
  assert.deepEqual(
    received.map((message) => message.kind === 'recv' && message.data.length),
    [65_536, 65_536, 18_928],
  )
})

test('a stream that ends before the client knows it is announced first', () => {
  for (const how of ['handleEnded', 'handleGone'] as const) {
    const world = new World()
    world.ask({ kind: 'dial', address: PEER, port: 7 }, { kind: 'dial', address: PEER, port: 8 })
    const [slow, quick] = world.taken().map((act) => (act as { ticket: number }).ticket)
    world.turn(() => world.rules.handleDialled(0, quick!, 2))
    assert.deepEqual(
      world.turn(() => world.rules[how](0, 2)),
      [],
    )
    assert.deepEqual(
      world.turn(() => world.rules.handleError(0, slow!, 'no')).map(({ kind }) => kind),
      ['error', 'dial_ok', 'close_ok'],
    )
  }
})

test('a cancel ends every dial of the client with an error, and nothing else', () => {
  const world = new World()
  world.ask(
    { kind: 'dial', address: PEER, port: 7 },
    { kind: 'bind', port: 80 },
    { kind: 'dial', address: PEER, port: 8 },
  )
  const [first, , second] = world.taken().map((act) => (act as { ticket: number }).ticket)
  const canceled: IpcMessage = { kind: 'error', text: 'context canceled' }
  assert.deepEqual(world.ask({ kind: 'cancel' }), [canceled, canceled])
  assert.deepEqual(world.taken(), [
    { kind: 'give_up', ticket: first },
    { kind: 'give_up', ticket: second },
  ])
  assert.equal(world.rules.handleDialled(0, first!, 3), false) // it came too late: the caller ends it
  assert.deepEqual(
    world.turn(() => {}),
    [],
  )
})

test('the peer ends its direction: the client is notified, may still send for a while, and then both directions end', () => {
  const world = new World()
  world.dialled(1)
  world.taken()
  assert.deepEqual(
    world.turn(() => world.rules.handleEnded(0, 1)),
    [{ kind: 'close_ok', connection: 1 }],
  )
  world.now = LINGER_MS - 1
  world.turn(() => world.rules.handleTimeout(world.now))
  world.ask({ kind: 'send', connection: 1, data: utf8('late') })
  assert.equal(world.taken().length, 1)
  world.turn(() => world.rules.handleTaken(world.now, 1, 4))
  assert.equal(world.rules.nextTimeout(), world.now + LINGER_MS)
  world.now += LINGER_MS
  assert.deepEqual(
    world.turn(() => world.rules.handleTimeout(world.now)),
    [],
  )
  assert.deepEqual(world.taken(), [{ kind: 'close', connection: 1 }])
})

test('a stream that takes nothing stops the reading of its client, and is ended if others wait for it', () => {
  const world = new World()
  const data = new Uint8Array(MAX_HELD_BYTES / 4)
  world.dialled(1)
  world.ask(...Array.from({ length: 4 }, (): IpcRequest => ({ kind: 'send', connection: 1, data })))
  assert.equal(world.rules.isFull, true)
  world.now = 10 * STALLED_MS
  world.turn(() => world.rules.handleTimeout(world.now)) // alone, it may take as long as it wants
  assert.equal(world.rules.connections, 1)
  world.turn(() => world.rules.handleTaken(world.now, 1, data.length))
  assert.equal(world.rules.isFull, false)
  world.dialled(2)
  world.ask({ kind: 'send', connection: 1, data })
  world.ask({ kind: 'send', connection: 2, data: utf8('waits') })
  world.taken()
  assert.equal(world.rules.nextTimeout(), world.now + STALLED_MS)
  world.now += STALLED_MS
  const heard = world.turn(() => world.rules.handleTimeout(world.now))
  assert.deepEqual(heard, [{ kind: 'close_ok', connection: 1 }])
  assert.deepEqual(
    world.taken().map(({ kind }) => kind),
    ['reset', 'send'],
  )
})

test('a client that stops reading gets no more datagrams, is not read from, and is disconnected after 10 s', () => {
  const rules = new DriverClient()
  rules.handleBlocked(0)
  assert.equal(rules.takesData, false)
  for (let i = 0; i < 2_000; i++) rules.handleDatagram(2, 1, 2, new Uint8Array(1_000))
  assert.ok(rules.dropped > 2_000 - MAX_OUT_BYTES / 1_000)
  assert.equal(rules.isFull, true)
  rules.handleTimeout(UNREAD_MS - 1)
  assert.equal(rules.over, undefined)
  rules.handleDrained(UNREAD_MS - 1)
  assert.equal(rules.nextTimeout(), Infinity)
  rules.handleBlocked(UNREAD_MS)
  rules.handleTimeout(rules.nextTimeout())
  assert.equal(rules.over, 'not_reading')
})

test(`at most ${MAX_REQUESTS} requests are open, and ${MAX_CONNECTIONS} streams; more wait, or are refused`, () => {
  const world = new World()
  const bind: IpcRequest = { kind: 'bind', port: 80 }
  world.ask(...Array.from({ length: MAX_REQUESTS + 10 }, () => bind))
  const open = world.taken() as unknown as { readonly ticket: number }[]
  assert.equal(open.length, MAX_REQUESTS)
  assert.equal(world.rules.isFull, true)
  world.answer(open[0]!.ticket, { kind: 'bind_ok', port: 80 })
  assert.equal(world.taken().length, 1)
  const full = new World()
  for (let id = 1; id <= MAX_CONNECTIONS; id++)
    full.turn(() => full.rules.handleAccepted(0, 80, id, { network: 0, node: 2 }, id))
  assert.equal(full.rules.hasRoom, false)
  assert.deepEqual(full.ask({ kind: 'dial', address: PEER, port: 7 }), [
    { kind: 'error', text: `too many connections (at most ${MAX_CONNECTIONS})` },
  ])
})

test('a message that is too long ends the connection', () => {
  const { rules } = new World()
  const length = MAX_IPC_MESSAGE_BYTES + 1
  rules.handleBytes(0, Uint8Array.of(length >>> 24, length >>> 16, length >>> 8, length))
  assert.equal(rules.over, 'too_long')
})

test('13,000 requests that are refused in one chunk do not exhaust the stack', () => {
  const world = new World()
  const heard = world.say(...Array.from({ length: 13_000 }, () => Uint8Array.of(0x40)))
  assert.equal(heard.length, 13_000)
})

function decoded(message: Uint8Array): IpcMessage {
  const found = decodeIpcMessage(message)
  assert.ok(typeof found === 'object', String(found))
  return found
}
