/**
 * Whether a rendezvous serves nodes without UDP, without opening anything: a plain GET where the WebSocket is must be
 * answered with 426 (today.md U10). For `doctor` without a running gateway.
 */
import { connect as connectTls } from 'node:tls'
import { isIP } from 'node:net'
import { formatEndpoint } from '../../base/types.ts'
import type { WssTarget } from './endpoints.ts'
import { openTcp, proxyFor, type ProxySettings } from './proxy.ts'

/** @returns why not; undefined: it does. */
export function checkCompat(
  target: WssTarget,
  fingerprint: string | undefined,
  proxy: ProxySettings | undefined,
  patienceMs: number,
): Promise<string | undefined> {
  const via = proxyFor(proxy, target.address, target.port)
  return new Promise((resolve) => {
    const raw = openTcp(target.address, target.port, via, patienceMs, () => {
      const secure = connectTls({
        socket: raw,
        rejectUnauthorized: fingerprint === undefined,
        ...(isIP(target.address) === 0 ? { servername: target.address } : { host: target.address }),
      })
      let head = ''
      secure.on('error', (error) => end(error.message))
      secure.once('secureConnect', () => {
        const shown = secure.getPeerX509Certificate()?.fingerprint256.replaceAll(':', '').toLowerCase()
        if (fingerprint !== undefined && shown !== fingerprint && !secure.authorized)
          return end('its certificate is neither trusted nor the pinned one')
        secure.write(`GET ${target.path} HTTP/1.1\r\nHost: ${formatEndpoint(target)}\r\nConnection: close\r\n\r\n`)
      })
      secure.on('data', (chunk: Buffer) => {
        head += chunk.toString('latin1')
        const status = /^HTTP\/1\.[01] (\d{3})/.exec(head)?.[1]
        if (status !== undefined || head.length > 64)
          end(status === '426' ? undefined : `it answers ${status ?? 'something else than HTTP'}`)
      })
      secure.once('close', () => end('the connection was closed'))
    })
    const timer = setTimeout(() => end('no answer in time'), patienceMs)
    const end = (why: string | undefined): void => {
      clearTimeout(timer)
      raw.destroy()
      resolve(why)
    }
    raw.on('error', (error) => end(error.message))
  })
}
