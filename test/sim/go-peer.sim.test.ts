/**
 * Our node and a Go-shaped one (test/go-shaped, checked against recordings of the real daemon) in the virtual world:
 * either side dials, the network loses and reorders, either side restarts. The numbers in the names are seeds.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FLAG_ACK } from '../../src/wire/packet.ts'
import type { GoStream } from '../go-shaped/stream.ts'
import { SimGoNode } from './simulator/sim-go-node.ts'
import { SimOverlay } from './simulator/overlay.ts'
import type { SimOverlayOptions } from './simulator/overlay.ts'
import type { SimNode } from './simulator/sim-node.ts'
import type { SimStream } from './simulator/sim-stream.ts'

interface Setting {
  readonly sim: SimOverlay
  readonly ours: SimNode
  readonly go: SimGoNode
}

/** A public Go node and a private node of ours that trust each other; ours echoes on port 80. */
function setting(options: SimOverlayOptions, { goPublic = true } = {}): Setting {
  const sim = new SimOverlay(options)
  const go = new SimGoNode(sim, 1, 'go-a', goPublic)
  const ours = sim.node('ours', { trust: ['go-a'] })
  ours.listen(80, (stream) => {
    stream.echo = true
  })
  sim.until('both registered', 10_000, () => ours.registered && go.nodeId !== 0)
  go.registration.requestHandshake(ours.nodeId)
  sim.until('trust on our side', 60_000, () => ours.state.trust.isTrusted(go.nodeId))
  sim.until('trust on the Go side', 90_000, () => go.node.trusted.has(ours.nodeId))
  return { sim, ours, go }
}

function open(sim: SimOverlay, stream: SimStream, ms = 40_000): SimStream {
  sim.until('open', ms, () => stream.state === 'open')
  return stream
}

function bytesOf(stream: GoStream): Buffer {
  return Buffer.concat(stream.received)
}

