/** Waits for a promise, with a limit. */
import { PilotError } from '../base/errors.ts'

/** @throws PilotError PEER_UNREACHABLE with `text` if the time runs out first. */
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
