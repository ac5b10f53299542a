/**
 * Only one gateway at a time may use a state folder and an identity: two with one key would divert each other's
 * traffic. Above: gateway.ts.
 */
import { dirname, resolve } from 'node:path'
import { PilotError } from '../base/errors.ts'
import { holdFolder } from '../runtime/files/lock.ts'
import type { Release } from '../runtime/files/lock.ts'
import type { GatewayOptions } from './model/options.ts'

/** @throws PilotError CONFLICT if another gateway has one of them, USAGE if it cannot be a folder. */
export async function holdState({ stateDir, identityFile, daemon }: GatewayOptions): Promise<Release[]> {
  const releases = [await holdFolder(stateDir, STATE)]
  const keys = resolve(dirname(identityFile)) // trust.json is there too
  if (daemon !== undefined || keys === resolve(stateDir)) return releases
  try {
    releases.push(await holdFolder(keys, IDENTITY))
  } catch (error) {
    // A mounted secret may be read-only: then nothing can be kept next to it, not even a lock.
    if (error instanceof PilotError && error.code === 'USAGE') return releases
    for (const release of releases) await release()
    throw error
  }
  return releases
}

const HINT =
  'To run a second gateway on this machine give it its own state folder, and thus its own identity: --state-dir DIR.'
const STATE = { what: 'its state', other: 'another gateway', file: 'gateway.lock', hint: HINT }
const IDENTITY = { what: 'its identity', other: 'another gateway', file: 'gateway.lock', hint: HINT }