for (let seed = 1; seed <= 10; seed++) {
  for (const lossRate of [0, 0.01, 0.05]) {
    test(`200 kB to the echo of a Go node and back, ${lossRate * 100} % lost (seed ${seed})`, () => {
      const { sim, ours, go } = setting({ seed, path: { delayMs: 10, jitterMs: 4, lossRate } })
      const stream = open(sim, ours.dial(String(go.nodeId), 7))
      const sent = sim.random.bytes(200_000)
      stream.write(sent)
      sim.until('echo', 600_000, () => stream.receivedBytes >= sent.length || stream.over)
      // A Go sender gives up a segment after eight transmissions, which must not happen at this loss rate.
      assert.equal(stream.end, undefined)
      assert.ok(stream.data.equals(sent))
    })

    test(`a Go node gets 200 kB back from our echo, ${lossRate * 100} % lost (seed ${seed})`, () => {
      const { sim, ours, go } = setting({ seed, path: { delayMs: 10, jitterMs: 4, lossRate } })
      const stream = go.dial(ours.nodeId, 80)
      sim.until('open', 40_000, () => stream.state === 'ESTABLISHED')
      const sent = sim.random.bytes(200_000)
      go.write(stream, sent)
      sim.until('echo', 600_000, () => stream.receivedBytes >= sent.length || stream.failure !== undefined)
      assert.equal(stream.failure, undefined)
      assert.ok(bytesOf(stream).equals(sent))
    })
  }

  test(`Q12: 50 connections at once are paced, and none fails (seed ${seed})`, () => {
    const { sim, ours, go } = setting({ seed, path: { delayMs: 10 } })
    const began = sim.world.nowMs
    const streams = Array.from({ length: 50 }, () => ours.dial(String(go.nodeId), 7))
    sim.until('all open', 12_000, () => streams.every(({ state }) => state !== 'dialling'))
    assert.ok(streams.every(({ state }) => state === 'open'))
    assert.equal(go.node.counts['syn_limited'], undefined, 'no SYN was wasted')
    assert.ok(sim.world.nowMs - began > 3_500)
  })

  test(`Q5: a Go application that stops reading never gets more than its slots, and reads everything later (seed ${seed})`, () => {
    const { sim, ours, go } = setting({ seed, path: { delayMs: 5, jitterMs: 2 } })
    const accepted: GoStream[] = []
    go.node.listen(5_000, (stream) => {
      stream.reading = false
      accepted.push(stream)
    })
    const stream = open(sim, ours.dial(String(go.nodeId), 5_000))
    const other = open(sim, ours.dial(String(go.nodeId), 7))
    const sent = sim.random.bytes(900_000)
    stream.write(sent)
    sim.run(20_000)
    assert.ok(accepted[0]!.freeSlots >= 0, 'one more segment would block the whole daemon')
    other.write(Buffer.from('still there?'))
    sim.until('the other stream continues', 3_000, () => other.receivedBytes === 12)
    const drain = (): void => {
      if (stream.over) return
      go.turn((now) => go.node.resume(now, accepted[0]!))
      accepted[0]!.reading = false
      sim.world.after(50, drain)
    }
    drain()
    sim.until('all of it', 240_000, () => accepted[0]!.receivedBytes === sent.length || stream.over)
    assert.ok(bytesOf(accepted[0]!).equals(sent))
  })

  test(`Q4: our reader stalls for 20 s; the Go sender is slowed, not reset, and every byte arrives (seed ${seed})`, () => {
    const { sim, ours, go } = setting({ seed, path: { delayMs: 10 } })
    ours.listen(81, (stream) => {
      stream.reading = false
    })
    const stream = go.dial(ours.nodeId, 81)
    sim.until('open', 40_000, () => stream.state === 'ESTABLISHED')
    const sent = sim.random.bytes(3_000_000)
    go.write(stream, sent)
    sim.run(20_000)
    const inbound = ours.accepted.at(-1)!
    assert.equal(stream.failure, undefined)
    inbound.resume()
    sim.until('all of it', 240_000, () => inbound.receivedBytes === sent.length || inbound.over)
    assert.ok(inbound.data.equals(sent))
  })

  for (const who of ['ours', 'go'] as const) {
    test(`${who === 'go' ? 'the Go node' : 'our node'} restarts in the middle: old streams end, new ones work both ways (seed ${seed})`, () => {
      const { sim, ours, go } = setting({ seed, path: { delayMs: 10 } })
      const stream = open(sim, ours.dial(String(go.nodeId), 7))
      const inbound = go.dial(ours.nodeId, 80)
      sim.until('open', 40_000, () => inbound.state === 'ESTABLISHED')
      if (who === 'go') go.turn(() => go.node.restart())
      else ours.restart()
      if (who === 'go') {
        stream.write(Buffer.from('hello?'))
        sim.until('the old stream ends', 20_000, () => stream.over)
      }
      sim.until('registered', 30_000, () => ours.registered)
      const again = open(
        sim,
        retrying(sim, () => ours.dial(String(go.nodeId), 7)),
      )
      again.write(Buffer.from('hello'))
      sim.until('echo', 10_000, () => again.receivedBytes === 5)
      let back = go.dial(ours.nodeId, 80)
      sim.until('the Go node reaches us', 90_000, () => {
        if (back.failure !== undefined) back = go.dial(ours.nodeId, 80)
        return back.state === 'ESTABLISHED'
      })
      go.write(back, Buffer.from('hello'))
      sim.until('its echo', 10_000, () => back.receivedBytes === 5)
    })
  }

  test(`a private Go node and ours: trust through the registry, then both ways (seed ${seed})`, () => {
    const { sim, ours, go } = setting({ seed, path: { delayMs: 10 } }, { goPublic: false })
    const stream = open(sim, ours.dial(String(go.nodeId), 7))
    stream.write(Buffer.from('hello'))
    sim.until('echo', 10_000, () => stream.receivedBytes === 5)
    const inbound = go.dial(ours.nodeId, 80)
    sim.until('open', 40_000, () => inbound.state === 'ESTABLISHED')
  })
}

