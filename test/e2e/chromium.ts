/** The Chromium of this machine, without a window. */
import { chromium, type Browser } from 'playwright-core'
import { findProgram } from './program.ts'

/** @returns undefined if there is none. The caller closes it. */
export async function launchChromium(): Promise<Browser | undefined> {
  const executablePath = findProgram('chromium')
  return executablePath === undefined ? undefined : await chromium.launch({ executablePath, args: FLAGS })
}

/** As root Chromium needs --no-sandbox; the other flags keep it from calling home. */
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]
