/**
 * The network changes under a running 64 MB transfer: its path dies, the next one dies, our address changes. All bytes
 * arrive.
 */
import assert from 'node:assert/strict'
import { afterEach, test } from 'node:test'
import { Internet, expectedDigest, fetched } from './harness.ts'
import type { SiteOptions } from './lab.ts'
import { whyNoLab } from './lab.ts'

const why = whyNoLab()
if (why !== undefined) console.log(`skipped: the NAT laboratory: ${why}`)
const options = { skip: why ?? false, timeout: 120_000 }
const MEBI = 1_048_576
const BYTES = 64 * MEBI

let internet: Internet | undefined
afterEach(async () => {
  await internet?.stop()
  internet = undefined
})

const CASES: ReadonlyArray<readonly [string, SiteOptions, SiteOptions]> = [
  ['in the open', {}, {}],
  ['behind cone NATs', { boxes: ['cone'] }, { boxes: ['cone'] }],
]

for (const [where, a, b] of CASES) {
  test(
    `${where}: the direct path dies, then the relay, then the dialler's address changes: 64 MB arrive intact`,
    options,
    async () => {
      const net = (internet = await Internet.start())
      const pair = await net.pair(a, b, { bytes: BYTES })
      await pair.trusted()
      const [x, y, rv] = [pair.a.site.outside, pair.b.site.outside, net.rendezvousSite.outside]
      const between = (p: string, q: string): (() => void) => {
        const undo = [net.lab.drop('-p', 'udp', '-s', p, '-d', q), net.lab.drop('-p', 'udp', '-s', q, '-d', p)]
        return () => {
          for (const one of undo) one()
        }
      }
      const transfer = pair.begin(100_000)
      const reached = (mebi: number): Promise<unknown> =>
        transfer.event('progress', (event) => Number(event['bytes']) >= mebi * MEBI, 60_000)
      await reached(16)
      const healDirect = between(x, y)
      const cutAt = performance.now()
      await reached(32)
      console.log(
        `measured: ${where}: 16 MB more had arrived ${(performance.now() - cutAt).toFixed(0)} ms after the direct path had died`,
      )
      healDirect()
      const healRelay = between(x, rv)
      await reached(48)
      healRelay()
      net.lab.readdress(pair.a.site)
      const movedAt = performance.now()
      const { error, bytes, sha256 } = await fetched(transfer, 100_000)
      console.log(
        `measured: ${where}: the last 16 MB had arrived ${(performance.now() - movedAt).toFixed(0)} ms after the address had changed`,
      )
      assert.equal(error, null)
      assert.equal(bytes, BYTES + 1)
      assert.equal(sha256, expectedDigest(BYTES))
      assert.equal(net.lab.fragmentsCreated, 0)
    },
  )
}
