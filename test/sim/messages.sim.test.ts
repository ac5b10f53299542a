/**
 * Messages and files between two whole nodes under virtual time: the machines of both ends, on streams of the simulator, with
 * disks that survive a kill. A receiver is a `MemoryInbox`; a sender is the schedule with what waits, as on its disk.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import {
  type Parcel,
  send,
  type SenderAsk,
  type SenderOutcome,
  type Sending,
  type Sent,
  WINDOW_BYTES,
} from '../../src/proto/messages/sender.ts'
import { MAX_PAUSE_MS, Schedule } from '../../src/proto/messages/schedule.ts'
import { MemoryConnection, MemoryInbox } from '../unit/proto/messages/memory-inbox.ts'
import { SimOverlay } from './simulator/overlay.ts'
import type { SimNode } from './simulator/sim-node.ts'
import type { SimStream } from './simulator/sim-stream.ts'

const DATA_PORT = 1_001
const TICK_MS = 20

interface Waiting {
  readonly parcel: Parcel
  readonly content: Buffer
  readonly expiresAt: number
}

/** Serves data exchange on a node, through its kills. */
function serve(sim: SimOverlay, node: SimNode, inbox: MemoryInbox): void {
  node.listen(DATA_PORT, (stream) => {
    const connection = new MemoryConnection(inbox)
    let [taken, written] = [0, 0]
    const pump = (): void => {
      if (stream.born !== node.lives || !node.alive) return // killed: its memory is gone
      inbox.now = sim.world.nowMs
      for (; taken < stream.received.length; taken++) connection.push(stream.received[taken])
      if (stream.readEnded) connection.push(undefined)
      for (; written < connection.written.length; written++) stream.write(connection.written[written]!)
      if (connection.end !== undefined) return stream.shutdown()
      if (!stream.over) sim.world.after(TICK_MS, pump)
    }
    pump()
  })
}

/** The outbox of a node. */
class SimOutbox {
  readonly waiting = new Map<string, Waiting>() // on disk
  readonly ended: string[] = []
  tries = 0
  /** How often each chunk of a file was sent, by offset. */
  readonly sentChunks = new Map<number, number>()
  readonly #sim: SimOverlay
  readonly #node: SimNode
  #schedule: Schedule

  constructor(sim: SimOverlay, node: SimNode) {
    this.#sim = sim
    this.#node = node
    this.#schedule = this.#fresh()
    this.#tick()
  }

  add(id: string, content: Buffer, type: 'TEXT' | 'FILE' = 'TEXT'): void {
    const sha256 = createHash('sha256').update(content).digest()
    const parcel = { type, name: type === 'FILE' ? id : '', bytes: content.length, sha256, messageId: id }
    const expiresAt = this.#sim.world.nowMs + 7 * 86_400_000
    this.waiting.set(id, { parcel, content, expiresAt })
    this.#enter(id, type, expiresAt)
  }

  /** What is left after a kill: what was on disk. */
  restart(): void {
    this.#schedule = this.#fresh()
    for (const [id, { parcel, expiresAt }] of this.waiting) this.#enter(id, parcel.type, expiresAt)
  }

  #fresh(): Schedule {
    return new Schedule(() => this.#sim.random.below(1_000) / 1_000)
  }

  #enter(id: string, type: Parcel['type'], expiresAt: number): void {
    this.#schedule.add(this.#sim.world.nowMs, {
      id,
      peer: 'agent-b',
      kind: type === 'FILE' ? 'file' : 'message',
      expiresAt,
    })
  }

  #tick(): void {
    const now = this.#sim.world.nowMs
    if (this.#node.alive)
      for (let due = this.#schedule.poll(now); due !== undefined; due = this.#schedule.poll(now)) {
        assert.equal(due.do, 'try')
        this.#try(due.id)
      }
    this.#sim.world.after(TICK_MS, () => this.#tick())
  }

  #try(id: string): void {
    this.tries += 1
    const { parcel, content } = this.waiting.get(id)!
    const schedule = this.#schedule
    SimCourier.start(this.#sim, this.#node, content, send(parcel), this.sentChunks, (sent) => {
      if (schedule !== this.#schedule) return // it was killed
      const isDelivered = sent?.state === 'delivered'
      if (isDelivered) {
        this.waiting.delete(id)
        this.ended.push(id)
      }
      schedule.settle(this.#sim.world.nowMs, id, isDelivered ? 'gone' : sent === undefined ? 'later' : 'refused')
    })
  }
}

