/** The broker's rules: the recorded conversation of the reference, queues, rates and topics. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { concatBytes, toHex, utf8 } from '../../../../src/base/bytes.ts'
import { Broker, EVENTS_AT_ONCE, isAllowed, MAX_QUEUED, type Subscriber } from '../../../../src/proto/events/broker.ts'
import { encodeEvent, EventReader, type StreamEvent } from '../../../../src/wire/event-frame.ts'
import { hex, loadVectors } from '../../../vectors/load.ts'

interface Vectors {
  event_stream: {
    events: Array<{ name: string; topic: string; payload: string; frame: string }>
    decode_edge_cases: Array<{ name: string; input?: string; accepted: boolean }>
    live: { steps: Array<{ connection: string; sent?: string; delivered: Record<string, string> }> }
  }
}
const { event_stream: vectors } = loadVectors<Vectors>('services')

function read(bytes: Uint8Array): ReturnType<EventReader['next']> {
  const reader = new EventReader()
  reader.push(bytes)
  return reader.next()
}

for (const { name, topic, payload, frame } of vectors.events)
  test(`event: ${name}`, () => {
    assert.equal(toHex(encodeEvent(topic, hex(payload))), frame)
    const event = read(hex(frame)) as StreamEvent
    assert.deepEqual([event.topic, toHex(event.payload)], [topic, payload])
  })

for (const { name, input, accepted } of vectors.decode_edge_cases)
  if (input !== undefined) test(`edge: ${name}`, () => assert.equal(typeof read(hex(input)) === 'object', accepted))

test('an event may come byte by byte, and two in one piece; a topic that is not UTF-8 is a fault', () => {
  const reader = new EventReader()
  const bytes = concatBytes(encodeEvent('a', utf8('one')), encodeEvent('b', utf8('two')))
  const topics: string[] = []
  for (const byte of bytes) {
    reader.push(Uint8Array.of(byte))
    const event = reader.next()
    if (typeof event === 'object') topics.push(event.topic)
  }
  assert.deepEqual(topics, ['a', 'b'])
  reader.push(bytes)
  assert.deepEqual(
    [reader.next(), reader.next()].map((event) => (event as StreamEvent).topic),
    ['a', 'b'],
  )
  assert.equal(read(hex('0001ff00000000')), 'bad_topic')
  assert.equal(read(concatBytes(hex('0400'), new Uint8Array(1_028))) === undefined, false)
})

test('the recorded conversation: who gets what', () => {
  const broker = new Broker({})
  const connections = new Map<string, Subscriber>()
  for (const { connection, sent, delivered } of vectors.live.steps) {
    if (sent === undefined) {
      broker.close(connections.get(connection)!)
      connections.delete(connection)
      continue
    }
    const from = connections.get(connection) ?? broker.open('peer')
    connections.set(connection, from)
    broker.handle(0, from, read(hex(sent)) as StreamEvent)
    const got = [...connections].flatMap(([name, subscriber]) => {
      const frames: string[] = []
      for (let event = broker.next(subscriber); event !== undefined; event = broker.next(subscriber))
        frames.push(toHex(encodeEvent(event.topic, event.payload)))
      return frames.length === 0 ? [] : [[name, frames.join('')]]
    })
    assert.deepEqual(Object.fromEntries(got), delivered)
  }
})

const event = (topic: string, payload = ''): StreamEvent => ({ topic, payload: utf8(payload) })

test('a stalled subscriber loses its oldest events, which are counted; the others lose nothing', () => {
  const broker = new Broker({})
  const subscribers = Array.from({ length: 1_000 }, (_, index) => {
    const subscriber = broker.open(`node ${index}`)
    broker.handle(0, subscriber, event('news'))
    return subscriber
  })
  const [stalled, ...others] = subscribers
  const got = new Map(others.map((subscriber) => [subscriber, 0]))
  for (let i = 0; i < 1_500; i++) {
    broker.publish(event('news', String(i)))
    for (const subscriber of broker.takeWoken())
      if (subscriber !== stalled)
        for (let next = broker.next(subscriber); next !== undefined; next = broker.next(subscriber))
          got.set(subscriber, got.get(subscriber)! + 1)
  }
  assert.deepEqual(new Set(got.values()), new Set([1_500]))
  assert.deepEqual([stalled!.queue.length, stalled!.dropped], [MAX_QUEUED, 1_500 - MAX_QUEUED])
  assert.equal(Buffer.from(broker.next(stalled!)!.payload).toString(), '500')
  assert.equal(broker.counters.events_dropped, 500)
})

test('bytes that wait are limited too; one large event waits alone', () => {
  const broker = new Broker({})
  const subscriber = broker.open('node 1')
  broker.handle(0, subscriber, event('*'))
  for (let i = 0; i < 3; i++) broker.publish({ topic: 'a', payload: new Uint8Array(600_000) })
  assert.deepEqual([subscriber.queue.length, subscriber.dropped], [1, 2])
  broker.publish({ topic: 'a', payload: new Uint8Array(16_777_216) })
  assert.deepEqual([subscriber.queue.length, subscriber.dropped], [1, 3])
})

test('one node publishes a hundred events a second, over however many connections', () => {
  const broker = new Broker({})
  const [one, two] = [broker.open('node 1'), broker.open('node 1')]
  for (const each of [one, two]) broker.handle(0, each, event('a'))
  const handled = Array.from({ length: 300 }, (_, i) => broker.handle(0, i % 2 === 0 ? one : two, event('a')))
  assert.equal(handled.filter((each) => each === 'published').length, EVENTS_AT_ONCE)
  assert.equal(broker.counters.events_limited, 300 - EVENTS_AT_ONCE)
  const other = broker.open('node 2')
  broker.handle(0, other, event('a'))
  assert.equal(broker.handle(0, other, event('a')), 'published')
  assert.equal(broker.handle(1_000, one, event('a')), 'published')
})

test('topics that are not allowed can be neither subscribed to nor published', () => {
  const broker = new Broker({ topics: ['ci.*', 'news'] })
  const [subscriber, everything] = [broker.open('1'), broker.open('2')]
  assert.equal(broker.handle(0, subscriber, event('secret')), 'refused')
  assert.equal(broker.handle(0, subscriber, event('ci.build')), 'subscribed')
  assert.equal(broker.handle(0, everything, event('*')), 'subscribed')
  assert.equal(broker.handle(0, subscriber, event('secret')), 'refused')
  assert.equal(broker.handle(0, subscriber, event('news')), 'published')
  assert.deepEqual([everything.queue.length, isAllowed('newsletter', ['news'])], [1, false])
})

test('a subscriber that has left gets nothing, and nothing of it stays', () => {
  const broker = new Broker({})
  const subscriber = broker.open('1')
  broker.handle(0, subscriber, event('a'))
  broker.close(subscriber)
  broker.publish(event('a'))
  assert.deepEqual([subscriber.queue.length, [...broker.takeWoken()]], [0, []])
})
