/** Metrics through a strict parser, health as an orchestrator checks it, and the dashboard in a real browser. */
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { request } from 'node:http'
import { mkdir } from 'node:fs/promises'
import type { Browser, Page } from 'playwright-core'
import { address, Gateway, pair, Stage } from './harness.ts'
import type { Pair } from './harness.ts'
import { launchChromium } from './chromium.ts'
import { echo, open, refusing, some, talk } from './servers.ts'
import type { Service } from './servers.ts'

let stage: Stage
let service: Service
let both: Pair
let base: string
before(async () => {
  stage = await Stage.open()
  service = await echo(stage)
  both = await pair(
    stage,
    {
      map: ['0:agent-b:80', '0:agent-b:5432', '0:agent-b:8000'],
      expose: ['50051=h2c://127.0.0.1:50051'],
      args: ['--observe', '127.0.0.1:0'],
    },
    { expose: [80, 5432, 8000].map((port) => `${port}=${service.address}`) },
  )
  base = both.a.ready.observe!
  assert.equal((await both.a.status()).observe, base)
  const socket = await open(stage, both.a.local('agent-b:80'))
  socket.write('hello')
  await some(socket)
})
after(async () => stage.close())

test('/metrics follows the Prometheus grammar, describes every family once, and counts what was carried', async () => {
  const { status, headers, body } = await get('/metrics')
  assert.deepEqual([status, headers['content-type']], [200, 'text/plain; version=0.0.4; charset=utf-8'])
  const families = parseMetrics(body)
  const value = (name: string, labels = ''): number | undefined => families.get(name)?.samples.get(labels)
  const node = both.b.ready.node.nodeId
  assert.equal(value('pilotgate_connections_total', 'direction="map"'), 1)
  assert.equal(value('pilotgate_open_connections', 'direction="map",service="agent-b:80"'), 1)
  assert.equal(value('pilotgate_open_connections', 'direction="any",service="other"'), 0)
  assert.ok(value('pilotgate_peer_received_bytes_total', `peer="agent-b",node="${node}"`)! >= 5)
  assert.equal(value('pilotgate_peer_connected', `peer="agent-b",node="${node}"`), 1)
  assert.equal(
    ['lan', 'direct', 'punched', 'relay'].reduce(
      (sum, path) => sum + value('pilotgate_path_peers', `path="${path}"`)!,
      0,
    ),
    1,
  )
  assert.deepEqual(
    [value('pilotgate_registered'), value('pilotgate_state', 'state="ready"'), value('pilotgate_config_version')],
    [1, 1, 1],
  )
  assert.ok(value('process_resident_memory_bytes')! > 1e7)
  for (const [name, { type }] of families) assert.equal(name.endsWith('_total'), type === 'counter', name)
})

test('the parser of this test refuses what Prometheus would', () => {
  for (const bad of [
    'a 1',
    '# HELP a b\n# TYPE a gauge\na 1',
    '# HELP a b\n# TYPE a gauge\na{x=1} 1\n',
    '# HELP a b\n# TYPE a gauge\na 1\na 1\n',
    '# HELP a b\n# TYPE a gauge\nb 1\n',
    '# HELP a b\n# TYPE a gauge\na x\n',
  ]) {
    assert.throws(() => parseMetrics(bad), assert.AssertionError, bad)
  }
})

test('health: live at once, ready when registered and not draining; only GET and HEAD, and only with our own host names', async () => {
  for (const path of ['/livez', '/readyz', '/startupz']) assert.equal((await get(path)).status, 200, path)
  assert.deepEqual(
    [
      (await get('/nothing')).status,
      (await get('/metrics', { method: 'POST' })).status,
      (await get('/readyz', { method: 'HEAD' })).body,
    ],
    [404, 405, ''],
  )
  assert.equal((await get('/metrics', { host: 'evil.example' })).status, 421, 'a rebound name')
  assert.equal((await get('/livez', { host: 'localhost:80' })).status, 200)
  const { headers } = await get('/')
  assert.match(String(headers['content-security-policy']), /^default-src 'self'/)
  assert.equal(headers['access-control-allow-origin'], undefined)
  await both.a.json('drain', '--timeout', '0').catch(() => {})
  assert.deepEqual(
    [(await get('/readyz')).status, (await get('/readyz')).body, (await get('/livez')).status],
    [503, 'not ready: draining\n', 200],
  )
  await both.a.json('resume')
  assert.equal((await get('/readyz')).status, 200)
  const { registry } = { registry: await refusing() }
  const lonely = await Gateway.start(stage, {
    name: 'lonely',
    registry,
    beacon: '127.0.0.1:9',
    args: ['--observe', '127.0.0.1:0'],
  })
  assert.deepEqual(
    [(await get('/readyz', {}, lonely.ready.observe)).body, (await get('/livez', {}, lonely.ready.observe)).status],
    ['not ready: not registered yet\n', 200],
  )
  const taken = await stage.pilotgate([
    'up',
    '--json',
    '--observe',
    base,
    '--state-dir',
    stage.path('taken'),
    '--registry',
    registry,
  ])
  assert.equal(taken.code, 6, taken.stdout)
})

