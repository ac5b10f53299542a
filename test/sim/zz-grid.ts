import { SimOverlay } from '/work/wt/nat/test/sim/simulator/overlay.ts'
import { KINDS, behind, isDirectPossible } from '/work/wt/nat/test/sim/simulator/nat-world.ts'
import { trusts } from '/work/wt/nat/test/sim/simulator/overlay.ts'
const t0=performance.now()
let bad=0
for (const [x, bx] of KINDS) {
  let row = x.padEnd(10)
  for (const [y, by] of KINDS) {
    const sim = new SimOverlay({ seed: 1, path: { delayMs: 10 } })
    const a = behind(sim, 'agent-a', 1, bx, { trust: ['agent-b'] }).node
    const b = behind(sim, 'agent-b', 2, by, { trust: ['agent-a'] }).node
    sim.until('trust', 60000, () => trusts(a, b) && trusts(b, a))
    sim.run(1000)
    b.listen(80, (s) => { s.echo = true })
    const stream = a.dial('agent-b', 80)
    const began = sim.world.nowMs
    sim.until('open', 10000, () => stream.state === 'open' || stream.over)
    const open = sim.world.nowMs - began
    stream.write(new Uint8Array(20000))
    sim.run(8000)
    const ka = a.peer(b)?.paths.current?.kind ?? 'none', kb = b.peer(a)?.paths.current?.kind ?? 'none'
    const ok = isDirectPossible(bx, by)
    const is = ka !== 'relay' && kb !== 'relay'
    if (ok !== is) bad++
    row += ` ${(ka + '/' + kb + (ok !== is ? '!' + (ok ? 'D' : 'R') : '') + (stream.receivedBytes===20000?'':'#') + '@' + Math.round(open)).padEnd(21)}`
  }
  console.log(row)
}
console.log('mismatches', bad, performance.now()-t0)
