/**
 * The pages that people see: the front's list of peers and its errors, and the rendezvous. In Chromium where there is one, light and
 * dark, wide and narrow; without it, by their HTML. PILOTGATE_SHOTS names a folder for screenshots.
 */
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { request, type IncomingHttpHeaders } from 'node:http'
import type { Browser } from 'playwright-core'
import { pair, Rendezvous, Stage } from './harness.ts'
import type { Gateway } from './harness.ts'
import { httpBackend } from './http-backend.ts'
import { launchChromium } from './chromium.ts'

let stage: Stage
let a: Gateway
let port: string
let status: string
before(async () => {
  stage = await Stage.open()
  const backend = await httpBackend(stage)
  const rendezvous = await Rendezvous.start(stage, stage.path('watched'), { PILOTGATE_HTTP: '127.0.0.1:0' })
  status = String((await rendezvous.program.event('ready'))['http'])
  const config = stage.path('a.yaml')
  await writeFile(config, 'version: 1\nmap:\n  - { name: app, peer: agent-b, port: 8080, local: "127.0.0.1:0" }\n')
  ;({ a } = await pair(
    stage,
    { args: ['-c', config, '--http', '127.0.0.1:0'] },
    { expose: [`80=${backend.address}`, `8080=${backend.address}`] },
  ))
  port = a.ready.http!.split(':')[1]!
})
after(async () => stage.close())

test("the front's root lists peers and services: a page for people, JSON for programs", async () => {
  const page = await ask('127.0.0.1', '/', 'text/html')
  assert.equal(page.status, 200)
  assert.match(page.headers['content-type']!, /^text\/html/)
  assert.match(String(page.headers['content-security-policy']), /default-src 'none'/)
  assert.match(page.text, new RegExp(`<a href="http://agent-b\\.pilot\\.localhost:${port}/">agent-b</a>`))
  assert.match(page.text, new RegExp(`<a href="http://app\\.pilot\\.localhost:${port}/">app</a>`))
  for (const host of ['localhost', '[::1]', '127.0.0.1', 'pilot.localhost']) {
    const data = JSON.parse((await ask(host, '/')).text) as {
      peers: { name: string; url: string }[]
      services: { name: string; peer: string }[]
    }
    assert.deepEqual(
      [data.peers.map(({ name }) => name), data.services.map(({ name, peer }) => [name, peer])],
      [['agent-b'], [['app', 'agent-b']]],
      host,
    )
  }
  const head = await ask('localhost', '/', 'text/html', 'HEAD')
  assert.deepEqual([head.status, head.text], [200, ''])
  assert.equal((await ask('localhost', '/other')).status, 404)
  assert.equal((await ask('localhost', '/', '*/*', 'POST')).status, 404)
})

test('a page whose own name leads to us learns nothing', async () => {
  for (const host of ['evil.example', 'localhost.evil.example', '192.0.2.1']) {
    const { status: code, text } = await ask(host, '/', 'text/html')
    assert.equal(code, 404, host)
    assert.ok(!text.includes(`agent-b.pilot.localhost:${port}`), text)
  }
})

test('a failure is a page in a browser, JSON if asked for, and otherwise text', async () => {
  const page = await ask('stranger.pilot.localhost', '/', 'text/html,application/xhtml+xml,*/*;q=0.8')
  assert.deepEqual([page.status, page.headers['pilot-error']], [404, 'NOT_FOUND'])
  assert.match(page.text, /<h1>404 Not Found<\/h1>.*NOT_FOUND/)
  assert.match(page.text, /Check the spelling\./)
  assert.ok(!/<(script|img)/.test((await ask('<img>.pilot.localhost', '/', 'text/html')).text), 'a name is only text')
  const json = JSON.parse((await ask('stranger.pilot.localhost', '/', 'application/json')).text) as { error: object }
  assert.equal((json.error as { code: string }).code, 'NOT_FOUND')
  assert.match((await ask('stranger.pilot.localhost', '/')).text, /^404 NOT_FOUND\n/)
})

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
}

/** Not fetch: it sets `Host` itself, and resolves names. */
function ask(host: string, path: string, accept = '*/*', method = 'GET'): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = { host: `${host}:${port}`, accept }
    request({ host: '127.0.0.1', port, path, method, headers, agent: false, timeout: 10_000 }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part
      })
      response.on('end', () => resolve({ status: response.statusCode!, headers: response.headers, text }))
    })
      .on('error', reject)
      .end()
  })
}

test('in a browser, each page is legible light and dark, wide and narrow, and a click leads to the peer', async (t) => {
  const browser = await launchChromium()
  if (browser === undefined) return t.skip('no chromium on this machine')
  stage.defer(() => browser.close())
  for (const [name, url, ready] of [
    ['front', `http://localhost:${port}/`, 'Mapped services'],
    ['failure', `http://stranger.pilot.localhost:${port}/`, 'NOT_FOUND'],
    ['rendezvous', `http://${status}/`, 'TLS fingerprint'],
  ] as const)
    for (const [width, scheme] of [
      [1000, 'light'],
      [360, 'dark'],
    ] as const)
      await look(browser, name, url, ready, width, scheme)
  const page = await browser.newPage()
  await page.goto(`http://localhost:${port}/`)
  await page.getByRole('link', { name: 'agent-b' }).click()
  await page.waitForURL(`http://agent-b.pilot.localhost:${port}/**`)
  await browser.close()
})

async function look(
  browser: Browser,
  name: string,
  url: string,
  ready: string,
  width: number,
  colorScheme: 'light' | 'dark',
): Promise<void> {
  const page = await browser.newPage({ viewport: { width, height: 700 }, colorScheme })
  const problems: string[] = []
  page.on('pageerror', (error) => problems.push(error.message))
  page.on('request', (asked) => {
    if (!asked.url().startsWith(new URL(url).origin) && !asked.url().startsWith('data:')) problems.push(asked.url())
  })
  await page.goto(url)
  await page.getByText(ready).first().waitFor()
  assert.equal(await page.locator('main').count(), 1, 'a landmark for screen readers')
  assert.equal(await page.locator('h1').count(), 1)
  assert.ok(
    (await page.locator('html').evaluate((html: { readonly scrollWidth: number }) => html.scrollWidth)) <= width,
    `${name}: nothing overflows at ${width}`,
  )
  assert.deepEqual(problems, [])
  const shots = process.env['PILOTGATE_SHOTS']
  if (shots !== undefined) {
    await mkdir(shots, { recursive: true })
    await page.screenshot({ path: `${shots}/${name}-${colorScheme}-${width}.png`, fullPage: true })
  }
  await page.close()
}