test('Q2: our half-close towards a Go node is held until its direction ends, so the answer arrives', () => {
  const { sim, ours, go } = setting({ seed: 1, path: { delayMs: 10 } })
  go.node.listen(5_000, (stream) => {
    stream.onData = () =>
      sim.world.after(5_000, () =>
        go.turn((now) => {
          stream.write(now, Buffer.from('the answer'))
          sim.world.after(200, () => go.turn((later) => stream.close(later)))
        }),
      )
  })
  const stream = open(sim, ours.dial(String(go.nodeId), 5_000))
  stream.write(Buffer.from('a question'))
  stream.shutdown()
  sim.until('the answer', 20_000, () => stream.receivedBytes === 10)
  sim.until('the end', 20_000, () => stream.over)
  assert.equal(stream.end, 'finished')
})

test("when our service ends first, its Go client's stream ends after the last byte", () => {
  const { sim, ours, go } = setting({ seed: 1, path: { delayMs: 10, lossRate: 0.03 } })
  const sent = sim.random.bytes(300_000)
  ours.listen(81, (stream) => {
    stream.write(sent)
    stream.shutdown()
  })
  const stream = go.dial(ours.nodeId, 81)
  sim.until('the end', 60_000, () => stream.ended)
  assert.ok(bytesOf(stream).equals(sent))
  assert.equal(stream.failure, undefined)
})

test('Q1: FIN|ACK is never answered: a closed stream is silent within seconds', () => {
  const { sim, ours, go } = setting({ seed: 1, path: { delayMs: 10 } })
  const stream = open(sim, ours.dial(String(go.nodeId), 7))
  stream.write(Buffer.from('hello'))
  sim.until('echo', 10_000, () => stream.receivedBytes === 5)
  stream.close()
  sim.run(3_000)
  const before = sim.network.sent
  sim.run(5_000)
  assert.ok(sim.network.sent - before < 10, `${sim.network.sent - before} datagrams after the close`)
})

test('Q19: a stream idle for ten minutes stays up on both sides', () => {
  const { sim, ours, go } = setting({ seed: 1, path: { delayMs: 10 } })
  const stream = open(sim, ours.dial(String(go.nodeId), 7))
  const inbound = go.dial(ours.nodeId, 80)
  sim.until('open', 40_000, () => inbound.state === 'ESTABLISHED')
  sim.run(600_000)
  stream.write(Buffer.from('hello'))
  go.write(inbound, Buffer.from('hello'))
  sim.until('both echoes', 10_000, () => stream.receivedBytes === 5 && inbound.receivedBytes === 5)
})

test('a Go node stays on the direct path: nothing we send reaches it through the relay first', () => {
  const { sim, ours, go } = setting({ seed: 1, path: { delayMs: 60 }, registryLatencyMs: 60 })
  open(sim, ours.dial(String(go.nodeId), 7))
  assert.equal(go.node.isRelayed(ours.nodeId), false)
})

test('a Go node too busy to answer pings, but not our streams, stays on the direct path', () => {
  const { sim, ours, go } = setting({ seed: 2, path: { delayMs: 20, lossRate: 0.05 } })
  let received = 0
  go.node.listen(5_000, (stream) => {
    stream.onData = (bytes) => {
      received += bytes.length
    }
  })
  const stream = open(sim, ours.dial(String(go.nodeId), 5_000))
  go.node.answersPings = false
  stream.write(sim.random.bytes(1_000_000))
  sim.until('all of it', 600_000, () => received === 1_000_000 || stream.over)
  assert.equal(go.node.isRelayed(ours.nodeId), false)
  assert.equal(ours.state.peers.get(go.nodeId)!.paths.current!.kind, 'direct')
})

