/** Trust in as many peers as there were changes, for a keeper of the trust file. */
import type { TrustFile } from '../../../src/wire/trust-file.ts'

export class ChangedTrust {
  changes: number
  #isChanged = false

  constructor(changes = 0) {
    this.changes = changes
  }
  change(): void {
    this.changes += 1
    this.#isChanged = true
  }
  takeTrustChange(): boolean {
    const isChanged = this.#isChanged
    this.#isChanged = false
    return isChanged
  }
  trustFile(): TrustFile {
    const entry = { publicKey: '', approvedAt: '2026-01-01T00:00:00Z', mutual: true, network: 0 }
    return { trusted: Array.from({ length: this.changes }, (_, i) => ({ ...entry, nodeId: i + 1 })), pending: [] }
  }
}
