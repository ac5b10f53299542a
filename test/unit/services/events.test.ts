/** Port 1002 on streams: who is admitted, and that a peer which misbehaves ends only its own connection. */
import assert from 'node:assert/strict'
import type { Duplex } from 'node:stream'
import { test } from 'node:test'
import { utf8 } from '../../../src/base/bytes.ts'
import { EventLink } from '../../../src/services/events/event-link.ts'
import { EventService } from '../../../src/services/events/event-service.ts'
import { encodeEvent } from '../../../src/wire/event-frame.ts'
import { hex } from '../../vectors/load.ts'
import { OnePortNode } from './setting.ts'

const log = { debug() {}, info() {}, warn() {}, error() {} }

function broker(topics?: readonly string[]): { node: OnePortNode; service: EventService } {
  const [node, service] = [new OnePortNode(), new EventService({ topics }, log)]
  void service.serve(node, async ({ peer }) => peer !== 66)
  return { node, service }
}

async function connect(node: OnePortNode, topic: string): Promise<{ stream: Duplex; link: EventLink }> {
  const stream = (await node.connect())!
  return { stream, link: new EventLink(stream, topic) }
}

/** The texts of the next events. */
async function take(link: EventLink, count: number): Promise<string[]> {
  const texts: string[] = []
  for await (const { payload } of link.events()) {
    texts.push(Buffer.from(payload).toString())
    if (texts.length === count) break
  }
  return texts
}

const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20))

test('a peer that is not admitted finds the port closed', async () => {
  const { node } = broker()
  node.peer = 66
  assert.equal(await node.connect(), undefined)
})

test('what came before the end of its publisher is delivered', async () => {
  const { node } = broker()
  const subscriber = await connect(node, 'news')
  await settled()
  const publisher = (await node.connect())!
  publisher.end(
    Buffer.concat([encodeEvent('news', utf8('')), encodeEvent('news', utf8('one')), encodeEvent('news', utf8('two'))]),
  )
  assert.deepEqual(await take(subscriber.link, 2), ['one', 'two'])
})

test('an event that is announced as too long, or is none, ends its connection; the others continue', async () => {
  const { node, service } = broker()
  const subscriber = await connect(node, 'news')
  for (const bad of ['0401', '00016101000001', '0001ff00000000']) {
    const { stream } = await connect(node, 'news')
    stream.write(hex(bad))
    assert.deepEqual(await stream.toArray(), [])
  }
  service.publish({ topic: 'news', payload: utf8('still here') })
  assert.deepEqual(await take(subscriber.link, 1), ['still here'])
})

test('one peer cannot fill the memory with events that it does not complete', async () => {
  const { node } = broker()
  const open: Duplex[] = []
  for (let i = 0; i < 4; i++) {
    const { stream } = await connect(node, 'news')
    stream.write(encodeEvent('news', new Uint8Array(16_777_216)).subarray(0, 100))
    open.push(stream)
    await settled()
  }
  assert.deepEqual(
    open.map(
      ({ readableEnded, readableLength, destroyed, closed }) =>
        readableEnded || destroyed || closed || readableLength > 0,
    ),
    [false, false, false, false],
  )
  for (const stream of open) stream.resume()
  await settled()
  assert.deepEqual(
    open.map(({ readableEnded }) => readableEnded),
    [false, true, true, true],
  )
  node.peer = 3
  const { stream } = await connect(node, 'news')
  stream.write(encodeEvent('news', new Uint8Array(16_777_216)).subarray(0, 100))
  stream.resume()
  await settled()
  assert.equal(stream.readableEnded, false)
})

test('a subscription to a topic that is not allowed is ended; a publication is ignored', async () => {
  const { node, service } = broker(['ci.*'])
  const { stream } = await connect(node, 'secret')
  assert.deepEqual(await stream.toArray(), [])
  const other = await connect(node, 'ci.build')
  await other.link.publish('secret', utf8('x'))
  await settled()
  assert.equal(service.broker.counters.events_published, 0)
  assert.equal(other.stream.readableEnded, false)
})
