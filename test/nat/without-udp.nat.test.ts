/**
 * Networks that drop UDP, in the kernel: for good, from time to time, and one that only an HTTP proxy with a password
 * leaves (tinyproxy, as Debian has it). 64 MiB arrive with the same digest, and what is shown says which way.
 */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { after, before, test } from 'node:test'
import type { DoctorRecord, StatusRecord } from '../../src/gateway/model/records.ts'
import { eventually, pause } from '../e2e/harness.ts'
import { findProgram } from '../e2e/program.ts'
import { Internet, expectedDigest, fetched } from './harness.ts'
import type { NatPair } from './harness.ts'
import { insideCommand, whyNoLab } from './lab.ts'
import type { Site } from './lab.ts'

const why = whyNoLab()
if (why !== undefined) console.log(`skipped: the NAT laboratory: ${why}`)
const options = { skip: why ?? false, timeout: 240_000 }
const noProxy = why ?? (findProgram('tinyproxy') === undefined && 'there is no tinyproxy on this machine')

const BYTES = 64 * 1_048_576

let internet: Internet
let pinned: readonly string[]
before(async () => {
  if (why !== undefined) return
  internet = await Internet.start()
  const ready = await internet.rendezvous.event('ready')
  pinned = ['--registry-fingerprint', String(ready['fingerprint'])]
})
after(async () => {
  await internet?.stop()
})

/** A's network drops UDP both ways. @returns how to end that. */
function dropUdp(site: Site): () => void {
  const ends = (['-s', '-d'] as const).map((side) => internet.lab.drop('-p', 'udp', side, site.outside))
  return () => {
    for (const end of ends) end()
  }
}

async function pathKind({ a, b }: NatPair): Promise<string | undefined> {
  const path = (await a.peer(b.name))?.path
  return path?.transport === 'tcp' ? `${path.kind} (tcp)` : path?.kind
}

async function complete(pair: NatPair, timeoutMs = 60_000): Promise<number> {
  const got = await pair.fetch(timeoutMs)
  assert.deepEqual([got.error, got.bytes, got.sha256], [null, pair.bytes + 1, expectedDigest(pair.bytes)])
  return got.totalMs
}

test('UDP is dropped: 64 MiB by TCP, then, when it passes again, direct', options, async (t) => {
  let heal = (): void => {}
  const pair = await internet.pair(
    { boxes: ['cone'] },
    {},
    { bytes: BYTES, args: pinned, beacon: `${internet.beacon},wss://${internet.wss}` },
    (site) => (heal = dropUdp(site)),
  )
  await pair.trusted()
  const totalMs = await complete(pair)
  assert.equal(await pathKind(pair), 'relay (tcp)')
  t.diagnostic(`64 MiB by relay (tcp) in ${Math.round(totalMs)} ms`)
  assert.match((await pair.a.peer(pair.b.name))!.reason!, /^relay \(tcp\): UDP is dropped/)
  const doctor = await pair.a.json<DoctorRecord>('doctor')
  assert.match(
    doctor.checks.find(({ name }) => name === 'udp')!.text,
    /^relay \(tcp\): the beacon does not answer over UDP/,
  )
  heal()
  const began = performance.now()
  await eventually('UDP is used again', async () => ((await pathKind(pair)) === 'direct' ? true : undefined), 60_000)
  t.diagnostic(`direct ${Math.round(performance.now() - began)} ms after UDP passed`)
  await complete(pair)
  await eventually('the beacon is reached by UDP', async () => {
    const { beacon } = await pair.a.ask<StatusRecord>('status')
    return beacon?.transport === 'udp' ? true : undefined
  })
  await pair.stop()
})

