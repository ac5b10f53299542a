/** Limits on where others can make us send: a lying registry, and a flooding stranger. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeAuthFrame } from '../../src/wire/tunnel-frames.ts'
import { SimOverlay } from './simulator/overlay.ts'
import { Puppet } from './simulator/puppet.ts'

for (const [target, isAimedAt] of [
  ['127.0.0.1:22', false],
  ['192.168.7.1:53', false],
  ['localhost:22', false], // a name: the system would look it up
  ['127.1:22', false],
  ['2130706433:22', false],
  ['0x7f000001:22', false],
  ['[::ffff:127.0.0.1]:22', false],
  ['[0:0:0:0:0:0:0:1]:22', false],
  ['[64:ff9b::7f00:1]:22', false],
  ['[2002:7f00:1::]:22', false],
  ['[::127.0.0.1]:22', false],
  ['[::ffff:192.168.7.1]:53', false],
  ['203.0.113.99:4000', true],
  ['[::ffff:203.0.113.99]:4000', true],
] as const) {
  test(`a registry that says a peer is at ${target} ${isAimedAt ? 'is believed' : 'has nothing sent there'}`, () => {
    const sim = new SimOverlay({ seed: 1 })
    const a = sim.node('agent-a')
    const puppet = new Puppet(sim, 1)
    sim.until('registered', 5_000, () => a.registered)
    sim.registry.lie = ({ type }, reply) => (type === 'resolve' ? { ...reply, real_addr: target } : reply)
    const records = sim.record()
    a.dial(String(puppet.nodeId), 80)
    sim.run(5_000)
    const port = Number(target.slice(target.lastIndexOf(':') + 1))
    const aimed = records.filter(({ to }) => to.port === port && to.address !== puppet.endpoint.address)
    assert.equal(aimed.length > 0, isAimedAt, `${aimed.length} datagrams`)
  })
}

for (const [from, addressOf] of [
  ['one address', () => '192.0.2.66'],
  ['a thousand addresses of one IPv6 network', (i) => `2001:db8::${(i % 1_000).toString(16)}`],
] as readonly [string, (i: number) => string][])
  test(`PILA forged in the name of a trusted node, from ${from}, do not delay the real one`, () => {
    const sim = new SimOverlay({ seed: 1, path: { delayMs: 10 } })
    const [a, b] = sim.pair()
    b.listen(80, (stream) => {
      stream.echo = true
    })
    for (let i = 0; i < 25_000; i++) {
      const frame = {
        sender: a.nodeId,
        x25519: new Uint8Array(32).fill(i),
        ed25519: a.identity.publicKey,
        signature: new Uint8Array(64),
      }
      sim.network.inject(
        { address: addressOf(i), port: 1_000 + (i % 50_000) },
        b.endpoint,
        encodeAuthFrame(frame),
        i / 5,
      )
    }
    sim.run(2_000)
    const begun = sim.world.nowMs
    const stream = a.dial('agent-b', 80)
    stream.write(Buffer.from('hello'))
    sim.until('echo', 3_000, () => stream.receivedBytes === 5)
    assert.ok(sim.world.nowMs - begun < 200, `${sim.world.nowMs - begun} ms`)
  })
