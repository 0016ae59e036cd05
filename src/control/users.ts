/** Accounts that clients use at the gate. Gates see a change at the next statement of a session. */
import { createHash } from 'node:crypto'
import type { AlterUser, CreateUser, UserView } from '../api/user-schemas.ts'
import { saltedParts, saltedPassword } from '../mysql/salted-password.ts'
import { keys } from '../topology/keys.ts'
import type { UserLimits, UserRecord } from '../topology/records.ts'
import type { Store } from '../topology/store.ts'
import { absent, listRecords, put, readRecord, updateRecord } from '../topology/typed.ts'
import { allRights, everyKeyspace, grantText, parseGrant, withGrant, withoutGrant, type Grant } from '../topology/user-rights.ts'
import { controlErrors } from './errors.ts'

type Secrets = Pick<UserRecord, 'sha1' | 'sha256' | 'salted'>

/** Again with the same password and settings: nothing is done (promise 13). Errors: SW-CONTROL-001 and 003 to 006. */
export async function createUser(store: Store, given: CreateUser): Promise<UserView> {
  if (given.password === undefined && given.hash === undefined) throw controlErrors.userNeedsPassword({ name: given.name })
  const made = await changed(
    { v: 1, name: given.name, sha1: null, sha256: null },
    { ...given, grant: given.grant ?? [`all on ${everyKeyspace}`] },
  )
  const result = await store.commit([absent(keys.user(given.name))], [put(keys.user(given.name), made)])
  if (result.ok) return userView(made)
  const there = await readRecord<UserRecord>(store, keys.user(given.name))
  if (there === null || !same(there.value, made)) throw controlErrors.userExists({ name: given.name })
  return userView(there.value)
}

export async function alterUser(store: Store, name: string, given: AlterUser): Promise<UserView> {
  const before = await readRecord<UserRecord>(store, keys.user(name))
  if (before === null) throw controlErrors.noUser({ name })
  // Hashing takes a while: what the others change meanwhile is not lost.
  const secrets = await secretsOf(given)
  const { value } = await updateRecord<UserRecord>(store, keys.user(name), (now) =>
    now === null ? null : withSettings(now, given, secrets),
  )
  if (value === null) throw controlErrors.noUser({ name })
  return userView(value)
}

export async function dropUser(store: Store, name: string): Promise<void> {
  const record = await readRecord<UserRecord>(store, keys.user(name))
  if (record === null) throw controlErrors.noUser({ name })
  await store.commit([], [{ key: record.key, value: undefined }])
}

export async function listUsers(store: Store): Promise<UserView[]> {
  return (await listRecords<UserRecord>(store, keys.users)).map(({ value }) => userView(value))
}

function userView({ name, sha1, sha256, salted, grants, requireTls, limits }: UserRecord): UserView {
  return {
    name,
    plugins: [
      ...(sha1 === null ? [] : ['mysql_native_password']),
      ...(sha256 === null && salted === undefined ? [] : ['caching_sha2_password']),
    ],
    grants: grants ?? { [everyKeyspace]: [...allRights] },
    requireTls: requireTls === true,
    limits: limits ?? {},
  }
}

async function changed(record: UserRecord, given: AlterUser): Promise<UserRecord> {
  return withSettings(record, given, await secretsOf(given))
}

function withSettings(record: UserRecord, given: AlterUser, secrets: Secrets | null): UserRecord {
  const { grants: had, requireTls, limits: hadLimits, salted, ...rest } = record
  let grants = had ?? (record.sha1 === null && record.sha256 === null && salted === undefined ? {} : { [everyKeyspace]: [...allRights] })
  for (const text of given.grant ?? []) grants = withGrant(grants, understood(text))
  for (const text of given.revoke ?? []) grants = revoked(grants, understood(text))
  const tls = given.requireTls ?? requireTls ?? false
  const limits = withLimits(hadLimits ?? {}, given.limits ?? {})
  return {
    ...rest,
    ...(secrets ?? (salted === undefined ? {} : { salted })),
    grants,
    ...(tls ? { requireTls: true } : {}),
    ...(Object.keys(limits).length === 0 ? {} : { limits }),
  }
}

function understood(text: string): Grant {
  const grant = parseGrant(text)
  if (grant === null) throw controlErrors.badGrant({ text })
  return grant
}

function revoked(grants: NonNullable<UserRecord['grants']>, grant: Grant): NonNullable<UserRecord['grants']> {
  const everywhere = grant.keyspace === everyKeyspace ? [] : grant.rights.filter((right) => grants[everyKeyspace]?.includes(right))
  if (everywhere.length > 0) throw controlErrors.revokeFromAll({ keyspace: grant.keyspace, text: grantText(everywhere, everyKeyspace) })
  return withoutGrant(grants, grant)
}

function withLimits(had: UserLimits, given: NonNullable<AlterUser['limits']>): UserLimits {
  const limits: UserLimits = { ...had }
  for (const name of ['rows', 'bytes', 'ms', 'concurrent'] as const) {
    const value = given[name]
    if (value === null) delete limits[name]
    else if (value !== undefined) limits[name] = value
  }
  if (given.scatter === 'allowed') delete limits.scatter
  else if (given.scatter === 'refused') limits.scatter = 'refused'
  if (given.multiStatements === 'refused') delete limits.multiStatements
  else if (given.multiStatements === 'allowed') limits.multiStatements = 'allowed'
  return limits
}

/** Null: as they are. */
async function secretsOf({ password, hash, plugin }: AlterUser): Promise<Secrets | null> {
  if (hash !== undefined) return secretsOfHash(hash.trim())
  if (password === undefined) return null
  if (plugin === 'mysql_native_password') return { sha1: twice('sha1', password), sha256: null }
  if (plugin === 'caching_sha2_password') {
    // As MySQL keeps it: nothing by which a scramble could be answered or quickly guessed.
    return password === ''
      ? { sha1: null, sha256: '' }
      : { sha1: null, sha256: null, salted: (await saltedPassword(password)).toString('hex') }
  }
  return { sha1: twice('sha1', password), sha256: twice('sha256', password) }
}

function secretsOfHash(hash: string): Secrets {
  const native = /^\*([0-9A-Fa-f]{40})$/.exec(hash)?.[1]
  if (native !== undefined) return { sha1: native.toLowerCase(), sha256: null }
  const hex = /^(?:0x)?((?:[0-9A-Fa-f]{2})+)$/.exec(hash)?.[1]
  const salted = hex === undefined ? Buffer.from(hash, 'latin1') : Buffer.from(hex, 'hex')
  if (saltedParts(salted) === null) throw controlErrors.badPasswordHash({})
  return { sha1: null, sha256: null, salted: salted.toString('hex') }
}

/** What proves a password without being it. Empty for an empty one. */
function twice(algorithm: 'sha1' | 'sha256', password: string): string {
  return password === '' ? '' : createHash(algorithm).update(createHash(algorithm).update(password).digest()).digest('hex')
}

function same(a: UserRecord, b: UserRecord): boolean {
  return JSON.stringify([a.sha1, a.sha256, a.salted, userView(a)]) === JSON.stringify([b.sha1, b.sha256, b.salted, userView(b)])
}