test('the dashboard shows live state without script errors or outside requests, light and dark, wide and narrow', async (t) => {
  const browser = await launchChromium()
  if (browser === undefined) return t.skip('no chromium on this machine')
  stage.defer(() => browser.close())
  const traffic = setInterval(
    () =>
      void talk(stage, both.a.local('agent-b:5432'), Buffer.alloc(200_000 + Math.random() * 400_000)).catch(() => {}),
    150,
  )
  stage.defer(async () => clearInterval(traffic))
  for (const [width, scheme] of [
    [1180, 'light'],
    [400, 'light'],
    [1180, 'dark'],
    [400, 'dark'],
  ] as const) {
    const { page, problems } = await look(browser, width, scheme)
    assert.equal(await page.textContent('#name'), 'agent-a')
    assert.equal(await page.textContent('#state'), 'ready')
    assert.match((await page.textContent('#peers-table'))!, /agent-b.*connected/)
    for (const name of ['agent-b:80', 'agent-b:5432'])
      assert.ok((await page.textContent('#mappings-table'))!.includes(name), name)
    assert.match((await page.textContent('#mappings-table'))!, /listening/) // of what is offered there, nothing is known
    assert.match((await page.textContent('#rate-in'))!, /\/s$/)
    assert.ok(
      (await page.locator('html').evaluate((html: { readonly scrollWidth: number }) => html.scrollWidth)) <= width,
      `nothing overflows at ${width}`,
    )
    assert.deepEqual(problems, [])
    const shots = process.env['PILOTGATE_SHOTS'] // a folder, to inspect them
    if (shots !== undefined) {
      await mkdir(shots, { recursive: true })
      await page.screenshot({ path: `${shots}/${scheme}-${width}.png`, fullPage: true })
    }
    await page.close()
  }
  clearInterval(traffic)
  const { page } = await look(browser, 800, 'light')
  await both.a.json('map', '0:agent-b:81', '--name', 'late')
  await page.locator('#mappings-table td', { hasText: /^late$/ }).waitFor()
  await both.a.program.kill()
  await page.locator('#state', { hasText: /^gone$/ }).waitFor()
})

async function look(
  browser: Browser,
  width: number,
  colorScheme: 'light' | 'dark',
): Promise<{ readonly page: Page; readonly problems: string[] }> {
  const page = await browser.newPage({ viewport: { width, height: 900 }, colorScheme, deviceScaleFactor: 1 })
  const problems: string[] = []
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') problems.push(message.text())
  })
  page.on('pageerror', (error) => problems.push(String(error)))
  page.on('request', (asked) => {
    if (!asked.url().startsWith(`http://${base}/`)) problems.push(`asked ${asked.url()}`)
  })
  await page.goto(`http://${base}/`)
  await page.locator('#rate-in', { hasText: /\/s$/ }).waitFor()
  await page.waitForTimeout(process.env['PILOTGATE_SHOTS'] === undefined ? 0 : 12_000)
  return { page, problems }
}

interface Family {
  readonly type: string
  readonly samples: Map<string, number>
}

/** The text format 0.0.4, as strict as it is written. @throws on anything else. */
function parseMetrics(text: string): ReadonlyMap<string, Family> {
  assert.ok(text.endsWith('\n'), 'the last line ends')
  const families = new Map<string, Family>()
  let current: { name: string; family: Family } | undefined
  let described = ''
  for (const line of text.slice(0, -1).split('\n')) {
    const help = /^# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$/.exec(line)
    const type = /^# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram|summary|untyped)$/.exec(line)
    const sample =
      /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\]|\\["\\n])*"(?:,(?!\})|(?=\})))+)\})? (-?\d+(?:\.\d+)?(?:e[+-]?\d+)?|NaN|[+-]Inf)$/.exec(
        line,
      )
    if (help !== null) described = help[1]!
    else if (type !== null) {
      assert.ok(described === type[1] && !families.has(type[1]!), line)
      current = { name: type[1]!, family: { type: type[2]!, samples: new Map() } }
      families.set(current.name, current.family)
    } else {
      assert.ok(sample !== null && current !== undefined && sample[1] === current.name, line)
      assert.ok(!current.family.samples.has(sample[2] ?? ''), `twice: ${line}`)
      current.family.samples.set(sample[2] ?? '', Number(sample[3]))
    }
  }
  return families
}

async function get(
  path: string,
  { method = 'GET', host }: { readonly method?: string; readonly host?: string } = {},
  at = base,
): Promise<{ status: number; headers: Record<string, unknown>; body: string }> {
  const { host: to, port } = address(at)
  return await new Promise((resolve, reject) => {
    const call = request(
      { host: to, port, path, method, agent: false, ...(host !== undefined && { headers: { host } }) },
      (response) => {
        const parts: Buffer[] = []
        response.on('data', (part: Buffer) => parts.push(part))
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(parts).toString('utf8'),
          }),
        )
      },
    )
    call.on('error', reject)
    call.end()
  })
}
