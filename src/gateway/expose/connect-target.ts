/**
 * A connection to the local service of an exposure. Several addresses are tried as in RFC 8305: the next one starts
 * when the previous one has failed or is slow, and the first to connect wins. Slow attempts are not abandoned, as
 * node:net does after 250 ms. Above: expose/tcp.ts.
 */
import { connect } from 'node:net'
import type { Socket, TcpNetConnectOpts } from 'node:net'
import type { GivingUp } from '../../runtime/giving-up.ts'
import type { Target } from '../model/expose-spec.ts'
import type { TargetHosts } from './target-hosts.ts'

/** Targets with an address. */
export type DialledTarget = Exclude<Target, { readonly kind: 'folder' | 'exec' }>

/** Paused, so that nothing is read before a listener is attached. Rejects when no address takes the connection, or on an abort. */
export async function connectTarget(target: DialledTarget, hosts: TargetHosts, giveUp: GivingUp): Promise<Socket> {
  if (target.kind === 'unix') {
    const path = (await hosts.socketAt?.(target.path)) ?? target.path
    if (giveUp.aborted) throw new Error(GIVEN_UP)
    return await race([() => connect({ path, allowHalfOpen: true }).pause()], giveUp)
  }
  const { host, port } = target
  const found = hosts.of(host)
  const addresses = Array.isArray(found) ? (found as readonly string[]) : await found
  if (giveUp.aborted) throw new Error(GIVEN_UP)
  try {
    return await race(
      addresses.map((address) => () => connect({ host: address, port, ...OPTIONS }).pause()),
      giveUp,
    )
  } catch (error) {
    hosts.forget(host)
    throw error
  }
}

function race(attempts: ReadonlyArray<() => Socket>, giveUp: GivingUp): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const running = new Set<Socket>()
    const failures: Error[] = []
    let next = 0
    let timer: NodeJS.Timeout | undefined
    const finish = (winner: Socket | undefined): void => {
      clearTimeout(timer)
      giveUp.removeEventListener('abort', onAbort)
      for (const socket of running) if (socket !== winner) socket.destroy()
      running.clear()
    }
    const onAbort = (): void => {
      finish(undefined)
      reject(new Error(GIVEN_UP))
    }
    const begin = (): void => {
      clearTimeout(timer)
      const socket = attempts[next++]!()
      running.add(socket)
      const onError = (error: Error): void => {
        if (!running.delete(socket)) return
        failures.push(error)
        if (next < attempts.length) return begin()
        if (running.size > 0) return
        finish(undefined)
        reject(together(failures))
      }
      socket.on('error', onError)
      socket.once('connect', () => {
        if (!running.has(socket)) return
        finish(socket)
        socket.off('error', onError)
        resolve(socket)
      })
      if (next < attempts.length) timer = setTimeout(begin, NEXT_ATTEMPT_MS)
    }
    giveUp.addEventListener('abort', onAbort, { once: true })
    begin()
  })
}

/** The system's error with its code: for several addresses all messages, with the first code. */
function together(failures: readonly NodeJS.ErrnoException[]): Error {
  const [first] = failures
  if (failures.length === 1) return first!
  const text = failures.map(({ message }) => message).join('; ')
  return Object.assign(new Error(text, { cause: first }), { code: first!.code })
}

const OPTIONS: Omit<TcpNetConnectOpts, 'port'> = { allowHalfOpen: true, noDelay: true, keepAlive: true }
const GIVEN_UP = 'the connection is no longer wanted'
/** RFC 8305 §5, Connection Attempt Delay. */
const NEXT_ATTEMPT_MS = 250