class SimCourier {
  readonly #sim: SimOverlay
  readonly #node: SimNode
  readonly #content: Buffer
  readonly #machine: Sending
  readonly #sentChunks: Map<number, number>
  readonly #onEnd: (sent: Sent | undefined) => void
  #stream: SimStream
  #taken = 0
  #step: IteratorResult<SenderAsk, Sent> | undefined
  #lateAt = Infinity

  static start(...about: ConstructorParameters<typeof SimCourier>): void {
    new SimCourier(...about).#pump()
  }

  constructor(
    sim: SimOverlay,
    node: SimNode,
    content: Buffer,
    machine: Sending,
    sentChunks: Map<number, number>,
    onEnd: (sent: Sent | undefined) => void,
  ) {
    this.#sim = sim
    this.#node = node
    this.#content = content
    this.#machine = machine
    this.#sentChunks = sentChunks
    this.#onEnd = onEnd
    this.#stream = node.dial('agent-b', DATA_PORT)
  }

  #pump(): void {
    const stream = this.#stream
    if (stream.born !== this.#node.lives || !this.#node.alive) return
    if (stream.state === 'failed') return this.#onEnd(undefined)
    if (stream.over && this.#taken === stream.received.length)
      return this.#onEnd({ state: 'failed', why: 'the connection ended', isFinal: false })
    if (stream.state === 'open') {
      this.#step ??= this.#machine.next({})
      while (this.#step.done !== true) {
        const outcome = this.#perform(this.#step.value)
        if (outcome === undefined) break
        this.#lateAt = Infinity
        this.#step = this.#machine.next(outcome)
      }
      if (this.#step.done === true) {
        stream.shutdown()
        return this.#onEnd(this.#step.value)
      }
    }
    this.#sim.world.after(TICK_MS, () => this.#pump())
  }

  /** Undefined: not yet. */
  #perform(ask: SenderAsk): SenderOutcome | undefined {
    switch (ask.do) {
      case 'more': {
        const bytes = this.#stream.received[this.#taken]
        if (bytes !== undefined) {
          this.#taken += 1
          return { bytes }
        }
        if (this.#stream.readEnded || this.#stream.over) return {}
        this.#lateAt = Math.min(this.#lateAt, this.#sim.world.nowMs + ask.waitMs)
        return this.#sim.world.nowMs >= this.#lateAt ? { late: true } : undefined
      }
      case 'read':
        if (this.#stream.unsent > 4) return undefined // as the window allows
        this.#sentChunks.set(ask.offset, (this.#sentChunks.get(ask.offset) ?? 0) + 1)
        return { bytes: this.#content.subarray(ask.offset, ask.offset + ask.length) }
      case 'write':
        this.#stream.write(ask.bytes)
        return {}
      case 'redial':
        this.#stream.shutdown()
        this.#stream = this.#node.dial('agent-b', DATA_PORT)
        this.#taken = 0
        return {}
      case 'progress':
        return {}
    }
  }
}

for (const seed of [1, 2, 3]) {
  test(`a peer is off for an hour: what was sent meanwhile arrives once, in order (seed ${seed})`, () => {
    const sim = new SimOverlay({ seed, path: { delayMs: 20, lossRate: 0.02 } })
    const [a, b] = sim.pair()
    const [inbox, outbox] = [new MemoryInbox(), new SimOutbox(sim, a)]
    serve(sim, b, inbox)
    b.kill()
    const ids = ['one', 'two', 'three']
    for (const id of ids) outbox.add(id, Buffer.from(id))
    sim.world.run({ untilMs: sim.world.nowMs + 3_600_000 })
    assert.equal(inbox.kept.length, 0)
    assert.ok(outbox.tries < 3_600_000 / (0.7 * MAX_PAUSE_MS) + 10, `${outbox.tries} tries`)
    b.restart()
    sim.until('delivered', 1.3 * MAX_PAUSE_MS + 30_000, () => outbox.ended.length === 3)
    sim.world.run({ untilMs: sim.world.nowMs + 600_000 })
    assert.deepEqual(
      inbox.kept.map(({ content }) => content.toString()),
      ids,
    )
    assert.deepEqual(outbox.ended, ids)
  })

  test(`a message whose receipt is lost arrives once (seed ${seed})`, () => {
    const sim = new SimOverlay({ seed, path: { delayMs: 20 } })
    const [a, b] = sim.pair()
    const [inbox, outbox] = [new MemoryInbox(), new SimOutbox(sim, a)]
    serve(sim, b, inbox)
    for (const id of ['one', 'two', 'three', 'four']) {
      outbox.add(id, Buffer.from(id))
      sim.until('kept', 120_000, () => inbox.kept.some(({ messageId }) => messageId === id))
      assert.ok(!outbox.ended.includes(id)) // its receipt is under way
      a.kill()
      sim.world.run({ untilMs: sim.world.nowMs + 1_000 })
      a.restart()
      outbox.restart()
      sim.until('delivered', 120_000, () => outbox.ended.includes(id))
    }
    assert.deepEqual(
      inbox.kept.map(({ messageId }) => messageId),
      ['one', 'two', 'three', 'four'],
    )
  })

  test(`a file of 12 MB, each side killed four times: it arrives once, and no byte is sent more than twice (seed ${seed})`, () => {
    const sim = new SimOverlay({ seed, path: { delayMs: 10, lossRate: 0.005 } })
    const [a, b] = sim.pair()
    const [inbox, outbox] = [new MemoryInbox(), new SimOutbox(sim, a)]
    serve(sim, b, inbox)
    const content = Buffer.from(sim.random.bytes(12_000_000))
    outbox.add('file.bin', content, 'FILE')
    const arrived = (): number => [...inbox.parts.values()][0]?.length ?? 0
    for (let kill = 1; kill <= 8; kill++) {
      const next = arrived() + WINDOW_BYTES + 200_000
      sim.until(`kill ${kill}`, 600_000, () => arrived() >= next)
      const victim = kill % 2 === 0 ? a : b
      victim.kill()
      sim.world.run({ untilMs: sim.world.nowMs + sim.random.below(5_000) })
      victim.restart()
      if (victim === a) outbox.restart()
    }
    sim.until('delivered', 600_000, () => outbox.ended.length === 1)
    assert.equal(inbox.kept.length, 1)
    assert.ok(inbox.kept[0]!.content.equals(content))
    assert.ok(Math.max(...outbox.sentChunks.values()) <= 2)
    assert.ok(outbox.tries > 8)
  })
}

test('a refusal is repeated until there is room; the next message passes', () => {
  const sim = new SimOverlay({ seed: 1, path: { delayMs: 20 } })
  const [a, b] = sim.pair()
  const [inbox, outbox] = [new MemoryInbox(), new SimOutbox(sim, a)]
  serve(sim, b, inbox)
  inbox.refusal = 'the folder is full'
  outbox.add('one', Buffer.from('one'))
  outbox.add('two', Buffer.from('two'))
  sim.world.run({ untilMs: sim.world.nowMs + 300_000 })
  assert.equal(inbox.kept.length + outbox.ended.length, 0)
  inbox.refusal = undefined
  sim.until('both', 3 * MAX_PAUSE_MS, () => outbox.ended.length === 2)
  assert.equal(inbox.kept.length, 2)
})
