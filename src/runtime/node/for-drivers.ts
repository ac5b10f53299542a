/** What the driver socket needs of our own node beyond ../overlay.ts. Below: driver-desk.ts. */
import type { NodeId } from '../../base/types.ts'
import type { OverlayStream } from '../overlay.ts'

/** Takes datagrams to ports that nothing else has opened. */
export type DatagramTaker = (bytes: Uint8Array, from: NodeId, sourcePort: number, port: number) => void

export interface ForDrivers {
  /**
   * @param challenge what is signed, if anything. @returns the registry's reply as it is. @throws RegistryRefusal,
   *   PilotError REGISTRY_UNREACHABLE.
   */
  ask(request: object, challenge?: string): Promise<Record<string, unknown>>
  /** Ed25519, base64. */
  sign(text: string): string
  /** A stream to a service of our own. @param name ours. @throws PilotError CONNECTION_REFUSED. */
  dialSelf(name: string, port: number, signal: AbortSignal): Promise<OverlayStream>
  /** Until the next start; the registry has accepted it. */
  rename(hostname: string | undefined): void
  /** The same. */
  setPublic(isPublic: boolean): void
  /** @param taker undefined: they are dropped again. */
  takeDatagrams(taker: DatagramTaker | undefined): void
  /**
   * A better path to this peer is wanted now. @returns undefined if there is no tunnel, otherwise whether the relay is in
   * use, and whether it is the only way that the peer offers.
   */
  preferDirect(node: NodeId): { readonly byRelay: boolean; readonly relayOnly: boolean } | undefined
}