test('an interface change on our machine does not push a Go node onto the relay', () => {
  const { sim, ours, go } = setting({ seed: 1, path: { delayMs: 10 } })
  const stream = open(sim, ours.dial(String(go.nodeId), 7))
  ours.interfacesChanged()
  sim.run(10_000)
  assert.equal(go.node.isRelayed(ours.nodeId), false)
  stream.write(Buffer.from('hello'))
  sim.until('echo', 1_000, () => stream.receivedBytes === 5)
})

test("a Go service's short messages are acknowledged on arrival, because it sends the next one only then", () => {
  const { sim, ours, go } = setting({ seed: 1, path: { delayMs: 1 } })
  go.node.listen(5_000, (stream) => {
    let left = 200
    const next = (): void =>
      go.turn((now) => {
        if (stream.unackedBytes === 0 && left-- > 0) stream.write(now, new Uint8Array(1_000))
        if (left > 0) sim.world.after(0.1, next)
      })
    next()
  })
  const stream = open(sim, ours.dial(String(go.nodeId), 5_000))
  const began = sim.world.nowMs
  sim.until('all of them', 10_000, () => stream.receivedBytes === 200_000)
  assert.ok(sim.world.nowMs - began < 200 * 2.2, `${sim.world.nowMs - began} ms; a round trip takes 2`)
})

test('data that begins like SACK blocks reaches a Go node intact', () => {
  const { sim, ours, go } = setting({ seed: 1, path: { delayMs: 10 } })
  const stream = open(sim, ours.dial(String(go.nodeId), 7))
  const trap = Buffer.concat([Buffer.from('SACK\u0001'), Buffer.alloc(40, FLAG_ACK)])
  stream.write(trap)
  sim.until('echo', 10_000, () => stream.receivedBytes === trap.length || stream.over)
  assert.deepEqual(stream.data, trap)
})

/** Dials that fail before a restart is noticed are retried, as a client would. */
function retrying(sim: SimOverlay, dial: () => SimStream): SimStream {
  let stream = dial()
  sim.until('a dial comes through', 60_000, () => {
    if (stream.state === 'failed' || stream.end !== undefined) stream = dial()
    return stream.state === 'open' && stream.end === undefined
  })
  return stream
}

test('a Go node dropped by the registry registers again after three heartbeats and can then be dialled', () => {
  const { sim, ours, go } = setting({ seed: 1 }, { goPublic: false })
  sim.registry.clockOffsetMs = 3_600_000
  sim.registry.sweep() // after an hour of silence
  const isKnown = (): boolean =>
    (sim.registry.handle('192.0.2.9', { type: 'lookup', node_id: go.nodeId }) as { type: string }).type === 'lookup_ok'
  assert.equal(isKnown(), false)
  sim.until('registered again', 120_000, isKnown)
  sim.run(1_000)
  ours.restart() // it no longer knows the other's address
  sim.until('registered', 10_000, () => ours.registered)
  open(sim, ours.dial(String(go.nodeId), 7), 10_000)
})

for (const seed of [1, 2, 3])
  test(`a Go node that restarted dials from the same ports and with the same first sequence: its bytes join no earlier stream (seed ${seed})`, () => {
    const { sim, ours, go } = setting({ seed, path: { delayMs: 10 } })
    const old = go.dial(ours.nodeId, 80)
    sim.until('open', 40_000, () => old.state === 'ESTABLISHED')
    go.write(old, Buffer.from('of the first life'))
    sim.until('echo', 10_000, () => bytesOf(old).length === 17)
    go.turn(() => go.node.restart())
    const fresh = go.dial(ours.nodeId, 80)
    assert.equal(fresh.localPort, old.localPort)
    sim.until('open again', 40_000, () => fresh.state === 'ESTABLISHED')
    go.write(fresh, Buffer.from('second'))
    sim.until('echo', 40_000, () => bytesOf(fresh).length >= 6)
    assert.equal(bytesOf(fresh).toString(), 'second')
    const [first, second] = ours.accepted
    assert.equal(first!.data.toString(), 'of the first life')
    assert.ok(first!.over && first!.end !== 'finished', 'the stream of the first life is reset')
    assert.equal(second!.data.toString(), 'second')
  })
