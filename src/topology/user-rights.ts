/** What a client of the gate may do: rights by keyspace, in the words of GRANT. Pure. */
import { parseBranch } from './dualwrite-records.ts'
import type { Right, UserRecord } from './records.ts'

export const allRights: readonly Right[] = ['read', 'write', 'ddl']
export const everyKeyspace = '*'

type Granted = Pick<UserRecord, 'grants'>

/** Nothing is held back from it: what concerns servers as a whole too. */
export function isUnrestricted(user: Granted): boolean {
  return user.grants === undefined || allRights.every((right) => user.grants?.[everyKeyspace]?.includes(right) === true)
}

/** `keyspace` as a session names it: the rights on a keyspace are those on its branches and replicas. */
export function hasRight(user: Granted, keyspace: string, right: Right): boolean {
  if (user.grants === undefined) return true
  return user.grants[parseBranch(keyspace).keyspace]?.includes(right) === true || user.grants[everyKeyspace]?.includes(right) === true
}

export function maySee(user: Granted, keyspace: string): boolean {
  return allRights.some((right) => hasRight(user, keyspace, right))
}

export type Grant = { readonly rights: readonly Right[]; readonly keyspace: string }

/** `read, write on app`, `all on *`; `app.*` and `*.*` mean the same. Null: not understood. */
export function parseGrant(text: string): Grant | null {
  const match = /^\s*(.+?)\s+on\s+(`?)([^`\s]+?)\2(\.\*)?\s*$/i.exec(text)
  if (match === null) return null
  const words = (match[1] as string)
    .toLowerCase()
    .replace(/^all privileges$/, 'all')
    .split(/\s*,\s*/)
  const keyspace = match[3] as string
  if (words.length === 1 && words[0] === 'all') return { rights: allRights, keyspace }
  const rights = allRights.filter((right) => words.includes(right))
  return words.every((word) => (allRights as readonly string[]).includes(word)) ? { rights, keyspace } : null
}

export function withGrant(grants: NonNullable<UserRecord['grants']>, { rights, keyspace }: Grant): NonNullable<UserRecord['grants']> {
  const had = grants[keyspace] ?? []
  return { ...grants, [keyspace]: allRights.filter((right) => had.includes(right) || rights.includes(right)) }
}

export function withoutGrant(grants: NonNullable<UserRecord['grants']>, { rights, keyspace }: Grant): NonNullable<UserRecord['grants']> {
  const left = allRights.filter((right) => grants[keyspace]?.includes(right) === true && !rights.includes(right))
  const { [keyspace]: _, ...others } = grants
  return left.length === 0 ? others : { ...others, [keyspace]: left }
}

export function grantText(rights: readonly Right[], keyspace: string): string {
  return `${rights.length === allRights.length ? 'all' : rights.join(', ')} on ${keyspace}`
}
