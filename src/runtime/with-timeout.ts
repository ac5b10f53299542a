/** Waiting for a promise, but not for ever. */
import { PilotError } from '../base/errors.ts'

/** @throws PilotError PEER_UNREACHABLE with `text` when the time is over first. */
export async function withTimeout<T>(promise: Promise<T>, ms: number, text: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new PilotError('PEER_UNREACHABLE', text)), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
