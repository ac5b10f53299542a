/** Options that say how a node reaches others, and how programs of this machine reach it. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { PilotError } from '../../../src/base/errors.ts'
import { parseConfig } from '../../../src/config/load.ts'
import type { Flags } from '../../../src/config/flags.ts'
import { resolveOptions } from '../../../src/config/options.ts'

const env = { HOME: '/home/ann' }
const fileOf = (text: string) => ({ config: parseConfig(`version: 1\n${text}`, 'g.yaml'), folder: '/etc/pilotgate' })

test('a proxy: by flag, variable or file, or the one for HTTPS in the environment; its password is in no message', () => {
  const proxyOf = (more: Record<string, string>, flags: Flags = {}, text = '') =>
    resolveOptions({ flags, env: { ...env, ...more }, file: fileOf(text) }).outboundProxy
  const url = 'http://ann:s3cr3t@proxy.example:3128'
  assert.equal(proxyOf({}), undefined)
  assert.deepEqual(proxyOf({ HTTPS_PROXY: url, NO_PROXY: '.example' }), {
    url,
    except: '.example',
    isFromEnvironment: true,
  })
  assert.equal(proxyOf({ https_proxy: url })?.url, url)
  assert.equal(proxyOf({ all_proxy: 'socks5://127.0.0.1:1080' }), undefined, 'not an HTTP proxy')
  assert.equal(proxyOf({ HTTPS_PROXY: url, PILOTGATE_PROXY: 'off' }), undefined)
  assert.deepEqual(proxyOf({ HTTPS_PROXY: 'http://other:1', NO_PROXY: '*', PILOTGATE_PROXY: url }), {
    url,
    except: '',
    isFromEnvironment: false,
  })
  assert.equal(proxyOf({ PILOTGATE_PROXY: 'off' }, { proxy: url })?.url, url)
  assert.equal(proxyOf({}, {}, `node: { proxy: "${url}" }`)?.url, url)
  assert.throws(
    () => proxyOf({ PILOTGATE_PROXY: 'socks5://ann:s3cr3t@x:1' }),
    (error) =>
      error instanceof PilotError &&
      /PILOTGATE_PROXY: expected/.test(error.message) &&
      !error.message.includes('s3cr3t'),
  )
})

test('a transport is auto, udp or tcp; several addresses are separated by commas', () => {
  const options = resolveOptions({
    flags: { registry: 'a.example:1,tls://b.example:2', beacon: 'a.example:3, wss://b.example' },
    env: { ...env, PILOTGATE_TRANSPORT: 'tcp' },
  })
  assert.deepEqual(
    [options.registry, options.beacon, options.transport],
    ['a.example:1,tls://b.example:2', 'a.example:3, wss://b.example', 'tcp'],
  )
  for (const flags of [{ transport: 'quic' }, { registry: 'a.example:1,' }, { beacon: 'ws://a.example' }])
    assert.throws(() => resolveOptions({ flags, env }), PilotError)
})

test('a driver socket is a path, or `auto`; one in a file is relative to the file, and a daemon leaves no room for one', () => {
  const { driver } = resolveOptions({
    flags: { driverSocket: '~/pilot.sock' },
    env: { ...env, XDG_RUNTIME_DIR: '/run/1' },
  })
  assert.deepEqual(driver, { socket: `${env.HOME}/pilot.sock`, runtimeDir: '/run/1' })
  const file = fileOf('driver: { socket: run/pilot.sock }')
  assert.equal(resolveOptions({ flags: {}, env, file }).driver?.socket, `${file.folder}/run/pilot.sock`)
  assert.equal(
    resolveOptions({ flags: {}, env: { ...env, PILOTGATE_DRIVER_SOCKET: 'auto' }, file }).driver?.socket,
    'auto',
  )
  assert.equal(resolveOptions({ flags: {}, env }).driver, undefined)
  assert.throws(
    () => resolveOptions({ flags: { daemon: '/a', driverSocket: '/b' }, env }),
    /--driver-socket cannot be combined with --daemon/,
  )
})
