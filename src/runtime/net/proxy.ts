/**
 * Whether a connection goes through an HTTP proxy, and how: which proxy, which hosts need none, and the CONNECT request.
 * The URL may hold credentials, so it appears in no log and no status; `ProxyTarget.shown` does.
 */
import { connect as connectTcp, isIP, BlockList } from 'node:net'
import type { Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { PilotError } from '../../base/errors.ts'
import { isLoopback } from '../../base/types.ts'

/** As configured; the environment's are read by config/. */
export interface ProxySettings {
  readonly url: string // http:// or https://
  /** In the form of NO_PROXY: names, `.suffix`, addresses, networks, each perhaps with a port; `*`. */
  readonly except: string
  /** The environment names it, which says nothing about connections other than HTTPS. */
  readonly isFromEnvironment: boolean
}

export interface ProxyTarget {
  readonly host: string
  readonly port: number
  readonly tls: boolean
  readonly authorization: string | undefined
  readonly shown: string // host:port
}

/** @throws PilotError USAGE, without the URL's credentials. */
export function parseProxy(text: string): ProxyTarget {
  const url = URL.canParse(text.includes('://') ? text : `http://${text}`)
    ? new URL(text.includes('://') ? text : `http://${text}`)
    : undefined
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:') || url.hostname === '')
    throw new PilotError('USAGE', 'the proxy is not an http:// or https:// URL, such as http://proxy.example:3128')
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const tls = url.protocol === 'https:'
  const port = url.port === '' ? (tls ? 443 : 80) : Number(url.port)
  const user = `${decode(url.username)}:${decode(url.password)}`
  return {
    host,
    port,
    tls,
    authorization: user === ':' ? undefined : `Basic ${Buffer.from(user).toString('base64')}`,
    shown: `${url.hostname}:${port}`,
  }
}

/** The proxy for a connection to there; undefined: none. Never for this machine itself. */
export function proxyFor(settings: ProxySettings | undefined, host: string, port: number): ProxyTarget | undefined {
  if (settings === undefined || host === 'localhost' || isLoopback(host)) return undefined
  const isExempt = settings.except.split(/[\s,]+/).some((entry) => entry !== '' && matches(entry, host, port))
  return isExempt ? undefined : parseProxy(settings.url)
}

/**
 * A TCP connection, directly or through a proxy. An error before `onConnect` destroys the socket with it. The result may
 * be destroyed at any time.
 */
export function openTcp(
  host: string,
  port: number,
  proxy: ProxyTarget | undefined,
  timeoutMs: number,
  onConnect: () => void,
): Socket {
  const common = { noDelay: true, keepAlive: true, timeout: timeoutMs }
  if (proxy === undefined) {
    const socket = connectTcp({ host, port, ...common })
    socket.once('connect', onConnect)
    return socket
  }
  const at = { host: proxy.host, port: proxy.port, ...common }
  const socket = proxy.tls
    ? connectTls({ ...at, ...(isIP(proxy.host) === 0 && { servername: proxy.host }) })
    : connectTcp(at)
  socket.once(proxy.tls ? 'secureConnect' : 'connect', () => {
    const authority = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
    const credentials = proxy.authorization === undefined ? '' : `Proxy-Authorization: ${proxy.authorization}\r\n`
    socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${credentials}\r\n`)
    awaitAnswer(socket, proxy, onConnect)
  })
  return socket
}

/** Reads no more than the answer's head: what follows belongs to the connection. */
function awaitAnswer(socket: Socket, proxy: ProxyTarget, onConnect: () => void): void {
  let head = Buffer.alloc(0)
  const onEnd = (): void => void socket.destroy(new ProxyError(proxy, 'it closed the connection'))
  const onReadable = (): void => {
    for (let chunk = socket.read() as Buffer | null; chunk !== null; chunk = socket.read() as Buffer | null) {
      head = Buffer.concat([head, chunk])
      const end = head.indexOf('\r\n\r\n')
      if (end < 0 && head.length > MAX_HEAD_BYTES)
        return void socket.destroy(new ProxyError(proxy, 'no answer in HTTP'))
      if (end < 0) continue
      socket.off('readable', onReadable).off('end', onEnd)
      const status = /^HTTP\/1\.[01] (\d{3})/.exec(head.toString('latin1', 0, end))?.[1]
      if (status === undefined) return void socket.destroy(new ProxyError(proxy, 'no answer in HTTP'))
      if (status[0] !== '2')
        return void socket.destroy(new ProxyError(proxy, REFUSALS[status] ?? `it answers ${status}`))
      const rest = head.subarray(end + 4)
      if (rest.length > 0) socket.unshift(rest)
      onConnect()
      return
    }
  }
  socket.on('readable', onReadable).once('end', onEnd)
}

class ProxyError extends Error {
  constructor({ shown }: ProxyTarget, what: string) {
    super(`the proxy ${shown}: ${what}`)
  }
}

const REFUSALS: Readonly<Record<string, string>> = {
  '401': 'it refuses our credentials, or wants some (401)', // tinyproxy
  '403': 'it refuses to connect there (403)',
  '407': 'it refuses our credentials, or wants some (407)',
  '502': 'it cannot connect there (502)',
  '503': 'it cannot connect there (503)',
  '504': 'it cannot connect there in time (504)',
}

function matches(entry: string, host: string, port: number): boolean {
  if (entry === '*') return true
  const [, bare = '', own] = /^(.*?)(?::(\d+))?$/.exec(entry.includes('::') ? entry.replace(/^\[|\]$/g, '') : entry)!
  if (own !== undefined && Number(own) !== port) return false
  if (isIP(host) !== 0) return isIP(bare) !== 0 || bare.includes('/') ? isWithin(host, bare) : false
  const name = bare.replace(/^\*?\./, '').toLowerCase()
  const wanted = host.toLowerCase()
  return wanted.endsWith(`.${name}`) || (wanted === name && !bare.startsWith('.'))
}

function isWithin(address: string, network: string): boolean {
  const [base = '', bits] = network.split('/')
  const family = isIP(base) === 6 ? 'ipv6' : 'ipv4'
  if (isIP(base) === 0) return false
  const list = new BlockList()
  const prefix = bits === undefined ? (family === 'ipv6' ? 128 : 32) : Number(bits)
  if (!Number.isInteger(prefix) || prefix < 0 || prefix > (family === 'ipv6' ? 128 : 32)) return false
  list.addSubnet(base, prefix, family)
  return list.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

const MAX_HEAD_BYTES = 16_384
