/**
 * Packet sizes on real links: which size is found, that 4 MB pass, and that no kernel in the lab ever fragments a
 * datagram (IpFragCreates of every namespace), whatever the path MTU.
 */
import assert from 'node:assert/strict'
import { afterEach, test } from 'node:test'
import { eventually } from '../e2e/harness.ts'
import { Internet, expectedDigest } from './harness.ts'
import type { SiteOptions } from './lab.ts'
import { inside, whyNoLab } from './lab.ts'

const why = whyNoLab()
if (why !== undefined) console.log(`skipped: the NAT laboratory: ${why}`)
const options = { skip: why ?? false, timeout: 60_000 }

let internet: Internet | undefined
afterEach(async () => {
  await internet?.stop()
  internet = undefined
})

interface Case {
  readonly name: string
  readonly a: SiteOptions
  readonly b: SiteOptions
  readonly mtu: number // UDP payload found
  readonly forbid?: (net: Internet) => void
}

const CASES: readonly Case[] = [
  { name: 'MTU 1500', a: {}, b: {}, mtu: 1_472 },
  { name: 'MTU 1280', a: { mtu: 1_280 }, b: { mtu: 1_280 }, mtu: 1_231 },
  { name: 'MTU 9000', a: { mtu: 9_000 }, b: { mtu: 9_000 }, mtu: 8_952 },
  { name: 'MTU 9000 on one side, 1500 on the other', a: { mtu: 9_000 }, b: {}, mtu: 1_472 },
  {
    name: 'MTU 1500 on both sides, 1400 between',
    a: { boxes: ['cone'], mtu: 1_400, hostMtu: 1_500 },
    b: {},
    mtu: 1_372,
  },
  {
    name: 'MTU 1500 on both sides, 1300 between, silently (no ICMP)',
    a: { boxes: ['cone'], mtu: 1_300, hostMtu: 1_500 },
    b: {},
    mtu: 1_231,
    forbid: ({ lab }) => void lab.drop('-p', 'icmp'),
  },
  {
    name: 'a middle that drops all fragments',
    a: { mtu: 9_000 },
    b: {},
    mtu: 1_472,
    forbid: ({ lab }) => inside(lab.middle, 'iptables', '-t', 'raw', '-A', 'PREROUTING', '-f', '-j', 'DROP'),
  },
]

for (const { name, a, b, mtu, forbid } of CASES) {
  test(`${name}: packets of up to ${mtu} bytes, all bytes arrive, nothing is ever fragmented`, options, async () => {
    internet = await Internet.start(9_000)
    forbid?.(internet)
    const pair = await internet.pair(a, b, { bytes: 4 * 1_048_576 })
    await pair.trusted()
    for (let round = 0; round < 2; round++) {
      // the second starts with the size found by the first
      const { error, sha256 } = await pair.fetch(30_000)
      assert.equal(error, null)
      assert.equal(sha256, expectedDigest(pair.bytes))
      await eventually(
        `MTU ${mtu} on both sides`,
        async () => {
          const found = await Promise.all([pair.a.peer(pair.b.name), pair.b.peer(pair.a.name)])
          return found.every((peer) => peer?.path?.mtu === mtu) ? true : undefined
        },
        10_000,
      )
    }
    assert.equal(internet.lab.fragmentsCreated, 0)
  })
}
