/**
 * Requests of today's daemons about badges and recovery. Both rest on authorities that this registry does not know: a badge
 * that it cannot check must not be shown as one, and a recovery lets a new key claim an old id. The refusals say so.
 */
export function badgesNotKept(): string {
  return 'cannot check badges: this registry knows no authority that signs them'
}

export function noRecovery(): string {
  return 'cannot recover ids: here only the old key names a new one (rotate_key)'
}
