/**
 * A name before a dot that is a keyspace's decides where a statement of an unsharded session goes, and is told as the database is called there.
 *
 * Which names before dots are schemas the parser says (needs.ts); aliases and tables may have a keyspace's name and mean nothing by it. Where it has not read the
 * statement, a name counts as a schema where nothing else can stand; what is left in doubt and would matter is refused.
 */
import { tokenEnd, tokenStart, type Lexed } from '../sql/lexer.ts'
import { inRoleOf } from '../topology/replica-name.ts'
import { gateErrors } from './errors.ts'
import { needsOf } from './needs.ts'
import { callsStored } from './pure-functions.ts'
import type { Relay } from './passthrough.ts'
import type { View } from './view.ts'

export type Qualified = { readonly keyspace: string; readonly sql: Buffer }

/** @param lex gives the statement's tokens; what it gave is overwritten by others' statements */
export function qualify(view: View, session: string, relay: Relay, lex: () => Lexed, sql: Buffer): Qualified | null {
  if (relay.qualifiers.length === 0) return null
  const lexed = lex()
  const nameAt = (token: number): string =>
    inRoleOf(sql.toString('utf8', tokenStart(lexed, token), tokenEnd(lexed, token)).replace(/^[`"](.*)[`"]$/, '$1'), session)
  const known = relay.qualifiers.filter((token) => view.keyspaces.has(nameAt(token)))
  if (known.length === 0) return null
  const needs = needsOf(lex, relay)
  const schemas = new Set(needs.schemaTokens)
  for (const token of known) {
    if (schemas.has(token) || !needs.unknownTokens.includes(token)) continue
    if (isSchema(lexed, token)) schemas.add(token)
    else if (nameAt(token) !== session || schemaOf(view, session) !== session)
      throw gateErrors.notForwarded({
        construct: `${nameAt(token)} before a dot`,
        reason: 'it is the name of a keyspace, and whether it means that can not be told in this statement',
        fix: 'USE the keyspace and leave its name out, or give the table or alias another name',
      })
  }
  const named = known.filter((token) => schemas.has(token)).map((token) => ({ token, keyspace: nameAt(token) }))
  const first = named[0]
  if (first === undefined) return null
  const { keyspace } = first
  // A name without a schema is the session's own keyspace's.
  const bare =
    keyspace !== session && session !== '' && (needs.bare !== false || (relay.pins.includes('routine') && callsStored(lex(), 'bare')))
  const other = named.find((n) => n.keyspace !== keyspace)?.keyspace ?? (bare && !isQualifiedCall(relay, needs.bare) ? session : null)
  if (other !== null)
    throw gateErrors.notForwarded({
      construct: `a statement over the keyspaces ${keyspace} and ${other}`,
      reason: 'they may stand on different servers',
      fix: 'read them one after the other',
    })
  const schema = schemaOf(view, keyspace)
  if (schema === keyspace) return keyspace === session ? null : { keyspace, sql }
  const parts: Buffer[] = []
  let from = 0
  for (const { token } of named) {
    parts.push(sql.subarray(from, tokenStart(lexed, token)), Buffer.from(`\`${schema.replaceAll('`', '``')}\``))
    from = tokenEnd(lexed, token)
  }
  parts.push(sql.subarray(from))
  return { keyspace, sql: Buffer.concat(parts) }
}

function schemaOf(view: View, keyspace: string): string {
  return view.keyspaces.get(keyspace)?.shards[0]?.schema ?? keyspace
}

/** `CALL app.p()`: the routine is named with its keyspace. */
function isQualifiedCall(relay: Relay, bare: boolean | null): boolean {
  return !relay.whole && bare === false
}

const tableWords = new Set(['FROM', 'JOIN', 'INTO', 'TABLE', 'TABLES', 'UPDATE', 'REFERENCES', 'EXISTS', 'CALL', 'DESC', 'DESCRIBE'])

/** Where only a table's or routine's name can stand: `FROM a.b`, and the first of three parts. */
function isSchema(lexed: Lexed, token: number): boolean {
  const text = (i: number): string =>
    i < 0 || i >= lexed.count ? '' : lexed.bytes.toString('latin1', tokenStart(lexed, i), tokenEnd(lexed, i)).toUpperCase()
  return tableWords.has(text(token - 1)) || text(token + 3) === '.'
}
