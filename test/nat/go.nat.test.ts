/**
 * The reference daemon behind the kernel's NATs, its built-in echo service mapped by us: 4 MB there and back, over the
 * path it supports. It punches only towards the endpoint the registry reports, never leaves the relay again, and
 * follows a PILA, not a packet; our side compensates as far as possible.
 */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { Internet, NatGateway, expectedDigest, fetched } from './harness.ts'
import type { SiteOptions } from './lab.ts'
import { insideCommand, whyNoLab } from './lab.ts'

const folder = process.env['PILOT_GO_BIN']
const daemon = folder === undefined ? '' : join(folder, 'pilot-daemon')
const why =
  whyNoLab() ??
  (folder === undefined
    ? 'PILOT_GO_BIN names no folder with the reference binaries'
    : existsSync(daemon)
      ? undefined
      : `there is no ${daemon}`)
if (why !== undefined) console.log(`skipped: the reference daemon in the NAT laboratory: ${why}`)
const options = { skip: why ?? false, timeout: 90_000 }
const BYTES = 4 * 1_048_576

let internet: Internet
before(async () => {
  if (why === undefined) internet = await Internet.start()
})
after(async () => {
  await internet?.stop()
})

/** Possible results: the daemon decides by timing whether it relays, and keeps to that. */
const CASES: ReadonlyArray<readonly [string, SiteOptions, SiteOptions, readonly string[]]> = [
  ['both in the open', {}, {}, ['direct']],
  ['we behind a cone NAT', { boxes: ['cone'] }, {}, ['direct']],
  ['it behind a cone NAT', {}, { boxes: ['cone'] }, ['direct', 'punched', 'relay']],
  ['both behind cone NATs', { boxes: ['cone'] }, { boxes: ['cone'] }, ['direct', 'punched', 'relay']],
  ['both behind symmetric NATs', { boxes: ['symmetric'] }, { boxes: ['symmetric'] }, ['relay']],
]

for (const [index, [where, ours, theirs, kinds]] of CASES.entries()) {
  test(
    `${where}: 4 MB go to the reference daemon and come back intact, path ${kinds.join(' or ')}`,
    options,
    async () => {
      const [siteA, siteB] = [internet.lab.site(`p${index}`, ours), internet.lab.site(`g${index}`, theirs)]
      const name = `go-${index}`
      const home = internet.stage.path(name)
      await mkdir(home)
      const [command, args] = insideCommand(siteB.host, [
        daemon,
        '-registry',
        internet.registry,
        '-beacon',
        internet.beacon,
        '-listen',
        ':4000',
        '-hostname',
        name,
        '-public',
        '-email',
        'you@example.com',
        '-identity',
        join(home, 'identity.json'),
        '-socket',
        join(home, 'pilot.sock'),
      ])
      const go = internet.stage.spawn(command, args, { label: name, env: { HOME: home } })
      await go.until(
        () => /node_id|registered|address/i.test(go.stdout + go.stderr) || undefined,
        'the daemon registers',
        20_000,
      )
      const gateway = new NatGateway(internet, siteA, `p-${index}`, ['--map', `127.0.0.1:8080:${name}:7`])
      await gateway.program.event('ready')
      const echo = await fetched(internet.script(siteA, ['echo', '127.0.0.1', '8080', String(BYTES)]), 60_000)
      assert.equal(echo.error, null)
      assert.equal(echo.sha256, expectedDigest(BYTES, ''))
      const peer = (await gateway.peer(name))!
      console.log(
        `measured: the reference daemon, ${where}: ${peer.path?.kind}, first byte ${echo.firstByteMs.toFixed(0)} ms, 4 MB both ways ${echo.totalMs.toFixed(0)} ms (${peer.reason})`,
      )
      assert.ok(kinds.includes(peer.path?.kind ?? ''), `${peer.path?.kind}: ${peer.reason}`)
      await gateway.program.kill()
      await go.kill()
    },
  )
}
