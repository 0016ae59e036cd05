import { tokenEnd, tokenStart, type Lexed } from '../sql/lexer.ts'
import { inRoleOf } from '../topology/replica-name.ts'
import { gateErrors } from './errors.ts'
import type { Relay } from './passthrough.ts'
import { framedQuery } from './replies.ts'
import type { View } from './view.ts'

/** USER() and its like as the client's own, nullable like them: to the server it is our account that asks. */
export function withUser(sql: Buffer, lexed: Lexed, relay: Relay, { user, host }: { user: string; host: string }): Buffer {
  const parts: Buffer[] = []
  let from = 0
  for (const call of relay.userCalls) {
    parts.push(
      sql.subarray(from, tokenStart(lexed, call.from)),
      Buffer.from(`NULLIF(${literal(`${user}@${call.account ? '%' : host}`)}, '')`),
    )
    from = tokenEnd(lexed, call.to - 1)
  }
  parts.push(sql.subarray(from))
  return Buffer.concat(parts)
}

/** Whatever the session's sql_mode makes of a backslash. */
function literal(text: string): string {
  return /^[\w@%.:-]*$/.test(text) ? `'${text}'` : `CONVERT(0x${Buffer.from(text).toString('hex')} USING utf8mb4)`
}

/** A qualified name decides where a statement goes; its database may have another name on the server. */
export function qualify(view: View, session: string, relay: Relay, lexed: Lexed, sql: Buffer): { keyspace: string; framed: Buffer } | null {
  const named: { at: number; end: number; keyspace: string }[] = []
  for (const token of relay.qualifiers) {
    const at = lexed.tokens[token * 3 + 1] as number
    const end = lexed.tokens[token * 3 + 2] as number
    const name = inRoleOf(sql.toString('utf8', at, end).replace(/^[`"](.*)[`"]$/, '$1'), session)
    if (view.keyspaces.has(name)) named.push({ at, end, keyspace: name })
  }
  const first = named[0]
  if (first === undefined) return null
  const other = named.find((n) => n.keyspace !== first.keyspace)
  if (other !== undefined) {
    throw gateErrors.notForwarded({
      construct: `a statement over the keyspaces ${first.keyspace} and ${other.keyspace}`,
      reason: 'they may stand on different servers',
      fix: 'read them one after the other',
    })
  }
  const schema = view.keyspaces.get(first.keyspace)?.shards[0]?.schema ?? first.keyspace
  if (schema === first.keyspace) return first.keyspace === session ? null : { keyspace: first.keyspace, framed: framedQuery(sql) }
  const parts: Buffer[] = []
  let from = 0
  for (const n of named) {
    parts.push(sql.subarray(from, n.at), Buffer.from(`\`${schema.replaceAll('`', '``')}\``))
    from = n.end
  }
  parts.push(sql.subarray(from))
  return { keyspace: first.keyspace, framed: framedQuery(Buffer.concat(parts)) }
}
