import { SimOverlay } from './simulator/overlay.ts'
const sim = new SimOverlay({ seed: 1, path: { delayMs: 10, rateBps: 20e6 } })
const [a, b] = sim.pair()
b.listen(80, (stream) => { stream.echo = true })
const stream = a.dial('agent-b', 80)
sim.until('open', 5_000, () => stream.state === 'open')
stream.write(sim.random.bytes(2_000_000))
sim.run(300)
sim.network.cut('203.0.113.1', '203.0.113.2', true)
for (let i = 0; i < 40; i++) {
  sim.run(250)
  for (const n of [a,b]) { const p = n.peer(n===a?b:a)!; console.log(n===a?'A':'B', i*250, stream.receivedBytes, p.paths.all().map(q=>[q.kind, 'ans', q.answered,'heard', (sim.world.nowMs-q.heardAt).toFixed(),'dead', q.dead, 'susp', q.suspect, q=== p.paths.current ? 'CUR':'', q.probesOut, q.probesLost].join(' '))) }
}
