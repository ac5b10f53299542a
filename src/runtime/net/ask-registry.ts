/** One question to a registry, on a connection of its own: for commands, which have no node. */
import { PilotError } from '../../base/errors.ts'
import { RegistryFrameReader, encodeRegistryFrame, parseRefusal } from '../../wire/registry-messages.ts'
import type { RegistryTarget } from './endpoints.ts'
import type { ProxySettings } from './proxy.ts'
import type { RegistryFault } from './registry-fault.ts'
import { openRegistry } from './registry-socket.ts'

/** @throws PilotError REGISTRY_REFUSED with the registry's text, REGISTRY_UNREACHABLE and its kin. */
export async function askRegistry(target: RegistryTarget, request: object): Promise<object> {
  const answer = await tryRegistry(target, request)
  if ('code' in answer)
    throw new PilotError(answer.code, `the registry ${target.address}:${target.port}: ${answer.reason}`)
  const refusal = parseRefusal(answer.reply)
  if (refusal !== undefined) throw new PilotError('REGISTRY_REFUSED', `the registry refuses: ${refusal}`)
  return answer.reply
}

/** The same, without throwing. */
export function tryRegistry(
  target: RegistryTarget,
  request: object,
  patienceMs = PATIENCE_MS,
  proxy?: ProxySettings,
): Promise<{ readonly reply: object } | RegistryFault> {
  return new Promise((resolve) => {
    let hasAnswered = false
    const reader = new RegistryFrameReader()
    const socket = openRegistry(
      { target: { ...target, proxy }, host: target.address },
      {
        onReady: () => socket.write(encodeRegistryFrame(request)),
        onData: (chunk) => {
          reader.push(chunk)
          const reply = reader.next()
          if (reply === undefined) return
          hasAnswered = true
          if (typeof reply === 'string') return socket.destroy(new Error(`it sent a frame that is ${reply}`))
          resolve({ reply })
          socket.end()
        },
        onClose: (fault) => {
          clearTimeout(timer)
          resolve(fault)
        },
        hasAnswered: () => hasAnswered,
      },
    )
    const timer = setTimeout(() => socket.destroy(new Error('no answer in time')), patienceMs)
  })
}

const PATIENCE_MS = 5_000
