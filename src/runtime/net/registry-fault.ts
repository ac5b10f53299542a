/**
 * Why a connection to the registry failed, in the terms of what an operator can do: the address or network, an untrusted
 * certificate, a certificate that is not the pinned one, or one end that speaks TLS to one that does not.
 */
import type { ErrorCode } from '../../base/errors.ts'
import type { RegistryTarget } from './endpoints.ts'

export type RegistryFaultCode = Extract<
  ErrorCode,
  'REGISTRY_UNREACHABLE' | 'REGISTRY_UNTRUSTED' | 'REGISTRY_PIN_MISMATCH' | 'REGISTRY_TLS_MISMATCH'
>

export interface RegistryFault {
  readonly code: RegistryFaultCode
  readonly reason: string
}

/** How far the connection came. */
export interface RegistryProgress {
  readonly connected: boolean // TCP
  readonly secured: boolean // TLS as well
  readonly answered: boolean
}

/** @param error undefined: the other side closed it. */
export function registryFault(
  { tls }: Pick<RegistryTarget, 'tls'>,
  error: Error | undefined,
  { connected, secured, answered }: RegistryProgress,
): RegistryFault {
  const { code = '', message = 'connection closed' } = (error ?? {}) as NodeJS.ErrnoException
  const reason = message === '' ? code : message
  if (error instanceof PinMismatch) return { code: 'REGISTRY_PIN_MISMATCH', reason }
  if (tls && CERTIFICATE_CODES.test(code)) return { code: 'REGISTRY_UNTRUSTED', reason: `its certificate: ${reason}` }
  const ended = error === undefined || code === 'ECONNRESET' || code === 'EPIPE'
  if (tls && connected && !secured && (ended || /^ERR_SSL_|^EPROTO$/.test(code)))
    return { code: 'REGISTRY_TLS_MISMATCH', reason: `it does not speak TLS (${reason})` }
  if (!tls && connected && !answered && ended)
    return { code: 'REGISTRY_TLS_MISMATCH', reason: `it answers nothing without TLS (${reason})` }
  return { code: 'REGISTRY_UNREACHABLE', reason }
}

export class PinMismatch extends Error {
  constructor(shown: string | undefined, pin: string) {
    super(`the registry shows the certificate ${shown ?? 'none'}, not the pinned ${pin}`)
  }
}

/** What OpenSSL objects to in a certificate, as Node names it (tls, "X509 certificate error codes"), or its name. */
const CERTIFICATE_CODES = /^(?!ERR_SSL_).*(CERT|CRL|SIGNATURE|ISSUER|INVALID_CA|PATH_LENGTH|PURPOSE|HOSTNAME_MISMATCH)/
