/**
 * The beacon's second socket, on real UDP: a node that asks for it gets an answer from there too; others notice no
 * difference.
 */
import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import type { RemoteInfo } from 'node:dgram'
import { test } from 'node:test'
import { silentLogger } from '../../../src/runtime/log.ts'
import { startRendezvous } from '../../../src/server/rendezvous.ts'
import type { BeaconFault, BeaconMessage } from '../../../src/wire/beacon-messages.ts'
import {
  decodeBeaconMessage,
  encodeDiscover,
  encodeDiscoverReply,
  encodeQuestion,
} from '../../../src/wire/beacon-messages.ts'

const KEY = new Uint8Array(32).fill(7)
const transaction = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8)

interface Answer {
  readonly fromPort: number
  readonly bytes: Buffer
}

/** Sends one datagram to 127.0.0.1:port and collects what comes back shortly after. */
async function ask(
  bytes: Uint8Array,
  port: number,
): Promise<{ readonly own: number; readonly answers: readonly Answer[] }> {
  const socket = createSocket('udp4')
  const answers: Answer[] = []
  socket.on(
    'message',
    (message: Buffer, from: RemoteInfo) => void answers.push({ fromPort: from.port, bytes: message }),
  )
  await new Promise<void>((resolve) => {
    socket.bind(0, '127.0.0.1', resolve)
  })
  socket.send(bytes, port, '127.0.0.1')
  await new Promise((resolve) => {
    setTimeout(resolve, 150)
  })
  const own = socket.address().port
  await new Promise<void>((resolve) => {
    socket.close(() => resolve())
  })
  return { own, answers }
}

test('a probe is answered from both sockets, or only from the second if sent there; no answer is larger than its query', async () => {
  const rendezvous = await startRendezvous({ registry: '127.0.0.1:0', beacon: '127.0.0.1:0', log: silentLogger })
  try {
    const port = Number(rendezvous.beacon.split(':')[1])
    const question = encodeQuestion(7, KEY, { transaction, answerFromSecond: true })
    const { own, answers } = await ask(question, port)
    assert.equal(answers.length, 2)
    const messages = answers.map(({ fromPort, bytes }) => ({ fromPort, message: decodeBeaconMessage(bytes), bytes }))
    const first = messages.find(({ fromPort }) => fromPort === port)!
    const second = messages.find(({ fromPort }) => fromPort !== port)!
    const endpoint = { address: '127.0.0.1', port: own }
    assert.deepEqual(plain(first.message), {
      kind: 'discover_reply',
      endpoint,
      answer: { transaction, secondPort: second.fromPort, isFromSecond: false },
    })
    assert.deepEqual(plain(second.message), {
      kind: 'discover_reply',
      endpoint,
      answer: { transaction, secondPort: second.fromPort, isFromSecond: true },
    })
    assert.ok(messages.reduce((sum, { bytes }) => sum + bytes.length, 0) <= question.length)
    const alone = await ask(encodeQuestion(0, KEY, { transaction, answerFromSecond: false }), second.fromPort)
    assert.deepEqual(
      alone.answers.map(({ fromPort }) => fromPort),
      [second.fromPort],
    )
    for (const bytes of [encodeDiscover(7), Uint8Array.of(5, 0, 0, 0, 1, 0, 0, 0, 2, 9), new Uint8Array(64)])
      assert.deepEqual((await ask(bytes, second.fromPort)).answers, [])
  } finally {
    await rendezvous.stop()
  }
})

test('a plain discover gets the plain answer, byte for byte', async () => {
  const rendezvous = await startRendezvous({ registry: '127.0.0.1:0', beacon: '127.0.0.1:0', log: silentLogger })
  try {
    const { own, answers } = await ask(encodeDiscover(7), Number(rendezvous.beacon.split(':')[1]))
    assert.deepEqual(
      answers.map(({ bytes }) => bytes.toString('hex')),
      [Buffer.from(encodeDiscoverReply({ address: '127.0.0.1', port: own })).toString('hex')],
    )
  } finally {
    await rendezvous.stop()
  }
})

/** Views into Buffers as plain arrays, for comparison. */
function plain(message: BeaconMessage | BeaconFault): unknown {
  if (typeof message === 'string' || message.kind !== 'discover_reply' || message.answer === undefined) return message
  return { ...message, answer: { ...message.answer, transaction: Uint8Array.from(message.answer.transaction) } }
}
