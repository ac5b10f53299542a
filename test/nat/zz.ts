import { Internet, expectedDigest } from './harness.ts'
import type { SiteOptions } from './lab.ts'
const t0 = performance.now()
const net = await Internet.start()
console.log('rv', performance.now() - t0)
const cases: [string, SiteOptions, SiteOptions][] = [
  ['open', {}, {}], ['one', { boxes: ['cone'] }, {}], ['cone-cone', { boxes: ['cone'] }, { boxes: ['cone'] }], ['cone-sym', { boxes: ['cone'] }, { boxes: ['symmetric'] }], ['sym-sym', { boxes: ['symmetric'] }, { boxes: ['symmetric'] }],
]
try {
for (const [name, a, b] of cases) {
  const t1 = performance.now()
  const pair = await net.pair(a, b)
  const t2 = performance.now()
  await pair.trusted()
  const t3 = performance.now()
  await new Promise(r => setTimeout(r, 2500))
  const got = await pair.fetch()
  console.log(name, 'up', (t2 - t1).toFixed(), 'trust', (t3 - t2).toFixed(), got, got.sha256 === expectedDigest(pair.bytes), net.lab.fragmentsCreated)
  console.log(pair.a.program.events.filter(e => e.event === 'path').map(e => `${e.kind} ${e.endpoint} ${e.rttMs} ${e.mtu}`).join(' | '))
  console.log(pair.b.program.events.filter(e => e.event === 'path').map(e => `${e.kind} ${e.endpoint} ${e.rttMs} ${e.mtu}`).join(' | '))
  await pair.stop()
}
} finally { await net.stop() }
process.exit(0)