test('UDP comes and goes every 20 s: 64 MiB on one connection arrive whole', options, async (t) => {
  const pair = await internet.pair(
    { boxes: ['cone'] },
    {},
    {
      bytes: BYTES,
      rate: BYTES / 75,
      args: pinned,
      beacon: `${internet.beacon},wss://${internet.wss}`,
    },
  )
  await pair.trusted()
  const kinds = new Set<string>()
  const transfer = pair.begin(220_000)
  const over = new AbortController()
  const flapping = (async () => {
    await pause(2_000) // a connection that is being opened may fail when its path dies; one that is open must not
    for (let dropped = true; !over.signal.aborted; dropped = !dropped) {
      const heal = dropped ? dropUdp(pair.a.site) : () => {}
      for (let i = 0; i < 20 && !over.signal.aborted; i++) {
        await pause(1_000)
        const kind = await pathKind(pair)
        if (kind !== undefined) kinds.add(kind)
      }
      heal()
    }
  })()
  const got = await fetched(transfer, 220_000).finally(() => over.abort())
  await flapping
  assert.deepEqual([got.error, got.bytes, got.sha256], [null, BYTES + 1, expectedDigest(BYTES)])
  t.diagnostic(`${Math.round(got.totalMs)} ms, by ${[...kinds].join(', ')}`)
  assert.ok(kinds.has('relay (tcp)') && kinds.has('direct'), [...kinds].join())
  await eventually('direct in the end', async () => ((await pathKind(pair)) === 'direct' ? true : undefined), 90_000)
  await pair.stop()
})

test(
  'only an HTTP proxy with a password leaves: registry and relay go through it',
  { ...options, skip: noProxy },
  async (t) => {
    const proxy = internet.lab.site('px')
    const port = 8_888
    await startProxy(proxy, port)
    let blocked = (): void => {}
    const credentials = 'ann:s3cr3t'
    const pair = await internet.pair(
      { boxes: ['cone'] },
      {},
      {
        bytes: BYTES,
        args: pinned,
        beacon: `${internet.beacon},wss://${internet.wss}`,
        env: { HTTPS_PROXY: `http://${credentials}@${proxy.address}:${port}` },
      },
      (site) => {
        blocked = internet.lab.drop('-s', site.outside, '!', '-d', proxy.address)
      },
    )
    await pair.trusted()
    const totalMs = await complete(pair)
    assert.equal(await pathKind(pair), 'relay (tcp)')
    t.diagnostic(`64 MiB through the proxy in ${Math.round(totalMs)} ms`)
    const status = await pair.a.ask<StatusRecord>('status')
    assert.deepEqual([status.beacon?.transport, status.beacon?.proxy], ['tcp', `${proxy.address}:${port}`])
    assert.equal(status.registry?.address, internet.wss)
    const shown = JSON.stringify([status, await pair.a.json('doctor'), await pair.a.json('config', 'show')])
    for (const text of [shown, pair.a.program.stdout, pair.a.program.stderr])
      assert.doesNotMatch(text, /s3cr3t|YW5uOnMzY3IzdA/)
    blocked()
    await pair.stop()
  },
)

test('a wrong password is said, not shown', { ...options, skip: noProxy }, async () => {
  const proxy = internet.lab.site('py')
  await startProxy(proxy, 8_888)
  const site = internet.lab.site('alone', { boxes: ['cone'] })
  internet.lab.drop('-s', site.outside, '!', '-d', proxy.address)
  const args = ['--registry', internet.registry, '--beacon', `${internet.beacon},wss://${internet.wss}`, ...pinned]
  const env = { PILOTGATE_PROXY: `http://ann:wr0ng@${proxy.address}:8888` }
  const doctor = internet.program(site, ['doctor', '--json', ...args], 'doctor', env)
  await doctor.ended(60_000)
  const { data } = JSON.parse(doctor.stdout) as { data: DoctorRecord }
  const texts = data.checks.map(({ text }) => text).join('; ')
  assert.match(texts, /the proxy [\d.]+:8888: it refuses our credentials, or wants some \(40[17]\)/)
  assert.doesNotMatch(doctor.stdout + doctor.stderr, /wr0ng/)
})

/** As Debian ships it, with a configuration that admits one user and port 443 only. */
async function startProxy(site: Site, port: number): Promise<void> {
  const file = internet.stage.path(`tinyproxy-${site.name}.conf`)
  const lines = [`Port ${port}`, `Listen ${site.address}`, 'BasicAuth ann s3cr3t', 'ConnectPort 443', 'MaxClients 50']
  writeFileSync(file, `${lines.join('\n')}\n`)
  const [command, args] = insideCommand(site.host, [findProgram('tinyproxy')!, '-d', '-c', file])
  const program = internet.stage.spawn(command, args, { label: 'tinyproxy' })
  await program.until(() => /main loop/.exec(program.stdout + program.stderr) ?? undefined, 'the proxy')
}
