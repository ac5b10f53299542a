/** Peers, registry and beacon that stop, restart, forget or fall silent. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { KEEPALIVE_MS, PEER_DEAD_MS } from '../../src/proto/node/constants.ts'
import { SimOverlay, trusts } from './simulator/overlay.ts'

const GONE_WITHIN_MS = KEEPALIVE_MS + PEER_DEAD_MS + 1_000

for (const seed of [1, 2, 3]) {
  for (const activity of ['idle', 'active'] as const) {
    test(`a peer's restart ends an ${activity} stream in time, and the peer can be dialled again (seed ${seed})`, () => {
      const sim = new SimOverlay({ seed })
      const [a, b] = sim.pair()
      b.listen(80, (stream) => {
        stream.echo = true
      })
      const old = a.dial('agent-b', 80)
      old.write(sim.random.bytes(10_000))
      sim.until('echo', 5_000, () => old.receivedBytes === 10_000)
      if (activity === 'active') old.write(sim.random.bytes(5_000_000))
      sim.run(50)
      b.restart()
      sim.until('the old stream ends', GONE_WITHIN_MS, () => old.over)
      assert.equal(old.end, 'reset_by_peer')
      const fresh = a.dial('agent-b', 80)
      fresh.write(Buffer.from('hello'))
      sim.until('echo of the new one', 5_000, () => fresh.receivedBytes === 5)
    })
  }

  test(`even if the query for its streams is lost, idle streams do not outlive a peer's restart (seed ${seed})`, () => {
    const sim = new SimOverlay({ seed })
    const [a, b] = sim.pair()
    b.listen(80)
    const streams = Array.from({ length: 10 }, () => a.dial('agent-b', 80))
    sim.until('open', 5_000, () => streams.every((stream) => stream.state === 'open'))
    sim.run(2_000)
    b.restart()
    const restarts = (): number => a.eventsOf('peer').filter(({ state }) => state === 'restarted').length
    let until = Infinity
    sim.network.drops = ({ atMs, from }) => {
      if (until === Infinity && restarts() > 0) until = atMs + 5
      return from.address === a.endpoint.address && restarts() > 0 && atMs < until
    }
    sim.until('new keys', GONE_WITHIN_MS, () => restarts() > 0)
    sim.run(10_000)
    assert.equal(streams.filter((stream) => !stream.over).length, 0, 'streams that only we know')
  })

  test(`a node that restarts on another port can be dialled at once (seed ${seed})`, () => {
    const sim = new SimOverlay({ seed })
    const [a, b] = sim.pair()
    b.listen(80, (stream) => {
      stream.echo = true
    })
    const first = a.dial('agent-b', 80)
    first.write(Buffer.from('hello'))
    sim.until('echo', 5_000, () => first.receivedBytes === 5)
    b.restart({ address: b.endpoint.address, port: 7_777 })
    sim.until('registered', 5_000, () => b.registered)
    sim.until('the old one is over', GONE_WITHIN_MS, () => first.over)
    const second = a.dial('agent-b', 80)
    second.write(Buffer.from('hello'))
    sim.until('second echo', 5_000, () => second.receivedBytes === 5)
  })

  test(`a node that restarts on another port can dial at once, though the peer still holds the old tunnel (seed ${seed})`, () => {
    const sim = new SimOverlay({ seed })
    const [a, b] = sim.pair()
    a.listen(80, (stream) => {
      stream.echo = true
    })
    const first = b.dial('agent-a', 80)
    first.write(Buffer.from('hello'))
    sim.until('echo', 5_000, () => first.receivedBytes === 5)
    for (const port of [7_777, 7_778, 7_779]) {
      b.restart({ address: b.endpoint.address, port })
      sim.until('registered', 5_000, () => b.registered)
      const again = b.dial('agent-a', 80)
      again.write(Buffer.from('hello'))
      sim.until('echo from the other port', 600, () => again.receivedBytes === 5)
    }
  })

  test(`a public node without trust restarts: the private dialler's stream ends early and the next dial works (seed ${seed})`, () => {
    const sim = new SimOverlay({ seed })
    const a = sim.node('agent-a')
    const b = sim.node('agent-b', { public: true })
    sim.until('registered', 5_000, () => a.registered && b.registered)
    sim.run(1_000)
    b.listen(80, (stream) => {
      stream.echo = true
    })
    const old = a.dial('agent-b', 80)
    old.write(Buffer.from('hello'))
    sim.until('echo', 5_000, () => old.receivedBytes === 5)
    b.restart()
    sim.until('registered again', 5_000, () => b.registered)
    old.write(Buffer.from('anyone there?'))
    sim.until('the old stream ends as with a trusted peer, not only by timeout', 5_000, () => old.over)
    const fresh = a.dial('agent-b', 80)
    fresh.write(Buffer.from('hello'))
    sim.until('echo of the new one', 5_000, () => fresh.receivedBytes === 5)
  })

  test(`the registry restarts with its data: streams continue, and new dials work (seed ${seed})`, () => {
    const sim = new SimOverlay({ seed })
    const [a, b] = sim.pair()
    b.listen(80, (stream) => {
      stream.echo = true
    })
    const stream = a.dial('agent-b', 80)
    sim.until('open', 5_000, () => stream.state === 'open')
    sim.registry.restart(false)
    sim.until('registered again', 10_000, () => a.registered && b.registered)
    stream.write(Buffer.from('hello'))
    sim.until('echo', 5_000, () => stream.receivedBytes === 5)
    const next = a.dial('agent-b', 80)
    sim.until('next one', 5_000, () => next.state === 'open')
  })

  for (const order of ['the same', 'the other'] as const) {
    test(`the registry forgets everything and assigns ids in ${order} order: both find each other again (seed ${seed})`, () => {
      const sim = new SimOverlay({ seed })
      const [a, b] = sim.pair()
      b.listen(80, (stream) => {
        stream.echo = true
      })
      const [first, second] = order === 'the same' ? [a, b] : [b, a]
      sim.registry.stop()
      sim.run(500)
      first.link.cut = second.link.cut = true
      sim.registry.restart(true)
      first.link.cut = false
      sim.until('first registered', 10_000, () => first.registered)
      second.link.cut = false
      sim.until('second registered', 10_000, () => second.registered)
      sim.run(10_000)
      assert.ok(trusts(a, b) && trusts(b, a), 'trust holds')
      const stream = a.dial('agent-b', 80)
      stream.write(Buffer.from('hello'))
      sim.until('echo or failure', 10_000, () => stream.receivedBytes === 5 || stream.over)
      assert.equal(stream.failure, undefined)
    })
  }

  test(`a node reachable only by relay restarts on another port: the beacon knows it there within 5 s (seed ${seed})`, () => {
    const sim = new SimOverlay({ seed })
    sim.network.cut('203.0.113.1', '203.0.113.2')
    const [a, b] = sim.pair()
    b.listen(80)
    sim.run(19_000 - (sim.world.nowMs % 1_000))
    b.restart({ address: b.endpoint.address, port: b.endpoint.port + 1 })
    sim.run(5_000)
    let delivered = 0
    sim.network.audits.push(({ to, bytes }) => {
      if (to.port === b.endpoint.port && bytes[0] === 0x06) delivered += 1
    })
    a.dial('agent-b', 80)
    sim.run(2_000)
    assert.ok(delivered > 0)
  })

  test(`a registry without its memory swaps the ids of two stopped nodes: trust granted by hand holds (seed ${seed})`, () => {
    const sim = new SimOverlay({ seed })
    const [a, b] = sim.pair()
    for (const node of [a, b])
      assert.deepEqual(node.state.trust.outgoing, [], 'no request from the configuration is left')
    b.listen(80, (stream) => {
      stream.echo = true
    })
    const before = [a.nodeId, b.nodeId]
    a.kill()
    b.kill()
    sim.registry.restart(true)
    b.withoutWishes().start()
    sim.until('the first', 10_000, () => b.registered)
    a.withoutWishes().start()
    sim.until('the second', 10_000, () => a.registered)
    assert.deepEqual([b.nodeId, a.nodeId], before)
    sim.until('trust', 60_000, () => trusts(a, b) && trusts(b, a))
    sim.run(1_000)
    const stream = a.dial('agent-b', 80)
    stream.write(Buffer.from('hello'))
    sim.until('echo or failure', 10_000, () => stream.receivedBytes === 5 || stream.over)
    assert.equal(stream.failure, undefined)
  })

  test(`two of our peers swap ids: each is recognised by its key (seed ${seed})`, () => {
    const sim = new SimOverlay({ seed })
    const a = sim.node('agent-a', { trust: ['agent-b', 'agent-c'] })
    const [b, c] = [sim.node('agent-b', { trust: ['agent-a'] }), sim.node('agent-c', { trust: ['agent-a'] })]
    sim.until('trust', 60_000, () => [b, c].every((node) => trusts(a, node) && trusts(node, a)))
    sim.run(1_000)
    for (const node of [b, c])
      node.listen(80, (stream) => {
        stream.echo = true
      })
    const nodes = [a, b, c]
    for (const node of nodes) node.kill()
    sim.registry.restart(true)
    for (const node of [a, c, b]) {
      node.withoutWishes().start()
      sim.until('registered', 10_000, () => node.registered)
    }
    assert.deepEqual(
      nodes.map(({ nodeId }) => nodeId),
      [1, 3, 2],
    )
    sim.until(
      'trust',
      60_000,
      () =>
        [b, c].every((node) => a.state.trust.keyOf(node.nodeId) !== undefined && trusts(node, a)) &&
        [b, c].every((node) => Buffer.from(a.state.trust.keyOf(node.nodeId)!).equals(node.identity.publicKey)),
    )
    sim.run(1_000)
    for (const name of ['agent-b', 'agent-c']) {
      const stream = a.dial(name, 80)
      stream.write(Buffer.from('hello'))
      sim.until('echo or failure', 10_000, () => stream.receivedBytes === 5 || stream.over)
      assert.equal(stream.failure, undefined, name)
    }
  })

  test(`a peer that was away when ids changed keeps our trust across our restart, and so does its id's new owner (seed ${seed})`, () => {
    const sim = new SimOverlay({ seed })
    const a = sim.node('agent-a', { trust: ['agent-b', 'agent-c'] })
    const [b, c] = [sim.node('agent-b', { trust: ['agent-a'] }), sim.node('agent-c', { trust: ['agent-a'] })]
    sim.until('trust', 60_000, () => [b, c].every((node) => trusts(a, node) && trusts(node, a)))
    sim.run(1_000)
    for (const node of [b, c])
      node.listen(80, (stream) => {
        stream.echo = true
      })
    for (const node of [a, b, c]) node.kill()
    sim.registry.restart(true)
    const stranger = sim.node('stranger')
    sim.until('a stranger', 10_000, () => stranger.registered)
    for (const node of [c, a]) {
      node.withoutWishes().start()
      sim.until('registered', 10_000, () => node.registered)
    }
    assert.equal(c.nodeId, 2, 'the id of agent-b, which is away')
    sim.until('trust in the one that is there', 60_000, () => trusts(a, c) && trusts(c, a))
    sim.run(1_000)
    a.restart()
    sim.until('registered', 10_000, () => a.registered)
    assert.equal(trusts(a, c), true, 'the one that has the id now')
    b.withoutWishes().start()
    sim.until('trust in both', 60_000, () => [b, c].every((node) => trusts(a, node) && trusts(node, a)))
    sim.run(1_000)
    for (const name of ['agent-b', 'agent-c']) {
      const stream = a.dial(name, 80)
      stream.write(Buffer.from('hello'))
      sim.until('echo or failure', 10_000, () => stream.receivedBytes === 5 || stream.over)
      assert.equal(stream.failure, undefined, name)
    }
  })

  test(`a dial pending while the registry assigns us another id fails rather than hanging (seed ${seed})`, () => {
    const sim = new SimOverlay({ seed })
    const [a, b] = sim.pair()
    b.listen(80)
    const first = a.dial('agent-b', 80)
    sim.until('open', 5_000, () => first.state === 'open')
    b.kill()
    sim.until('gone', GONE_WITHIN_MS + PEER_DEAD_MS, () => first.over)
    sim.registry.stop()
    a.link.cut = true
    sim.run(2_000)
    sim.registry.restart(true)
    const other = sim.node('takes-our-id')
    sim.until('it did', 5_000, () => other.nodeId === a.nodeId)
    const dial = a.dial(String(b.nodeId), 80) // the previous path is tried for four seconds
    a.link.cut = false
    sim.until('another id', 3_000, () => a.nodeId !== other.nodeId)
    sim.run(60_000)
    assert.equal(dial.state, 'failed')
    assert.equal(a.state.peers.size, 0, 'nothing is kept of the old id')
  })

  test(`the registry is up but silent: streams continue, and dials to a known peer work (seed ${seed})`, () => {
    const sim = new SimOverlay({ seed })
    const [a, b] = sim.pair()
    b.listen(80, (stream) => {
      stream.echo = true
    })
    const stream = a.dial('agent-b', 80)
    sim.until('open', 5_000, () => stream.state === 'open')
    sim.registry.silent = true
    sim.run(60_000)
    stream.write(Buffer.from('hello'))
    sim.until('echo', 5_000, () => stream.receivedBytes === 5)
    const next = a.dial('agent-b', 80)
    sim.until('next one', 10_000, () => next.state === 'open')
    const unknown = a.dial('agent-c', 80)
    sim.until('an unknown name fails', 15_000, () => unknown.over)
    sim.registry.silent = false
    sim.until('registered again', 30_000, () => a.registered && b.registered)
  })

  test(`a blackout of 10 s loses nothing, one of 60 s ends streams as peer_gone on both sides (seed ${seed})`, () => {
    const sim = new SimOverlay({ seed })
    const [a, b] = sim.pair()
    b.listen(80, (stream) => {
      stream.echo = true
    })
    const stream = a.dial('agent-b', 80)
    sim.until('open', 5_000, () => stream.state === 'open')
    stream.write(sim.random.bytes(3_000_000))
    sim.run(100)
    assert.ok(stream.receivedBytes > 0 && stream.receivedBytes < 3_000_000, `${stream.receivedBytes} bytes`)
    const blackout = (ms: number): void => {
      sim.network.drops = () => true
      sim.run(ms)
      sim.network.drops = undefined
    }
    blackout(10_000)
    sim.until('all of it', 30_000, () => stream.receivedBytes === 3_000_000)
    const accepted = b.accepted[0]!
    blackout(60_000)
    assert.deepEqual([stream.end, accepted.end], ['peer_gone', 'peer_gone'])
    const next = a.dial('agent-b', 80)
    sim.until('works again', 10_000, () => next.state === 'open' || next.over)
    assert.equal(next.failure, undefined)
  })

  test(`revoked trust ends the streams on both sides, and the next dial is refused (seed ${seed})`, () => {
    const sim = new SimOverlay({ seed, path: { delayMs: 10, jitterMs: 10, lossRate: 0.02 } })
    const [a, b] = sim.pair()
    b.listen(80, (stream) => {
      stream.echo = true
    })
    const streams = Array.from({ length: 20 }, () => a.dial('agent-b', 80))
    for (const stream of streams) stream.write(sim.random.bytes(500_000))
    sim.run(1_000)
    b.turn((now) => b.core.revokeTrust(now, a.nodeId))
    sim.until(
      'all over',
      GONE_WITHIN_MS,
      () => streams.every((stream) => stream.over) && b.accepted.every((stream) => stream.over),
    )
    const next = a.dial('agent-b', 80)
    sim.until('refused', 30_000, () => next.over)
    assert.equal(next.state, 'failed')
    assert.equal(b.peer(a)?.connected ?? false, false)
  })
}
