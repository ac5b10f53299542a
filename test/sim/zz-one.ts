import { SimOverlay, trusts } from './simulator/overlay.ts'
import { KINDS, behind } from './simulator/nat-world.ts'
const [x, y] = process.argv.slice(2) as [string, string]
const sim = new SimOverlay({ seed: 1, path: { delayMs: 10 } })
const a = behind(sim, 'agent-a', 1, KINDS.get(x), { trust: ['agent-b'] }).node
const b = behind(sim, 'agent-b', 2, KINDS.get(y), { trust: ['agent-a'] }).node
sim.until('trust', 60000, () => trusts(a, b) && trusts(b, a))
sim.run(1000)
b.listen(80, (s) => { s.echo = true })
console.log('nat', a.core.context.nat.mapping, a.core.context.nat.filtering, b.core.context.nat.mapping, b.core.context.nat.filtering)
const t0 = sim.world.nowMs
sim.network.audits.push(({atMs, from, to, bytes}) => { if (atMs - t0 < 2500) console.log((atMs-t0).toFixed(1), from.address+':'+from.port, '>', to.address+':'+to.port, bytes[0]! < 16 ? 'beacon'+bytes[0] + (bytes[0]===5?' '+Buffer.from(bytes.subarray(9,13)).toString():bytes[0]===6?' '+Buffer.from(bytes.subarray(5,9)).toString():'') : Buffer.from(bytes.subarray(0,4)).toString(), bytes.length) })
const stream = a.dial('agent-b', 80)
sim.until('open', 10000, () => stream.state === 'open' || stream.over)
console.log('OPEN', sim.world.nowMs - t0)
stream.write(new Uint8Array(2000))
sim.run(Number(process.argv[4] ?? 3000))
for (const n of [a,b]) { const p = n.peer(n===a?b:a)!; console.log(p.paths.all().map(q=>[q.kind,q.endpoint.address+':'+q.endpoint.port,q.answered,q.heard,q.dead, q===p.paths.current].join(' ')), p.search.hello) }
console.log(a.core.context.counters, b.core.context.counters)
