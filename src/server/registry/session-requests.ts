/** The two requests that open a session (extensions.md §7). */
import type { Call } from './request.ts'
import { fromBase64, toBase64 } from '../../base/bytes.ts'
import { sessionKey } from '../../wire/registry-session.ts'

/** `session_hello`: both ends generate a key for this connection. */
export function sessionHello({ session, request }: Call): object | string {
  const ephemeral = sessionKey(request.text('ephemeral'))
  if (session === undefined || ephemeral === undefined) return 'invalid session_hello'
  return session.hello(ephemeral)
}

/**
 * `session_open`: the client signs the transcript of the connection. From now on, no other form of signature of its key
 * is valid.
 */
export function sessionOpen({ session, request, directory }: Call): object | string {
  const identity = sessionKey(request.text('public_key'))
  const signature = fromBase64(request.text('signature'))
  const certificate = request.optionalText('certificate')
  const shown = certificate === undefined ? undefined : sessionKey(certificate)
  if (session === undefined || identity === undefined || signature === undefined) return 'invalid session_open'
  if (certificate !== undefined && shown === undefined) return 'invalid session_open'
  const reply = session.open(identity, shown, signature)
  const account = typeof reply === 'string' ? undefined : directory.accountByKey(toBase64(identity))
  if (account !== undefined) directory.noteSession(account)
  return reply
}
