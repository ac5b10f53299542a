/** Headless Chromium through the HTTP front: a page, its WebSocket, its events, and a large upload. Skipped where there is no Chromium. */
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { pair, Stage } from './harness.ts'
import type { Gateway } from './harness.ts'
import { httpBackend } from './http-backend.ts'
import { launchChromium } from './chromium.ts'

const UPLOAD_MIB = 64

let stage: Stage
let a: Gateway
before(async () => {
  stage = await Stage.open()
  const backend = await httpBackend(stage)
  const config = stage.path('a.yaml')
  await writeFile(
    config,
    'version: 1\nhttp: { listen: "127.0.0.1:0" }\nmap:\n  - { name: app, peer: agent-b, port: 8080, local: "127.0.0.1:0" }\n',
  )
  ;({ a } = await pair(
    stage,
    { args: ['-c', config] },
    { expose: [`80=${backend.address}`, `8080=${backend.address},identity=headers`] },
  ))
})
after(async () => stage.close())

for (const name of ['agent-b', 'app']) {
  test(`a browser shows a peer's page, uses a WebSocket, receives events and uploads ${UPLOAD_MIB} MiB (${name})`, async (t) => {
    // The name ends in .localhost, which a browser never looks up; agent-b is port 80, plain bytes; app adds identity
    // headers.
    const browser = await launchChromium()
    if (browser === undefined) return t.skip('not installed: chromium')
    stage.defer(async () => browser.close())
    const page = await browser.newPage()
    const failures: string[] = []
    page.on('pageerror', (error) => failures.push(error.message))
    await page.goto(`http://${name}.pilot.localhost:${a.ready.http!.split(':')[1]!}/page`)
    assert.equal(await page.textContent('h1'), 'Hello from agent-b')
    await page.getByText('ping from a browser').waitFor()
    await page.getByText('event 3').waitFor()
    await page.evaluate(`window.upload(${UPLOAD_MIB})`)
    const block = Buffer.alloc(1 << 20, 7)
    const hash = createHash('sha256')
    for (let index = 0; index < UPLOAD_MIB; index++) hash.update(block)
    assert.equal(await page.textContent('#up'), `${UPLOAD_MIB << 20} ${hash.digest('hex')}`)
    const shots = process.env['PILOT_SCREENSHOTS']
    if (shots !== undefined) await page.screenshot({ path: `${shots}/front-${name}.png` })
    assert.deepEqual(failures, [])
    await browser.close()
  })
}
