/** The drain loop: its order, and its result for the next turn. A script plays the core. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import type { OverlayCore } from '../../../../src/proto/node/core.ts'
import { createSlot } from '../../../../src/proto/node/datagram-slot.ts'
import { drain, type Drained } from '../../../../src/proto/node/drain.ts'

interface Script {
  readonly streams?: number // with news
  readonly events?: number
  readonly datagrams?: number
  readonly requests?: number
  readonly isHeld?: boolean
  readonly isStale?: boolean
  /** Streams that have news once this many events were reported. */
  readonly laterStreams?: number
  readonly backlogAfter?: (sent: number) => number
}

/** @returns what happened, in order, and the verdict. */
function drained(script: Script, slots = 2): { log: string[]; verdict: Drained } {
  const left = { streams: 0, events: 0, datagrams: 0, requests: 0, laterStreams: 0, ...script }
  const log: string[] = []
  const app = { onNews: (_stream: unknown, news: number) => log.push(`news ${news}`) }
  let sent = 0
  const core = {
    pollStream: () => (left.streams-- > 0 ? { app, takeNews: () => 2 } : undefined),
    pollEvent: () => (left.events-- > 0 ? { kind: 'registry_lost' } : undefined),
    releaseHeld: () => {
      log.push('held')
      return script.isHeld ?? false
    },
    pollDatagram: () => left.datagrams-- > 0,
    pollRegistryRequest: () => (left.requests-- > 0 ? {} : undefined),
    registryStale: script.isStale ?? false,
    link: { way: { wantsLink: false } },
    hasNews: false,
  } as unknown as OverlayCore
  const outside = {
    get backlog() {
      return script.backlogAfter?.(sent) ?? 0
    },
    send: (_batch: unknown, count: number) => {
      sent += count
      log.push(`datagrams ${count}`)
    },
    onEvent: () => {
      log.push('event')
      left.streams = left.laterStreams
      left.laterStreams = 0
    },
    sendRegistry: () => log.push('request'),
    holdLink: () => {},
    dropRegistry: () => log.push('drop'),
  }
  const verdict = drain(core, outside, Array.from({ length: slots }, createSlot), 0)
  return { log, verdict }
}

test('stream news, then events, held segments, datagrams, registry requests', () => {
  const { log, verdict } = drained({ streams: 2, events: 1, datagrams: 3, requests: 2, isStale: true })
  const expected = ['news 2', 'news 2', 'event', 'held', 'datagrams 2', 'datagrams 1', 'request', 'request', 'drop']
  assert.deepEqual([log, verdict], [expected, 'idle'])
})

test('news caused by an event comes before the next event', () => {
  const { log } = drained({ events: 2, laterStreams: 1 })
  assert.deepEqual(log, ['event', 'news 2', 'event', 'held'])
})

test('after 128 datagrams the event loop gets a turn; held segments ask for one too', () => {
  const { log, verdict } = drained({ datagrams: 1_000 }, 64)
  assert.deepEqual([log, verdict], [['held', 'datagrams 64', 'datagrams 64'], 'more'])
  assert.equal(drained({ isHeld: true }).verdict, 'more')
})

test('no more datagrams are built than the kernel accepts', () => {
  const { log, verdict } = drained({ datagrams: 1_000, requests: 1, backlogAfter: (sent) => sent }, 32)
  assert.deepEqual([log, verdict], [['held', 'datagrams 32', 'datagrams 32', 'request'], 'blocked'])
})

test('a stream abandoned by its application is still drained', () => {
  let polls = 0
  const stream = { app: undefined, takeNews: () => (polls += 1) }
  const streams = [stream]
  const core = {
    pollStream: () => streams.shift(),
    pollEvent: () => undefined,
    releaseHeld: () => false,
    pollDatagram: () => false,
    pollRegistryRequest: () => undefined,
    link: { way: { wantsLink: false } },
  } as unknown as OverlayCore
  const nothing = (): void => {}
  drain(
    core,
    { backlog: 0, send: nothing, onEvent: nothing, sendRegistry: nothing, holdLink: nothing, dropRegistry: nothing },
    [],
    0,
  )
  assert.equal(polls, 1)
})
